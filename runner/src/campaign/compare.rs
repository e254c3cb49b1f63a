//! Champion against candidate, pair by pair, until the evidence decides.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::measure::Reading;
use super::workshop::Workshop;
use crate::decide::dice::Dice;
use crate::decide::judge::{Comparison, Judgement, PairedRule};
use crate::decide::lines::Lines;
use crate::decide::plausible::{Account, Accounts};
use crate::event::{EventKind, PairClocks};
use crate::model::{DiscardReason, ExperimentNumber, Metric, Verdict, VoidReason};
use crate::sandbox::{Exit, Snapshot};

/// Who is compared, and how.
pub(super) struct Contest<'a> {
    /// Built, as the candidate is; measured afresh in every pair.
    pub champion: &'a Snapshot,
    pub candidate: &'a Snapshot,
    pub rule: PairedRule,
    /// What the champion read before; only tells whether the metric is deterministic.
    pub expected: Metric,
    /// The base commit, not built: what the commands around the metric's run on.
    pub base: &'a Snapshot,
    /// Decides who is measured first in each pair, and by which seed.
    pub dice: Dice,
}

/// What a seed is drawn for; see [`Dice::apart`].
pub(super) mod purpose {
    pub const PAIRS: u64 = 1;
    pub const PAIRS_AGAIN: u64 = 2;
    pub const FAULTS: u64 = 3;
}

/// One pair that was measured, and what all pairs until then say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub number: u32,
    pub champion: Metric,
    pub candidate: Metric,
    pub gain: f64,
    pub log_gain: f64,
    /// Evidence for the candidate and where it suffices.
    pub evidence: (f64, f64),
    /// Evidence against the candidate and where it suffices.
    pub against: (f64, f64),
    pub candidate_first: bool,
    pub seconds: f64,
    pub clocks: PairClocks,
}

/// What a comparison came to.
#[derive(Debug)]
pub(super) struct Compared {
    pub verdict: Verdict,
    pub value: Option<Metric>,
    pub gain: Option<f64>,
    pub pairs: u32,
    pub spread: Option<f64>,
    pub seconds: f64,
    pub detail: String,
    /// What the candidate printed of what guards and tracks read, in all its readings.
    pub lines: Lines,
    /// Its readings beside the runner's clocks.
    pub accounts: Accounts,
    /// What the runner saw of a last pair that gave no two numbers.
    pub broken_off: Option<PairClocks>,
    /// What the candidate printed last, for people.
    pub output: String,
}

/// The two readings of a pair, and who was first.
pub(super) struct Readings {
    pub champion: Reading,
    pub candidate: Reading,
    pub candidate_first: bool,
}

/// Who is read in pairs.
pub(super) struct Pairs<'a> {
    pub champion: &'a Snapshot,
    pub candidate: &'a Snapshot,
    pub base: &'a Snapshot,
    /// Decide who comes first, and the seed.
    pub coins: Dice,
    pub seeds: Dice,
}

impl Pairs<'_> {
    /// Reads both sides by one seed, in a random order.
    pub async fn next(
        &mut self,
        workshop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<Readings, CampaignError> {
        let round = workshop.round(self.base, self.seeds.number(), cancel);
        let round = round.await?;
        let candidate_first = self.coins.coin();
        let sides = if candidate_first {
            [self.candidate, self.champion]
        } else {
            [self.champion, self.candidate]
        };
        let first = workshop.read_metric(sides[0], &round, cancel).await?;
        let second = workshop.read_metric(sides[1], &round, cancel).await?;
        let (champion, candidate) = if candidate_first {
            (second, first)
        } else {
            (first, second)
        };
        Ok(Readings {
            champion,
            candidate,
            candidate_first,
        })
    }
}

impl Readings {
    pub fn clocks(&self) -> PairClocks {
        PairClocks {
            champion: self.champion.clocks(),
            candidate: self.candidate.clocks(),
        }
    }

    /// Returns both numbers beside the runner's clocks, or the verdict where a side gave none, and
    /// why.
    pub fn accounts(&self) -> Result<[Account; 2], (Verdict, String)> {
        let champion = self.champion.value.as_ref().map_err(|why| {
            let verdict = Verdict::Void(VoidReason::Infrastructure);
            (verdict, format!("the champion gave no metric: {why}"))
        })?;
        let candidate = self.candidate.value.as_ref().map_err(|why| {
            let reason = match self.candidate.exit {
                Exit::TimedOut => DiscardReason::TimedOut,
                _ => DiscardReason::NoMetric,
            };
            (Verdict::Discard(reason), why.clone())
        })?;
        Ok([
            self.champion.account(*champion),
            self.candidate.account(*candidate),
        ])
    }
}

impl Workshop {
    /// Measures pairs in random order until the rule decides; `note` sees each.
    pub(super) async fn compare(
        &self,
        contest: Contest<'_>,
        note: &mut (dyn FnMut(Pair) + Send),
        cancel: &CancellationToken,
    ) -> Result<Compared, CampaignError> {
        let started = Instant::now();
        let mut comparison = Comparison::new(contest.rule).expecting(contest.expected);
        let mut pairs = Pairs {
            champion: contest.champion,
            candidate: contest.candidate,
            base: contest.base,
            seeds: contest.dice.apart(purpose::PAIRS),
            coins: contest.dice,
        };
        let mut lines = Lines::default();
        let mut accounts = Accounts::default();
        loop {
            let pair_started = Instant::now();
            let readings = pairs.next(self, cancel).await?;
            let output = readings.candidate.output.clone();
            lines.add(readings.candidate.lines.clone());
            let seconds = || started.elapsed().as_secs_f64();
            let clocks = readings.clocks();
            let [before, after] = match readings.accounts() {
                Ok(pair) => pair,
                Err((verdict, detail)) => {
                    return Ok(Compared {
                        verdict,
                        value: None,
                        gain: None,
                        pairs: comparison.pairs(),
                        spread: None,
                        seconds: seconds(),
                        detail,
                        lines,
                        accounts,
                        broken_off: Some(clocks),
                        output,
                    });
                }
            };
            accounts.champion.push(before);
            accounts.candidate.push(after);
            let (champion, candidate) = (before.reported, after.reported);
            let judgement = comparison.push(champion, candidate);
            note(Pair {
                number: comparison.pairs(),
                champion,
                candidate,
                gain: comparison.last_gain(),
                log_gain: comparison.last_log_gain(),
                evidence: comparison.evidence(),
                against: comparison.evidence_against(),
                candidate_first: readings.candidate_first,
                seconds: pair_started.elapsed().as_secs_f64(),
                clocks,
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
                spread: comparison.spread(),
                seconds: seconds(),
                detail: found(judgement, &comparison),
                lines,
                accounts,
                broken_off: None,
                output,
            });
        }
    }
}

impl Pair {
    /// Returns the event that tells this pair.
    pub fn measured(self, experiment: ExperimentNumber) -> EventKind {
        EventKind::PairMeasured {
            experiment,
            pair: self.number,
            champion: self.champion,
            candidate: self.candidate,
            gain: self.gain,
            evidence: self.evidence.0,
            threshold: self.evidence.1,
            against: self.against.0,
            against_threshold: self.against.1,
            candidate_first: self.candidate_first,
            seconds: self.seconds,
            clocks: Some(self.clocks),
        }
    }
}

/// Says for people what a comparison has found.
fn found(judgement: Judgement, comparison: &Comparison) -> String {
    let gain = comparison.gain();
    match judgement {
        Judgement::Keep { fast: true } => "far beyond the noise".to_owned(),
        Judgement::Keep { fast: false } => "the evidence suffices".to_owned(),
        Judgement::Discard(DiscardReason::Worse) if gain <= -0.001 => {
            format!("worse by {:.1} %", -100.0 * gain)
        }
        Judgement::Discard(DiscardReason::Worse) => "worse by less than 0.1 %".to_owned(),
        Judgement::Discard(_) => "no gain of the size looked for".to_owned(),
        Judgement::More | Judgement::Inconclusive => {
            let (evidence, threshold) = comparison.evidence();
            let (against, against_threshold) = comparison.evidence_against();
            format!(
                "undecided after pair {}: evidence {evidence:.1} of {threshold:.1} for it, \
                 {against:.1} of {against_threshold:.1} against it",
                comparison.pairs(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{metric, metric_spec};

    /// A comparison of one pair whose gain is `gain`.
    fn compared(gain: f64) -> Comparison {
        let mut comparison = Comparison::new(PairedRule::new(&metric_spec(), 0.05));
        comparison.push(metric(100.0), metric(100.0 * (1.0 - gain)));
        comparison
    }

    #[test]
    fn a_discard_says_what_was_found() {
        let worse = Judgement::Discard(DiscardReason::Worse);
        let told = [-1.0, -0.0421, -0.0004, 0.0].map(|gain| found(worse, &compared(gain)));
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
            found(Judgement::Discard(DiscardReason::NoGain), &compared(-0.01)),
            "no gain of the size looked for"
        );
    }

    #[test]
    fn what_is_not_decided_says_how_near_it_came() {
        assert_eq!(
            found(Judgement::Inconclusive, &compared(0.03)),
            "undecided after pair 1: evidence 0.2 of 3.9 for it, -0.0 of 1.6 against it"
        );
    }
}
