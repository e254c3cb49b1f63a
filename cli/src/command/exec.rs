//! `autoclave exec`.

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use autoclave_runner::campaign::{self, ExecOutcome, ExecRequest, Role};
use autoclave_runner::marker::{self, Marker};
use autoclave_runner::sandbox::{self, OutputSink, Stream};
use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::runtime;

/// Run any command in the sandbox, on a snapshot of HEAD
///
/// Its changes to mutable paths are listed, or committed to a branch. Nothing in the checkout moves.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave exec --write 'src/**' -- sed -i s/a/b/ src/lib.c")]
pub struct ExecArgs {
    /// Take what may change, and limits, from this marker
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// Let paths that match GLOB change; may be given several times
    #[arg(long, value_name = "GLOB", conflicts_with = "marker")]
    write: Vec<String>,
    /// Show of this machine what the preset NAME or the policy FILE in `.autoclave/` says
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "marker")]
    policy: Option<String>,
    /// Run it as measurements run: where `sandbox.measure` says, and with the hidden files
    #[arg(long, requires = "marker")]
    as_measured: bool,
    /// Commit the changes to this new branch
    #[arg(long, value_name = "B")]
    branch: Option<String>,
    /// Write what happened to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Kill the command after this time, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = marker::parse_duration)]
    timeout: std::time::Duration,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command and passes its output on.
///
/// # Errors
///
/// [`Exit::ExecFailed`] when autoclave itself failed.
pub fn run(args: ExecArgs, format: Format) -> Result<Exit, Failure> {
    inner(args, format).map_err(|failure| failure.exiting(Exit::ExecFailed))
}

fn inner(args: ExecArgs, format: Format) -> Result<Exit, Failure> {
    let (repo, marker) = match &args.marker {
        Some(name) => {
            let project = Project::open()?;
            let marker = project.marker(Some(name))?;
            (project.repo, marker)
        }
        None => {
            let repo = project::open_repo()?;
            let mut marker = Marker::for_exec(&args.write);
            if let Some(name) = &args.policy {
                marker.sandbox.policy = project::policy(&repo, name)?;
            }
            (repo, marker)
        }
    };
    let host = project::host_facts()?;
    let mut stdin = Vec::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin()
            .read_to_end(&mut stdin)
            .map_err(|cause| Failure::new(Exit::Internal, cause))?;
    }
    let outcome = runtime::block_on(async |cancel| {
        let request = ExecRequest {
            marker,
            role: if args.as_measured {
                Role::Measure
            } else {
                Role::Agent
            },
            base: None,
            argv: args.command,
            stdin,
            timeout: args.timeout,
            branch: args.branch.clone(),
            host,
            cancel,
        };
        Ok(campaign::exec(repo, request, &mut Passthrough).await?)
    })?;
    let exit = exit_of(outcome.exit);
    let report = to_json(&outcome, exit);
    if let Some(path) = &args.report {
        let text = format!("{report:#}\n");
        std::fs::write(path, text).map_err(|cause| {
            Failure::new(
                Exit::Internal,
                format!("could not write `{}`: {cause}", path.display()),
            )
        })?;
    }
    match format {
        Format::Json => output::print_json(&report)?,
        Format::Text => {
            for change in &outcome.changes.accepted {
                output::note(&format!("{} {}", change.word(), change.path));
            }
            for dropped in &outcome.changes.dropped {
                output::note(&format!("dropped {}: {}", dropped.path, dropped.why));
            }
            if let (Some(branch), Some(commit)) = (&args.branch, &outcome.commit) {
                output::note(&format!("committed {} to {branch}", commit.short()));
            }
        }
    }
    Ok(exit)
}

fn exit_of(exit: sandbox::Exit) -> Exit {
    match exit {
        sandbox::Exit::Code(code) => Exit::Command(u8::try_from(code).unwrap_or(255)),
        sandbox::Exit::Signal(signal) => Exit::Command(u8::try_from(128 + signal).unwrap_or(255)),
        sandbox::Exit::OutOfMemory => Exit::Command(137),
        sandbox::Exit::TimedOut => Exit::ExecTimedOut,
        sandbox::Exit::Cancelled => Exit::Interrupted,
        // As a shell says it: 127 not found, 126 found and not to be run.
        sandbox::Exit::NotStarted { errno: 2 } => Exit::Command(127),
        sandbox::Exit::NotStarted { .. } => Exit::Command(126),
    }
}

/// The shape that scripts rely on; additive only.
fn to_json(outcome: &ExecOutcome, exit: Exit) -> Value {
    let changes: Vec<Value> = outcome
        .changes
        .accepted
        .iter()
        .map(|change| json!({"path": change.path, "kind": change.word()}))
        .collect();
    json!({
        "exit": exit.code(),
        "wall_ms": u64::try_from(outcome.wall.as_millis()).unwrap_or(u64::MAX),
        "cpu_ms": outcome.cpu.map(|cpu| u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX)),
        "backend": outcome.enforcement.backend,
        "level": outcome.enforcement.level,
        "changes": changes,
        "dropped": outcome.changes.dropped,
        "commit": outcome.commit,
    })
}

/// Passes the command's output on as it comes; who stops reading stops nothing.
struct Passthrough;

impl OutputSink for Passthrough {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        let written = match stream {
            Stream::Stdout => std::io::stdout()
                .write_all(chunk)
                .and_then(|()| std::io::stdout().flush()),
            Stream::Stderr => std::io::stderr().write_all(chunk),
        };
        if let Err(cause) = written {
            tracing::debug!(%cause, "nobody reads the output");
        }
    }
}
