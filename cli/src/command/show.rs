//! `autoclave show`.

use std::path::Path;

use autoclave_runner::campaign::latest_progress;
use autoclave_runner::model::ExperimentNumber;
use clap::Args;
use serde_json::{Map, Value};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::Project;

/// Show one experiment: brief, transcript, patch and measurements
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave show 3 -m sort-speed")]
pub struct ShowArgs {
    /// The experiment's number
    number: u32,
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
}

/// Prints the files of the experiment.
///
/// # Errors
///
/// [`Exit::Usage`] when there is no such experiment.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: ShowArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let latest = latest_progress(&project.repo.runs_dir(), &marker.name)?;
    let number = ExperimentNumber::from(args.number);
    let found = latest.and_then(|(folder, progress)| {
        let record = progress.experiments.into_iter().find(|e| e.n == number)?;
        Some((folder, record))
    });
    let Some((folder, record)) = found else {
        let message = format!(
            "the newest run of `{}` has no experiment {number}",
            marker.name
        );
        return Err(Failure::new(Exit::Usage, message).hint("`autoclave results` lists them."));
    };
    let files = read_files(
        &folder
            .path()
            .join(format!("experiments/{:04}", args.number)),
    )?;
    match format {
        Format::Json => {
            let mut object = Map::new();
            object.insert("n".into(), Value::from(args.number));
            object.insert("verdict".into(), Value::from(record.verdict.to_string()));
            object.insert("detail".into(), Value::from(record.detail));
            let files = files
                .into_iter()
                .map(|(name, text)| (name, Value::from(text)))
                .collect();
            object.insert("files".into(), Value::Object(files));
            output::print_json(&Value::Object(object))?;
        }
        Format::Text => {
            let mut text = format!(
                "experiment {number}: {}, {}\n",
                record.verdict, record.detail
            );
            for (name, content) in files {
                text.push_str(&format!("\n=== {name}\n{content}"));
            }
            output::print(&text)?;
        }
    }
    Ok(Exit::Done)
}

/// Returns name and text of each file, sorted by name.
fn read_files(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let failure = |cause: std::io::Error| {
        let message = format!("could not read `{}`: {cause}", folder.display());
        Failure::new(Exit::RepositoryOrLedger, message)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failure)? {
        let entry = entry.map_err(failure)?;
        let bytes = std::fs::read(entry.path()).map_err(failure)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    files.sort();
    Ok(files)
}
