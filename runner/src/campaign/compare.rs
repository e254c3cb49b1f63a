//! Champion against candidate, pair by pair, until the evidence decides.

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::clock;
use super::emitter::Emitter;
use super::workshop::Workshop;
use crate::decide::judge::{Comparison, Judgement, PairedRule};
use crate::decide::lines::Lines;
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
    /// What the candidate printed of what guards and tracks read, in all its readings.
    pub lines: Lines,
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
        let mut lines = Lines::default();
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
            lines.add(candidate.lines);
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
                        lines,
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
                        lines,
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
            let verdict = match judgement {
                Judgement::More => continue,
                Judgement::Keep { .. } => Verdict::Keep,
                Judgement::Discard(reason) => Verdict::Discard(reason),
                Judgement::Inconclusive => Verdict::Discard(DiscardReason::Inconclusive),
            };
            return Ok(Compared {
                verdict,
                value: Some(comparison.candidate_value()),
                gain: Some(comparison.gain()),
                pairs: comparison.pairs(),
                detail: found(judgement, comparison.gain()),
                lines,
                output,
            });
        }
    }
}

/// Says for people what a comparison has found; `gain` is relative, as a fraction.
fn found(judgement: Judgement, gain: f64) -> String {
    match judgement {
        Judgement::Keep { fast: true } => "far beyond the noise".to_owned(),
        Judgement::Keep { fast: false } => "the evidence suffices".to_owned(),
        Judgement::Discard(DiscardReason::Worse) if gain <= -0.001 => {
            format!("worse by {:.1} %", -100.0 * gain)
        }
        Judgement::Discard(DiscardReason::Worse) => "worse by less than 0.1 %".to_owned(),
        Judgement::Discard(_) => "no gain of the size looked for".to_owned(),
        Judgement::More | Judgement::Inconclusive => "the allowed pairs did not decide".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discard_says_what_was_found() {
        let worse = Judgement::Discard(DiscardReason::Worse);
        let told = [-1.0, -0.0421, -0.0004, 0.0].map(|gain| found(worse, gain));
        assert_eq!(
            told,
            [
                "worse by 100.0 %",
                "worse by 4.2 %",
                "worse by less than 0.1 %",
                "worse by less than 0.1 %"
            ]
        );
        assert_eq!(
            found(Judgement::Discard(DiscardReason::NoGain), -0.01),
            "no gain of the size looked for"
        );
    }
}
