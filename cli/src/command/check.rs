//! `autoclave check`.

use autoclave_policies::steers_terminal;
use autoclave_runner::campaign::{self, Area, CheckReport, CheckStatus, PreflightRequest};
use autoclave_runner::event::{Event, EventKind, Reporter};
use clap::Args;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Config, NoConfig, Project};
use crate::{explanation, reporter, runtime, sandbox_hint, service};

/// Try everything a run needs, before a night is spent
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  autoclave check -m sort-speed\n  autoclave check --aa 50    \
                  compare the base with itself 50 times: every keep would be false\n  autoclave check --explain  \
                  say what the sandboxes will enforce; `autoclave why PATH` asks about one path"
)]
pub struct CheckArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// Compare the base with itself N times, for real, and count the keeps; Ctrl-C ends it early
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    aa: Option<u32>,
    /// Print what the sandboxes will enforce, and run nothing
    #[arg(long, conflicts_with = "aa")]
    explain: bool,
}

/// Checks and prints the findings.
///
/// # Errors
///
/// As the exit codes say; the first failed check decides which.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: CheckArgs, format: Format) -> Result<Exit, Failure> {
    if args.explain {
        return explain(&args, format);
    }
    let repo = project::open_repo()?;
    let report = match Config::read(&repo) {
        Err(NoConfig::Absent(failure)) => return Err(failure),
        Err(NoConfig::Wrong(problems)) => {
            if format == Format::Text {
                // With the lines themselves and a caret, which the report has no room for.
                return Err(project::wrong(&problems));
            }
            CheckReport::of_problems(&problems)
        }
        Ok(config) => preflight(Project { repo, config }, &args, format)?,
    };
    match format {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&text(&report))?,
    }
    if report.aa.as_ref().is_some_and(|aa| aa.interrupted) {
        return Ok(Exit::Interrupted);
    }
    let mut checks = report.checks.iter();
    let failed = checks.find(|check| check.status == CheckStatus::Failed);
    Ok(match failed.map(|check| check.area) {
        None => Exit::Done,
        Some(Area::Config) => Exit::Usage,
        Some(Area::Agent) => Exit::UsageLimitOrInfrastructure,
        Some(Area::Repository) => Exit::RepositoryOrLedger,
        Some(Area::Sandbox) => Exit::SandboxNotEnforced,
        Some(Area::Baseline) => Exit::BaselineNotGreen,
    })
}

/// Prints the plan of the marker.
fn explain(args: &CheckArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let explanation = runtime::block_on(async |_cancel| {
        Ok(campaign::explain(project.repo, marker, &host).await?)
    })?;
    match format {
        Format::Json => output::print_json(&explanation)?,
        Format::Text => output::print(&explanation::text(&explanation))?,
    }
    Ok(Exit::Done)
}

fn preflight(project: Project, args: &CheckArgs, format: Format) -> Result<CheckReport, Failure> {
    let marker = project.marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let warnings = project.warnings();
    let found = service::from_environment(None);
    let service = match &found {
        Ok(Some(service)) => Ok(service),
        Ok(None) => Err("no credential in the environment".to_owned()),
        Err(failure) => Err(failure.message()),
    };
    let mut reporter = NullExperiments {
        progress: (format == Format::Text).then(|| reporter::standard(format)),
    };
    runtime::block_on(async |cancel| {
        let request = PreflightRequest {
            config: &project.config.file,
            warnings,
            marker,
            service,
            host: &host,
            null_experiments: args.aa.unwrap_or(0),
            hint: sandbox_hint::hint,
        };
        Ok(campaign::preflight(project.repo, request, &cancel, &mut reporter).await?)
    })
}

fn text(report: &CheckReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let word = match check.status {
            CheckStatus::Ok => "ok   ",
            CheckStatus::Warning => "warn ",
            CheckStatus::Failed => "FAIL ",
        };
        let mut lines = check.detail.lines().map(printable);
        let first = lines.next().unwrap_or_default();
        text.push_str(&format!("{word} {}: {first}\n", check.name));
        text.extend(lines.map(|line| format!("        {line}\n")));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("      hint: {}\n", printable(hint)));
        }
    }
    text.push_str(if report.ok {
        "Ready to run.\n"
    } else {
        "Not ready to run.\n"
    });
    text
}

/// Replaces what would steer a terminal: a harness's output cannot.
fn printable(line: &str) -> String {
    let visible = |c: char| if steers_terminal(c) { ' ' } else { c };
    line.chars().map(visible).collect()
}

/// A check reports its findings at the end; only null experiments take long enough to be told one
/// by one.
struct NullExperiments {
    /// `None` for programs.
    progress: Option<Box<dyn Reporter>>,
}

impl Reporter for NullExperiments {
    fn event(&mut self, event: &Event) {
        if let (Some(progress), EventKind::NullMeasured { .. }) = (&mut self.progress, &event.kind)
        {
            progress.event(event);
        }
    }
}
