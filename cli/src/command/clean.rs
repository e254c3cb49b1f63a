//! `autoclave clean`.

use autoclave_runner::campaign::{CleanRequest, clean};
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project;

/// Remove ended runs and what killed ones left behind
///
/// Commits of kept experiments stay pinned unless --kept is given.
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
    let request = CleanRequest {
        dry_run: args.dry_run,
        kept_too: args.kept,
    };
    let removed = clean(&repo, &request)?;
    match format {
        Format::Json => output::print_json(&json!({"removed": removed, "dry_run": args.dry_run}))?,
        Format::Text => {
            let word = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            let mut text: String = removed
                .iter()
                .map(|run| format!("{word} {run}\n"))
                .collect();
            if removed.is_empty() {
                text.push_str("Nothing to remove.\n");
            }
            output::print(&text)?;
        }
    }
    Ok(Exit::Done)
}
