//! A named goal: what may change, the metric, the guards, the limits.

mod decode;
mod digest;
mod duration;
mod exec;
mod file;
mod goal;
mod golden;
mod guards;
mod keys;
mod means;
mod percent;
mod places;
mod policy_file;
mod schema;
mod size;
mod template;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use autoclave_policies::{HostPolicy, Limits};
pub use autoclave_policies::{Problem, Problems};
use serde::{Deserialize, Serialize};

use crate::model::{Cost, Direction, Metric, TestFormat};

pub use duration::parse_duration;
pub use file::{ConfigFile, parse_config};
pub use places::{RulePlace, RulePlaces};
pub use policy_file::{ReadPolicy, policy_named, preset};
pub use schema::SCHEMA;
pub use template::{TemplateFacts, template};

/// Whose configuration file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Our own, `.autoclave/config.yaml`: what is not known is an error.
    Autoclave,
    /// The older tool's, `.autoresearch/config.yaml`: what is not known is a warning.
    Autoresearch,
}

/// One marker of `.autoclave/config.yaml`, checked: every field holds what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// `[a-z0-9-]+`, unique in its file; also a branch name.
    pub name: String,
    pub description: String,
    pub status: Status,
    pub target: Target,
    pub prepare: Option<Step>,
    pub metric: MetricSpec,
    /// Those that run a command, in the order written; may be empty.
    pub guards: Vec<GuardSpec>,
    /// Those that read what the metric's command prints, in the order written; may be empty.
    #[serde(default)]
    pub line_guards: Vec<LineGuard>,
    /// What the candidate's output is compared on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Golden>,
    /// Names of `METRIC name=value` lines to record; unique; may be empty.
    #[serde(default)]
    pub track: Vec<String>,
    pub limits: LoopLimits,
    pub agent: AgentSpec,
    pub sandbox: SandboxSpec,
}

/// Whether a marker may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Paused,
}

/// What may change, as globs relative to the repository root, checked but not yet compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// At least one.
    pub mutable: Vec<String>,
    pub immutable: Vec<String>,
    pub hidden: Vec<String>,
    pub scratch: Vec<String>,
}

/// A shell command with its time limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Given to `sh -c` inside the sandbox; not empty.
    pub command: String,
    pub timeout: Duration,
}

/// The number to improve and how sure to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    pub command: String,
    /// What stands around `command`, apart from it; without it `command` is its own judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness: Option<MetricHarness>,
    pub extract: Extract,
    pub name: Option<String>,
    pub unit: Option<String>,
    pub direction: Direction,
    /// What the user believes; only compared with what is measured.
    pub baseline: Option<Metric>,
    /// Run once per side before its first measurement.
    pub build: Option<String>,
    pub timeout: Duration,
    /// Smallest relative gain worth keeping, as a fraction (0.03 is 3 %); at least 0.
    pub min_effect: f64,
    /// Relative gain the test is sized for, as a fraction; above 0.
    pub design_effect: f64,
    /// Chance of keeping a candidate that is no better; between 0 and 0.5, exclusive.
    pub alpha: f64,
    /// Pairs after which a comparison is inconclusive; at least 1.
    pub max_pairs: u32,
    /// Stop the run when the champion reaches it.
    pub target: Option<Metric>,
}

/// Commands of the base commit around the metric's, in sandboxes that the candidate is not in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricHarness {
    /// Prints what `metric.command` gets as its standard input.
    pub input: Option<String>,
    /// Gets what `metric.command` printed as its standard input, and prints the number.
    pub check: String,
}

/// Inputs whose output must stay what it is on the base commit, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Golden {
    /// Gets one input as its standard input.
    pub command: String,
    /// Globs of files of the base commit, checked but not yet compiled.
    pub inputs: Vec<String>,
    pub generate: Option<Generate>,
    /// Of `command`, for one input.
    pub timeout: Duration,
}

/// Inputs that are made by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generate {
    /// Prints one input, which it draws by `AUTOCLAVE_SEED`.
    pub command: String,
    /// How many; at least 1.
    pub count: u32,
}

/// How a number is found in what a command prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// A shell filter run in the sandbox over the command's standard output.
    Filter(String),
    /// The first group of a regular expression.
    Regex(String),
    /// `METRIC name=value` lines.
    MetricLines { name: String },
}

/// A check that must not get worse, by a command of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardSpec {
    /// For people, unique; `guard` or `guard-2` where the file gives none.
    pub name: String,
    pub command: String,
    /// Without it the exit code decides.
    pub extract: Option<Extract>,
    /// With `extract`: the bound; `None` is the base's own value.
    pub threshold: Option<Metric>,
    /// `Higher`: at least the threshold; `Lower`: at most.
    pub direction: Direction,
    #[serde(default)]
    pub strictness: Strictness,
    /// Which runner's passed tests are counted, never to be fewer than on the base.
    #[serde(default)]
    pub tests: Counting,
    /// The agent sees nothing of it: neither its command nor files nor output.
    #[serde(default)]
    pub hidden: bool,
    /// It must notice faults that are planted in what it checks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub liveness: bool,
    /// How often a failing guard goes back to the agent, with its output unless it is hidden.
    pub rework_attempts: u32,
    pub timeout: Duration,
}

/// How strictly a guard's bound is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// What is beyond the bound fails, and may go back to the agent.
    #[default]
    Hard,
    /// What is beyond the bound by no more than the tolerance passes with a remark, what is
    /// further fails for good.
    Soft { tolerance: Tolerance },
}

/// How far beyond its bound a number may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// A fraction of the bound's absolute value; at least 0.
    Share(f64),
    /// In the number's own unit; at least 0.
    Amount(f64),
}

/// Which runner's words are looked for in a guard's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// Those of every runner that is known.
    #[default]
    Auto,
    Off,
    Only(TestFormat),
}

/// A check that must not get worse, by a number that the metric's command prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineGuard {
    /// As that of a [`GuardSpec`].
    pub name: String,
    /// Of the `METRIC name=value` line.
    pub line: String,
    /// `None` is the base's own value.
    pub threshold: Option<Metric>,
    pub direction: Direction,
    pub strictness: Strictness,
}

impl Marker {
    /// Returns the names of the `METRIC name=value` lines that guards and tracks read.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let guards = self.line_guards.iter().map(|guard| guard.line.as_str());
        let tracks = self.track.iter().map(String::as_str);
        guards.chain(tracks)
    }
}

/// How long the loop goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopLimits {
    /// Wall time of one agent session.
    pub budget_per_experiment: Duration,
    pub max_experiments: u32,
    pub max_cost_usd: Option<Cost>,
    /// Experiments in a row without a keep after which the run stops.
    pub stop_after_no_gain: u32,
    /// Experiments in a row without a keep before the brief asks to refine, then to pivot.
    pub refine_after: u32,
    pub pivot_after: u32,
    /// Pivots without a keep before the brief asks to look from outside, and before the run stops.
    pub pivots_before_outside: u32,
    pub pivots_before_stop: u32,
}

/// Which agent works, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    pub name: String,
    pub model: Option<String>,
    /// Claude Code's permission mode; `bypassPermissions` is `--dangerously-skip-permissions`.
    pub permission_mode: String,
    pub allowed_tools: Vec<String>,
    pub disallowed_tools: Vec<String>,
    /// Program and leading arguments; not empty.
    pub command: Vec<String>,
    pub protocol: Protocol,
    pub max_turns: Option<u32>,
    /// In a container, the host's own agent is mounted; otherwise the image has one.
    #[serde(default)]
    pub from_host: bool,
}

/// How an agent is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Claude Code's stream-json.
    ClaudeCode,
    /// Any program: the brief on standard input, plain text out, the exit code counts.
    None,
}

/// The image that `sandbox-images/build` makes.
pub const DEFAULT_IMAGE: &str = "autoclave/claude-code:2.1.197";

/// Where and with what the executions run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxSpec {
    pub backend: BackendChoice,
    /// What containers are made of, as the engine names it.
    #[serde(default)]
    pub image: String,
    /// What contains everything that is measured; `None` is what contains the agent.
    #[serde(default)]
    pub measure: Option<BackendKind>,
    /// As it was when the configuration was read, be it a preset or a file of the checkout.
    pub policy: HostPolicy,
    /// Host paths that are visible read-only; a leading `~/` is the user's home.
    pub read: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
    /// Weaker levels the user accepts by name.
    pub allow_degraded: Vec<String>,
}

impl SandboxSpec {
    /// Leaves the agent's backend as the only one.
    pub fn keep_agents(&mut self) {
        self.measure = None;
    }

    /// Leaves the backend of measurements as the only one.
    pub fn keep_measurements(&mut self) {
        if let Some(kind) = self.measure.take() {
            self.backend = kind.into();
        }
    }
}

/// Which backend contains the executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendChoice {
    Auto,
    Process,
    Container,
}

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    Process,
    Container,
}

impl BackendKind {
    /// Returns what it is called in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
        }
    }
}

impl From<BackendKind> for BackendChoice {
    fn from(kind: BackendKind) -> Self {
        match kind {
            BackendKind::Process => Self::Process,
            BackendKind::Container => Self::Container,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}
