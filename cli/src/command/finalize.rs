//! `autoclave finalize`.

use autoclave_runner::campaign::{self, FinalizeRequest, Finalized};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::{reporter, runtime};

/// Make a clean branch of the newest run's winners, measured afresh
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave finalize -m sort-speed --branch faster-sort")]
pub struct FinalizeArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// The branch to make, instead of autoclave/NAME-final
    #[arg(long, value_name = "B")]
    branch: Option<String>,
    /// Put all winners into one commit
    #[arg(long)]
    squash: bool,
}

/// Makes the branch and prints what it holds.
///
/// # Errors
///
/// As the exit codes say.
pub fn run(args: FinalizeArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let mut reporter = reporter::standard(Format::Text);
    let finalized = runtime::block_on(async |cancel| {
        let FinalizeArgs { branch, squash, .. } = args;
        let request = FinalizeRequest {
            marker,
            branch,
            squash,
            host,
            cancel,
        };
        Ok(campaign::finalize(project.repo, request, reporter.as_mut()).await?)
    })?;
    match format {
        Format::Json => output::print_json(&to_json(&finalized))?,
        Format::Text => output::print(&format!(
            "{}\nBranch {} is ready; this text is in {}.\n",
            finalized.markdown,
            finalized.branch,
            finalized.markdown_path.display()
        ))?,
    }
    Ok(Exit::Done)
}

/// The shape that scripts rely on; additive only.
fn to_json(finalized: &Finalized) -> Value {
    let commits: Vec<Value> = finalized
        .commits
        .iter()
        .map(|c| json!({"commit": c.commit, "subject": c.subject, "experiments": c.experiments}))
        .collect();
    let guards: Vec<Value> = finalized
        .guards
        .iter()
        .map(|(name, passed, detail)| json!({"name": name, "passed": passed, "detail": detail}))
        .collect();
    let tracks: Map<String, Value> = finalized
        .tracks
        .iter()
        .map(|(name, base, tip)| (name.clone(), json!({"base": base, "final": tip})))
        .collect();
    json!({
        "branch": finalized.branch,
        "base": finalized.base,
        "commits": commits,
        "guards": guards,
        "tracks": tracks,
        "metric": {
            "base": finalized.base_value,
            "final": finalized.final_value,
            "gain": finalized.gain,
            "interval": [finalized.interval.0, finalized.interval.1],
            "pairs": finalized.pairs,
        },
    })
}
