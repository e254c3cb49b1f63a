//! What `check` finds out before a night is spent.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::capture::Capture;
use super::emitter::Emitter;
use super::workshop::{HostFacts, Workshop};
use crate::agent;
use crate::decide::judge::PairedRule;
use crate::decide::noise;
use crate::event::Reporter;
use crate::marker::{Marker, Protocol};
use crate::repo::Repo;

/// How long the agent's binary may take to tell its version.
const AGENT_ANSWERS_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// The findings about one marker on this host.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub ok: bool,
    pub backend: Option<String>,
    pub level: Option<autoclave_policies::Level>,
    /// In the order they were made.
    pub checks: Vec<Check>,
}

/// One finding.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: String,
    pub status: CheckStatus,
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Ok,
    Warning,
    Failed,
}

impl CheckReport {
    fn add(
        &mut self,
        name: &str,
        status: CheckStatus,
        detail: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.ok &= status != CheckStatus::Failed;
        self.checks.push(Check {
            name: name.into(),
            status,
            detail: detail.into(),
            hint: hint.map(Into::into),
        });
    }
}

/// Tries everything a run of `marker` needs, up to the noise of its metric.
///
/// # Errors
///
/// [`CampaignError::Interrupted`]; every other failure is a finding.
pub async fn preflight(
    repo: Repo,
    marker: Marker,
    has_credential: bool,
    host: &HostFacts,
    cancel: &CancellationToken,
    reporter: &mut dyn Reporter,
) -> Result<CheckReport, CampaignError> {
    let mut report = CheckReport {
        ok: true,
        backend: None,
        level: None,
        checks: Vec::new(),
    };
    check_agent(&marker, has_credential, host, &mut report).await;
    let base = match repo.resolve(None) {
        Ok(base) => base,
        Err(error) => {
            report.add(
                "base commit",
                CheckStatus::Failed,
                error.to_string(),
                Some("commit something first"),
            );
            return Ok(report);
        }
    };
    report.add("base commit", CheckStatus::Ok, base.short(), None);
    let workshop = match Workshop::open(repo, marker, base, host) {
        Ok(workshop) => workshop,
        Err(error) => {
            report.add("policy", CheckStatus::Failed, chain(&error), None);
            return Ok(report);
        }
    };
    describe_policy(&workshop, &mut report);
    match measure(&workshop, &mut report, cancel, reporter).await {
        Err(CampaignError::Interrupted) => Err(CampaignError::Interrupted),
        Err(error @ (CampaignError::BaselineNotGreen(_) | CampaignError::Prepare(_))) => {
            let hint =
                "make the base commit green first; what needs the network belongs into `prepare`";
            report.add(
                "baseline",
                CheckStatus::Failed,
                error.to_string(),
                Some(hint),
            );
            Ok(report)
        }
        Err(error) => {
            report.add("sandbox", CheckStatus::Failed, chain(&error), None);
            Ok(report)
        }
        Ok(()) => Ok(report),
    }
}

async fn check_agent(
    marker: &Marker,
    has_credential: bool,
    host: &HostFacts,
    report: &mut CheckReport,
) {
    let command = marker.agent.command.first().map_or("", String::as_str);
    if marker.agent.protocol == Protocol::None {
        report.add(
            "agent",
            CheckStatus::Ok,
            format!("`{command}`, looked up in the sandbox"),
            None,
        );
        return;
    }
    let hint =
        "install Claude Code (`npm install -g @anthropic-ai/claude-code`) or set `agent.command`";
    match agent::locate(command, host.path.as_deref()) {
        Err(error) => report.add("agent", CheckStatus::Failed, error.to_string(), Some(hint)),
        Ok(program) => match agent::version(&program, AGENT_ANSWERS_WITHIN).await {
            Ok(version) => report.add("agent", CheckStatus::Ok, version, None),
            Err(error) => report.add("agent", CheckStatus::Failed, chain(&error), Some(hint)),
        },
    }
    if has_credential {
        report.add(
            "credential",
            CheckStatus::Ok,
            "found; only the gateway will hold it",
            None,
        );
    } else {
        let hint = "set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN";
        report.add(
            "credential",
            CheckStatus::Failed,
            "no credential in the environment",
            Some(hint),
        );
    }
}

fn describe_policy(workshop: &Workshop, report: &mut CheckReport) {
    let enforcement = workshop.sandbox.enforcement();
    let layers: Vec<String> = enforcement
        .layers
        .iter()
        .map(|layer| format!("{}: {}", layer.name, layer.detail))
        .collect();
    report.backend = Some(enforcement.backend.clone());
    report.level = Some(enforcement.level);
    report.add(
        "backend",
        CheckStatus::Ok,
        format!("{}; {}", enforcement.backend, layers.join("; ")),
        None,
    );
    let grants = workshop.plan.grants.len();
    report.add(
        "policy",
        CheckStatus::Ok,
        format!("{grants} grants, everything else read-only"),
        None,
    );
    if !workshop.plan.in_place.is_empty() {
        let list: Vec<String> = workshop
            .plan
            .in_place
            .iter()
            .take(10)
            .map(ToString::to_string)
            .collect();
        report.add(
            "in place",
            CheckStatus::Warning,
            format!(
                "files in these directories can be edited but not created: {}",
                list.join(", ")
            ),
            Some("run as root, or make the whole directory mutable"),
        );
    }
}

async fn measure(
    workshop: &Workshop,
    report: &mut CheckReport,
    cancel: &CancellationToken,
    reporter: &mut dyn Reporter,
) -> Result<(), CampaignError> {
    let mut emitter = Emitter::unrecorded(reporter);
    let base = workshop.base().await?;
    let mut output = Capture::new(4096);
    let timeout = std::time::Duration::from_secs(60);
    // Every execution proves its enforcement by canaries before its command starts.
    let finished = workshop
        .shell(
            &base.agent,
            "true",
            Vec::new(),
            timeout,
            cancel,
            &mut output,
        )
        .await?;
    drop(finished);
    report.add(
        "canaries",
        CheckStatus::Ok,
        "write outside, connect out: denied in the sandbox",
        None,
    );
    let base = workshop.prepare(base, &mut emitter, cancel).await?;
    let (baseline, _) = workshop
        .baseline(&base.measured, &mut emitter, cancel)
        .await?;
    report.add(
        "guards",
        CheckStatus::Ok,
        format!("{} green on the base", baseline.guards.len()),
        None,
    );
    let metric = &workshop.marker.metric;
    let unit = metric.unit.as_deref().unwrap_or("");
    report.add(
        "metric",
        CheckStatus::Ok,
        format!("{}{unit} on the base", baseline.value),
        None,
    );
    let percent = 100.0 * metric.design_effect;
    let noise_percent = 100.0 * baseline.noise;
    let detail = if baseline.noise == 0.0 {
        "none: the readings are equal, a comparison takes 2 pairs".to_owned()
    } else {
        let (low, high) = noise::expected_pairs(&PairedRule::new(metric, baseline.noise));
        format!(
            "{noise_percent:.1} %: finding {percent:.0} % takes about {} to {} runs",
            2 * low,
            2 * high
        )
    };
    report.add("noise", CheckStatus::Ok, detail, None);
    Ok(())
}

/// Writes an error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
