//! Champion against candidate, pair by pair, until the evidence decides.

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::clock;
use super::emitter::Emitter;
use super::workshop::Workshop;
use crate::decide::judge::{Comparison, Judgement, PairedRule};
use crate::event::EventKind;
use crate::model::{DiscardReason, ExperimentNumber, Metric, Verdict};
use crate::sandbox::{Exit, Snapshot};

/// What a comparison came to.
#[derive(Debug)]
pub(super) struct Compared {
    pub verdict: Verdict,
    pub value: Option<Metric>,
    pub gain: Option<f64>,
    pub pairs: u32,
    pub detail: String,
    /// What the candidate printed last, for people.
    pub output: String,
}

/// The two built snapshots of a comparison.
pub(super) struct Sides<'a> {
    pub champion: &'a Snapshot,
    pub candidate: &'a Snapshot,
}

impl Workshop {
    /// Measures pairs in random order until the rule decides.
    pub(super) async fn compare(
        &self,
        sides: Sides<'_>,
        rule: PairedRule,
        experiment: ExperimentNumber,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Compared, CampaignError> {
        let mut comparison = Comparison::new(rule);
        let mut output = String::new();
        loop {
            let candidate_first = clock::dice() & 1 == 1;
            let (first, second) = if candidate_first {
                (sides.candidate, sides.champion)
            } else {
                (sides.champion, sides.candidate)
            };
            let mut readings = [
                self.read_metric(first, cancel).await?,
                self.read_metric(second, cancel).await?,
            ];
            if candidate_first {
                readings.swap(0, 1);
            }
            let [champion, candidate] = readings;
            output.clear();
            output.push_str(&candidate.output);
            let pairs = comparison.pairs();
            let champion = match champion.value {
                Ok(value) => value,
                Err(why) => {
                    let detail = format!("the champion gave no metric: {why}");
                    let verdict = Verdict::Void(crate::model::VoidReason::Infrastructure);
                    return Ok(Compared {
                        verdict,
                        value: None,
                        gain: None,
                        pairs,
                        detail,
                        output,
                    });
                }
            };
            let candidate = match candidate.value {
                Ok(value) => value,
                Err(why) => {
                    let reason = match candidate.exit {
                        Exit::TimedOut => DiscardReason::TimedOut,
                        _ => DiscardReason::NoMetric,
                    };
                    let verdict = Verdict::Discard(reason);
                    return Ok(Compared {
                        verdict,
                        value: None,
                        gain: None,
                        pairs,
                        detail: why,
                        output,
                    });
                }
            };
            let judgement = comparison.push(champion, candidate);
            let (evidence, threshold) = comparison.evidence();
            emitter.emit(EventKind::PairMeasured {
                experiment,
                pair: comparison.pairs(),
                champion,
                candidate,
                gain: comparison.last_gain(),
                evidence,
                threshold,
            });
            let (verdict, detail) = match judgement {
                Judgement::More => continue,
                Judgement::Keep { fast: true } => (Verdict::Keep, "far beyond the noise"),
                Judgement::Keep { fast: false } => (Verdict::Keep, "the evidence suffices"),
                Judgement::Discard(reason) => {
                    (Verdict::Discard(reason), "no gain of the size looked for")
                }
                Judgement::Inconclusive => (
                    Verdict::Discard(DiscardReason::Inconclusive),
                    "the allowed pairs did not decide",
                ),
            };
            return Ok(Compared {
                verdict,
                value: Some(comparison.candidate_value()),
                gain: Some(comparison.gain()),
                pairs: comparison.pairs(),
                detail: detail.into(),
                output,
            });
        }
    }
}
