//! `autoclave run`.

use std::path::PathBuf;

use autoclave_runner::campaign::{self, RunRequest};
use autoclave_runner::model::FinishReason;
use clap::Args;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::log::{Log, Logged};
use crate::output::Format;
use crate::project::{self, Project};
use crate::reporter::words;
use crate::{reporter, runtime, service};

/// Run a marker's experiments, or go on with an unfinished run
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave run -m sort-speed --experiments 5")]
pub struct RunArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// Experiments at most, instead of `loop.max_experiments`
    #[arg(long, value_name = "N")]
    experiments: Option<u32>,
    /// The commit to start from, instead of HEAD
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Start afresh even where an unfinished run could go on
    #[arg(long)]
    new: bool,
    /// Read the credential from this file, instead of the one AUTOCLAVE_CREDENTIAL_FILE names
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
}

/// Runs the loop and shows it.
///
/// # Errors
///
/// As the exit codes say.
pub fn run(args: RunArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.active_marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let service = service::from_environment(args.credential_file.as_deref())?;
    let warnings = project.warnings();
    let places = project.config.file.places_of(&marker.name);
    let mut reporter = Logged {
        reporter: reporter::standard(format),
        log: Log::start()?,
        runs_dir: project.repo.runs_dir(),
    };
    let outcome = runtime::block_on(async |cancel| {
        let request = RunRequest {
            marker,
            places,
            experiments: args.experiments,
            base: args.base,
            fresh: args.new,
            service,
            warnings,
            host,
            cancel,
        };
        campaign::run(project.repo, request, &mut reporter)
            .await
            .map_err(|error| project.config.failure(error))
    })?;
    match outcome.reason {
        FinishReason::Infrastructure => Err(Failure::new(
            Exit::UsageLimitOrInfrastructure,
            words::finish(outcome.reason),
        )
        .hint("`autoclave results` says which; `autoclave run` goes on with the same run.")),
        _ if outcome.kept == 0 => Ok(Exit::NothingKept),
        _ => Ok(Exit::Done),
    }
}
