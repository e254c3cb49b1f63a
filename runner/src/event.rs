//! What happens in a run, as facts for readers: terminal, JSON lines, report, replay.

use autoclave_policies::Level;
use serde::{Deserialize, Serialize};

use crate::model::{
    CommitId, Cost, Dropped, ExperimentNumber, FinishReason, Metric, RunId, TestsPassed, Tracked,
    Usage, Verdict,
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
        /// Absent where it is the agent's backend.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        measured_in: Option<MeasuredIn>,
        resumed: bool,
    },
    Warning {
        message: String,
    },
    /// Once for each backend, which is named where there are two.
    Preparing {
        command: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
    },
    Prepared {
        seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
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
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tracks: Vec<Tracked>,
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
        /// What decided, in the words of `autoclave why`; absent where that cannot be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
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
        /// Why it failed, what is remarked, or `passed`.
        detail: String,
        /// How many tests passed, where its output tells.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tests: Vec<TestsPassed>,
    },
    /// A failing guard goes back to the agent, with its output unless the guard is hidden.
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
        /// What the runner itself saw of both metric commands; absent in events of before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clocks: Option<PairClocks>,
    },
    /// `finalize` took one reading of each of its sides, in a random order.
    RoundMeasured {
        round: u32,
        of: u32,
        /// The base first, then the branches, then branches without one commit.
        readings: Vec<SideReading>,
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
        /// What guards remarked, for people.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remarks: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tracks: Vec<Tracked>,
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
    /// Another run measures, and measurements of one machine never overlap.
    WaitingForTurn {
        /// The process that measures; `None` in the instant before it has said so.
        pid: Option<u32>,
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

/// The backend of everything that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredIn {
    pub backend: String,
    pub level: Level,
}

/// One reading of one of the states that `finalize` compares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideReading {
    /// For people; a fragment such as `the base`.
    pub side: String,
    pub value: Metric,
}

/// What the runner's own clocks saw of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairClocks {
    pub champion: Clocks,
    pub candidate: Clocks,
}

/// What the runner's own clocks saw of one metric command.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clocks {
    pub wall_seconds: f64,
    /// Of all its processes; `None` where nobody could tell.
    pub cpu_seconds: Option<f64>,
    /// `None` where it was killed.
    pub exit_code: Option<i32>,
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
