//! How an experiment ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an experiment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate is the new champion.
    Keep,
    /// The candidate counts, and is not kept.
    Discard(DiscardReason),
    /// The experiment does not count.
    Void(VoidReason),
}

/// Why a candidate is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscardReason {
    /// Measurably worse than the champion.
    Worse,
    /// No gain of the size worth keeping.
    NoGain,
    /// The allowed number of pairs did not decide.
    Inconclusive,
    GuardFailed,
    /// The metric command failed, or printed no number, or more than one.
    NoMetric,
    /// The agent changed nothing that may change.
    NoChange,
    /// The agent ended with an error of its own.
    AgentFailed,
    TimedOut,
    /// The candidate broke a rule; the event says which.
    Violation,
}

/// Why an experiment does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// The model's service refused for now; waiting helps.
    UsageLimit,
    /// The model's service failed or could not be reached; waiting helps.
    Overloaded,
    /// Our machinery failed.
    Infrastructure,
    Cancelled,
}

impl Verdict {
    /// Says whether the experiment uses up one of the allowed number.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Void(_))
    }

    /// Returns the first word: `keep`, `discard` or `void`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Discard(_) => "discard",
            Self::Void(_) => "void",
        }
    }

    /// Returns the reason in its serialized spelling; `None` for `keep`.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Keep => None,
            Self::Discard(reason) => Some(reason.as_str()),
            Self::Void(reason) => Some(reason.as_str()),
        }
    }
}

impl DiscardReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::NoGain => "no_gain",
            Self::Inconclusive => "inconclusive",
            Self::GuardFailed => "guard_failed",
            Self::NoMetric => "no_metric",
            Self::NoChange => "no_change",
            Self::AgentFailed => "agent_failed",
            Self::TimedOut => "timed_out",
            Self::Violation => "violation",
        }
    }
}

impl VoidReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsageLimit => "usage_limit",
            Self::Overloaded => "overloaded",
            Self::Infrastructure => "infrastructure",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str(self.word()),
            Some(reason) => write!(f, "{}({reason})", self.word()),
        }
    }
}
