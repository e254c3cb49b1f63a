//! `autoclave check`.

use autoclave_runner::campaign::{self, CheckReport, CheckStatus};
use clap::Args;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::runtime;

/// Try everything a run needs, before a night is spent
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave check -m sort-speed")]
pub struct CheckArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
}

/// Checks and prints the findings.
///
/// # Errors
///
/// As the exit codes say; a failed check is [`Exit::Usage`], [`Exit::BaselineNotGreen`] or
/// [`Exit::SandboxNotEnforced`] after its kind.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: CheckArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let has_credential = project::model_service()?.is_some();
    let warnings = project.warnings();
    let report = runtime::block_on(async |cancel| {
        let mut silent = Silent;
        Ok(campaign::preflight(
            project.repo,
            marker,
            has_credential,
            &host,
            &cancel,
            &mut silent,
        )
        .await?)
    })?;
    match format {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&text(&report, &warnings))?,
    }
    let failed = report
        .checks
        .iter()
        .find(|check| check.status == CheckStatus::Failed);
    Ok(match failed.map(|check| check.name.as_str()) {
        None => Exit::Done,
        Some("baseline") => Exit::BaselineNotGreen,
        Some("sandbox" | "policy") => Exit::SandboxNotEnforced,
        Some(_) => Exit::Usage,
    })
}

fn text(report: &CheckReport, warnings: &[String]) -> String {
    let mut text = String::new();
    for warning in warnings {
        text.push_str(&format!("warn  config: {warning}\n"));
    }
    for check in &report.checks {
        let word = match check.status {
            CheckStatus::Ok => "ok   ",
            CheckStatus::Warning => "warn ",
            CheckStatus::Failed => "FAIL ",
        };
        text.push_str(&format!("{word} {}: {}\n", check.name, check.detail));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("      hint: {hint}\n"));
        }
    }
    text.push_str(if report.ok {
        "Ready to run.\n"
    } else {
        "Not ready to run.\n"
    });
    text
}

/// A check reports its findings at the end.
struct Silent;

impl autoclave_runner::event::Reporter for Silent {
    fn event(&mut self, _event: &autoclave_runner::event::Event) {}
}
