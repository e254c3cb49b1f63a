//! How an experiment ends, as far as that is known before it is written down.

use super::CampaignError;
use super::run::Campaign;
use super::session::Session;
use crate::agent::AgentOutcome;
use crate::decide::patience::Refusal;
use crate::model::{DiscardReason, FinishReason, Metric, Verdict, VoidReason};
use crate::sandbox::Snapshot;

/// The end of an attempt.
pub(super) struct Ending {
    pub verdict: Verdict,
    pub value: Option<Metric>,
    pub gain: Option<f64>,
    pub pairs: u32,
    pub spread: Option<f64>,
    pub measuring_seconds: f64,
    pub detail: String,
    /// The candidate, built; only with [`Verdict::Keep`].
    pub kept: Option<Snapshot>,
    /// Why the next experiment has to wait.
    pub refusal: Option<Refusal>,
    /// The run ends with this experiment.
    pub finish: Option<FinishReason>,
    /// Why the run cannot go on after this experiment.
    pub fatal: Option<CampaignError>,
}

impl Ending {
    pub(super) fn new(verdict: Verdict, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            verdict,
            value: None,
            gain: None,
            pairs: 0,
            spread: None,
            measuring_seconds: 0.0,
            detail,
            kept: None,
            refusal: None,
            finish: None,
            fatal: None,
        }
    }

    pub(super) fn void(reason: VoidReason, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Void(reason), detail)
    }

    /// Ends the experiment and, with `error`, the run.
    pub(super) fn fatal(reason: VoidReason, error: CampaignError) -> Self {
        Self {
            fatal: Some(error),
            ..Self::void(reason, "")
        }
    }

    pub(super) fn discard(reason: DiscardReason, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Discard(reason), detail)
    }
}

impl Campaign<'_> {
    /// Returns the ending of an experiment whose session was stopped from outside, if it was.
    pub(super) fn stopped_by(&self, session: &Session) -> Option<Ending> {
        match &session.report.outcome {
            AgentOutcome::Finished | AgentOutcome::Failed { .. } => None,
            AgentOutcome::UsageLimit { reset_ms } => Some(Ending {
                refusal: Some(Refusal::UsageLimit {
                    reset_ms: *reset_ms,
                }),
                ..Ending::void(VoidReason::UsageLimit, "the model's usage limit")
            }),
            AgentOutcome::Overloaded { message } => Some(Ending {
                refusal: Some(Refusal::Overloaded),
                ..Ending::void(VoidReason::Overloaded, message.clone())
            }),
            AgentOutcome::Unauthorized { message } => Some(Ending {
                detail: message.clone(),
                ..Ending::fatal(
                    VoidReason::Infrastructure,
                    CampaignError::Unauthorized(message.clone()),
                )
            }),
            AgentOutcome::TimedOut => Some(Ending::discard(
                DiscardReason::TimedOut,
                "the agent used up its time",
            )),
            AgentOutcome::BudgetExceeded => Some(Ending {
                finish: Some(FinishReason::MaxCost),
                ..Ending::void(VoidReason::Cancelled, "the money of the run is spent")
            }),
            AgentOutcome::Cancelled => Some(Ending::void(VoidReason::Cancelled, "cancelled")),
            AgentOutcome::NotStarted { errno } => {
                let cause = std::io::Error::from_raw_os_error(*errno);
                let command = self.workshop.marker.agent.command.join(" ");
                Some(Ending {
                    detail: format!("the agent could not be started: {cause}"),
                    ..Ending::fatal(
                        VoidReason::Infrastructure,
                        CampaignError::AgentNotStarted { command, cause },
                    )
                })
            }
        }
    }
}
