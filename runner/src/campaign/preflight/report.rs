//! The findings of `check`.

use serde::Serialize;

use super::super::CampaignError;
use super::super::error::chain;
use super::noise::NoiseFound;
use crate::decide::null::NullReport;
use crate::event::MeasuredIn;
use crate::marker::Problems;
use crate::sandbox::SandboxError;

/// The findings about one marker on this host.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub ok: bool,
    pub backend: Option<String>,
    pub level: Option<autoclave_policies::Level>,
    /// Absent where it is the agent's backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_in: Option<MeasuredIn>,
    /// What the metric's noise means; `None` where the metric gave no number.
    pub noise: Option<NoiseFound>,
    /// What the null experiments showed, where some were asked for.
    pub aa: Option<NullReport>,
    /// In the order they were made.
    pub checks: Vec<Check>,
}

/// One finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub status: CheckStatus,
    /// The first line says it; those after it are what a command printed.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What it is about, and so how the process ends when it failed.
    #[serde(skip)]
    pub area: Area,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Config,
    Agent,
    Repository,
    Sandbox,
    /// `prepare`, guards and metric on the base commit.
    Baseline,
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
    pub(super) fn new() -> Self {
        Self {
            ok: true,
            backend: None,
            level: None,
            measured_in: None,
            noise: None,
            aa: None,
            checks: Vec::new(),
        }
    }

    /// Returns the report on a configuration with problems, one check each.
    pub fn of_problems(problems: &Problems) -> Self {
        let mut report = Self::new();
        report.problems(problems, "config");
        report
    }

    /// Adds a failed check for each problem.
    pub(super) fn problems(&mut self, problems: &Problems, name: &str) {
        for (source, problem) in problems.iter() {
            let place = format!("{}:{}:{}", source.origin, problem.line, problem.column);
            let detail = match problem.key.as_str() {
                "" => format!("{place}: {}", problem.message),
                key => format!("{place}: {key}: {}", problem.message),
            };
            self.fail(Area::Config, name, detail, problem.hint.as_deref());
        }
    }

    pub(super) fn ok(&mut self, area: Area, name: &str, detail: impl Into<String>) {
        self.add(area, name, CheckStatus::Ok, detail.into(), None);
    }

    /// Adds what is as it should be, with what to do where it is not wanted or could be better.
    pub(super) fn noted(&mut self, area: Area, name: &str, detail: String, hint: &str) {
        self.add(area, name, CheckStatus::Ok, detail, Some(hint));
    }

    pub(super) fn warn(
        &mut self,
        area: Area,
        name: &str,
        detail: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.add(area, name, CheckStatus::Warning, detail.into(), hint);
    }

    pub(super) fn fail(
        &mut self,
        area: Area,
        name: &str,
        detail: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.ok = false;
        self.add(area, name, CheckStatus::Failed, detail.into(), hint);
    }

    /// Adds what keeps everything that follows from being tried.
    pub(super) fn error(&mut self, error: &CampaignError) {
        let (area, name, hint) = match error {
            CampaignError::Marker { .. } => (Area::Config, "policy", None),
            CampaignError::Repo(_) => (Area::Repository, "repository", None),
            CampaignError::Refused { .. } => (Area::Sandbox, "policy", None),
            CampaignError::Sandbox(SandboxError::CannotEnforce { .. }) => (
                Area::Sandbox,
                "sandbox",
                Some("run as root, or on a machine that allows user namespaces"),
            ),
            _ => (Area::Sandbox, "sandbox", None),
        };
        self.fail(area, name, chain(error), hint);
    }

    fn add(
        &mut self,
        area: Area,
        name: &str,
        status: CheckStatus,
        detail: String,
        hint: Option<&str>,
    ) {
        self.checks.push(Check {
            name: name.to_owned(),
            status,
            detail,
            hint: hint.map(Into::into),
            area,
        });
    }
}
