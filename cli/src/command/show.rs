//! `autoclave show`.

use std::path::Path;

use autoclave_policies::steers_terminal;
use autoclave_runner::campaign::latest_progress;
use autoclave_runner::decide::progress::ExperimentRecord;
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
/// [`Exit::Usage`] when there is no such experiment, [`Exit::NothingKept`] when there is no run.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: ShowArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let Some((folder, progress)) = latest_progress(&project.repo.runs_dir(), &marker.name)? else {
        let message = format!("marker `{}` has no run yet", marker.name);
        return Err(Failure::new(Exit::NothingKept, message).hint("`autoclave run` starts one."));
    };
    let number = ExperimentNumber::from(args.number);
    let is_in_flight = progress.in_flight == Some(number);
    let record = progress.experiments.into_iter().find(|e| e.n == number);
    if record.is_none() && !is_in_flight {
        let message = format!(
            "run {} of `{}` has no experiment {number}",
            progress.run, marker.name
        );
        return Err(Failure::new(Exit::Usage, message).hint("`autoclave results` lists them."));
    }
    let folder = folder
        .path()
        .join(format!("experiments/{:04}", args.number));
    let files = read_files(&folder)?;
    match format {
        Format::Json => {
            let verdict = record.as_ref().map(|record| record.verdict.to_string());
            let mut object = Map::new();
            object.insert("n".into(), Value::from(args.number));
            object.insert("verdict".into(), Value::from(verdict));
            let (remarks, tracks) = match &record {
                Some(record) => (record.remarks.clone(), output::tracks(&record.tracks)),
                None => (Vec::new(), output::tracks(&[])),
            };
            object.insert(
                "detail".into(),
                Value::from(record.map(|record| record.detail)),
            );
            object.insert("remarks".into(), Value::from(remarks));
            object.insert("tracks".into(), tracks);
            let files = files
                .into_iter()
                .map(|(name, text)| (name, Value::from(text)))
                .collect();
            object.insert("files".into(), Value::Object(files));
            output::print_json(&Value::Object(object))?;
        }
        Format::Text => {
            let mut text = match record {
                Some(record) => told(&record),
                None => format!("experiment {number}: started, not decided\n"),
            };
            for (name, content) in files {
                text.push_str(&format!("\n=== {name}\n{}", harmless(&content)));
            }
            output::print(&text)?;
        }
    }
    Ok(Exit::Done)
}

/// Returns what was decided, in lines.
fn told(record: &ExperimentRecord) -> String {
    let mut text = format!(
        "experiment {}: {}, {}\n",
        record.n,
        record.verdict,
        harmless(&record.detail)
    );
    for remark in &record.remarks {
        text.push_str(&format!("remark: {}\n", harmless(remark)));
    }
    for track in &record.tracks {
        text.push_str(&format!("tracked: {} {}\n", track.name, track.value));
    }
    text
}

/// Returns what an agent wrote without what a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !steers_terminal(*c))
        .collect()
}

/// Returns name and text of each file, sorted by name.
fn read_files(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let failure = |cause: std::io::Error| {
        let message = format!("could not read `{}`: {cause}", folder.display());
        Failure::new(Exit::RepositoryOrLedger, message)
    };
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(folder).map_err(failure)? {
        let entry = entry.map_err(failure)?;
        let bytes = std::fs::read(entry.path()).map_err(failure)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    files.sort();
    Ok(files)
}
