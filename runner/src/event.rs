//! What happens in a run, as facts for readers: terminal, JSON lines, report, replay.

use autoclave_policies::Level;
use serde::{Deserialize, Serialize};

use crate::model::{
    CommitId, Cost, Dropped, ExperimentNumber, FinishReason, Metric, RunId, Usage, Verdict,
};

/// One fact of a run. Facts only: nothing of how to show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Version of this format; 1.
    pub v: u32,
    /// Position in the run's stream, from 1, without gaps.
    pub seq: u64,
    /// When it was emitted; milliseconds since 1970.
    pub at_ms: i64,
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    RunStarted {
        run: RunId,
        marker: String,
        base: CommitId,
        backend: String,
        level: Level,
        resumed: bool,
    },
    Warning {
        message: String,
    },
    Preparing {
        command: String,
    },
    Prepared {
        seconds: f64,
    },
    /// One reading of the base commit.
    BaselineReading {
        value: Metric,
        seconds: f64,
    },
    /// `noise` is the relative standard deviation of one reading, as a fraction.
    BaselineMeasured {
        value: Metric,
        noise: f64,
        readings: u32,
    },
    ExperimentStarted {
        experiment: ExperimentNumber,
        of: u32,
        champion: CommitId,
        champion_value: Metric,
    },
    AgentStarted {
        experiment: ExperimentNumber,
        session: Option<String>,
        model: Option<String>,
    },
    /// Something the agent wrote for people; cut to 2,000 characters.
    AgentText {
        experiment: ExperimentNumber,
        text: String,
    },
    AgentTool {
        experiment: ExperimentNumber,
        tool: String,
        summary: String,
    },
    /// A tool call that the sandbox or a permission rule refused.
    AgentDenied {
        experiment: ExperimentNumber,
        tool: String,
        message: String,
    },
    AgentRetry {
        experiment: ExperimentNumber,
        attempt: u32,
        error_status: Option<u16>,
        delay_ms: u64,
    },
    AgentFinished {
        experiment: ExperimentNumber,
        usage: Usage,
        seconds: f64,
        outcome: String,
    },
    CandidateBuilt {
        experiment: ExperimentNumber,
        commit: CommitId,
        paths: u32,
        dropped: Vec<Dropped>,
    },
    GuardStarted {
        experiment: Option<ExperimentNumber>,
        guard: String,
    },
    GuardFinished {
        experiment: Option<ExperimentNumber>,
        guard: String,
        passed: bool,
        value: Option<Metric>,
        detail: String,
    },
    /// A failing guard's output goes back to the agent.
    Rework {
        experiment: ExperimentNumber,
        guard: String,
        attempt: u32,
        of: u32,
    },
    /// One pair measured; `gain` is its relative gain. `evidence` is ln E and keeps the candidate at
    /// `threshold`, ln(1/alpha); `against` is ln F and lets it go at `against_threshold`.
    PairMeasured {
        experiment: ExperimentNumber,
        pair: u32,
        champion: Metric,
        candidate: Metric,
        gain: f64,
        evidence: f64,
        threshold: f64,
        #[serde(default)]
        against: f64,
        #[serde(default)]
        against_threshold: f64,
        /// The candidate was measured before the champion.
        #[serde(default)]
        candidate_first: bool,
        /// What the pair took, sandboxes included.
        #[serde(default)]
        seconds: f64,
    },
    Decided {
        experiment: ExperimentNumber,
        verdict: Verdict,
        commit: Option<CommitId>,
        value: Option<Metric>,
        gain: Option<f64>,
        pairs: u32,
        /// What measuring the pairs took, of `seconds`.
        #[serde(default)]
        measuring_seconds: f64,
        cost_usd: Cost,
        seconds: f64,
        summary: String,
        /// Why, for people.
        detail: String,
        /// What it took in sandboxes; absent where a killed run decided and a later one tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        executions: Option<Executions>,
    },
    /// A commit was compared with itself, where a keep is false; outside of runs.
    NullMeasured {
        number: u32,
        of: u32,
        verdict: Verdict,
        gain: f64,
        pairs: u32,
        seconds: f64,
    },
    /// The run waits; `until_ms` is in milliseconds since 1970.
    Waiting {
        reason: String,
        until_ms: i64,
    },
    RunFinished {
        run: RunId,
        reason: FinishReason,
        kept: u32,
        experiments: u32,
        champion: CommitId,
        champion_value: Metric,
    },
}

/// What the sandboxes of an experiment took; the rest of its time is the runner's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Executions {
    pub count: u32,
    /// Inside the commands of the agent and the harness.
    pub command_seconds: f64,
    /// Making the sandboxes around them, up to their proof.
    pub sandbox_seconds: f64,
}

/// Reads events as they happen. A reader that fails never stops a run.
pub trait Reporter: Send {
    fn event(&mut self, event: &Event);
}
