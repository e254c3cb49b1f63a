//! `autoclave clean`.

use autoclave_runner::campaign::{CleanRequest, clean};
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project;

/// Remove old runs and what killed ones left behind
///
/// Old are those that ended, and those that were left for a newer run of their marker. An unfinished
/// run that can go on stays. Commits of kept experiments stay pinned unless --kept is given.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave clean --dry-run")]
pub struct CleanArgs {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Remove the pins of kept experiments, too
    #[arg(long)]
    kept: bool,
}

/// Removes and lists what was removed.
///
/// # Errors
///
/// Those of the repository.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: CleanArgs, format: Format) -> Result<Exit, Failure> {
    let repo = project::open_repo()?;
    let host = project::host_facts()?;
    let request = CleanRequest {
        dry_run: args.dry_run,
        kept_too: args.kept,
        state: &host.state,
    };
    let cleaned = clean(&repo, &request)?;
    match format {
        Format::Json => output::print_json(&json!({
            "removed": cleaned.runs,
            "leftovers": cleaned.leftovers,
            "in_use": cleaned.in_use,
            "dry_run": args.dry_run,
        }))?,
        Format::Text => {
            let word = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            let runs = cleaned.runs.iter().map(|run| format!("{word} run {run}\n"));
            let leftovers = cleaned
                .leftovers
                .iter()
                .map(|label| format!("{word} leftover {}\n", host.state.join(label).display()));
            let in_use = cleaned
                .in_use
                .iter()
                .map(|marker| format!("left the runs of {marker} alone: it is being run\n"));
            let mut text: String = runs.chain(leftovers).chain(in_use).collect();
            if text.is_empty() {
                text.push_str("Nothing to remove.\n");
            }
            output::print(&text)?;
        }
    }
    Ok(Exit::Done)
}
