//! Why a run ended.

use serde::{Deserialize, Serialize};

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    MaxExperiments,
    MaxCost,
    TargetReached,
    /// Too many experiments in a row without a keep.
    NoGain,
    /// Other approaches were asked for as often as allowed, without a keep.
    PivotsExhausted,
    /// Several experiments in a row failed for reasons that are not theirs.
    Infrastructure,
}

impl FinishReason {
    /// Returns the reason in its serialized spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxExperiments => "max_experiments",
            Self::MaxCost => "max_cost",
            Self::TargetReached => "target_reached",
            Self::NoGain => "no_gain",
            Self::PivotsExhausted => "pivots_exhausted",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl std::fmt::Display for FinishReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_reasons_are_spelled_as_they_are_serialized() {
        for reason in [
            FinishReason::MaxExperiments,
            FinishReason::MaxCost,
            FinishReason::TargetReached,
            FinishReason::NoGain,
            FinishReason::PivotsExhausted,
            FinishReason::Infrastructure,
        ] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
        }
    }
}
