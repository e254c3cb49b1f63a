//! Where a run stands, and what it does next: a fold of its ledger.

use crate::model::{
    CommitId, Cost, Direction, ExperimentNumber, FinishReason, Metric, RunId, Tracked, Verdict,
    VoidReason,
};

use super::golden::GoldenOutput;
use super::noise::Pool;
use super::record::VERSION;
pub use super::record::{ExperimentRecord, GuardBase, Record};

/// Experiments in a row that may fail for reasons not theirs before the run stops.
const INFRASTRUCTURE_FAILURES: usize = 3;

/// Everything that is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub run: RunId,
    /// The marker's name.
    pub marker: String,
    pub marker_digest: String,
    pub base: CommitId,
    pub direction: Direction,
    /// Fixes which side of each pair is measured first.
    pub seed: u32,
    pub baseline: Option<Baseline>,
    /// The base commit until an experiment is kept.
    pub champion: CommitId,
    /// `None` until the baseline is measured.
    pub champion_value: Option<Metric>,
    /// The decided experiments, in order.
    pub experiments: Vec<ExperimentRecord>,
    /// Started and not decided: to be run again under its number after a crash.
    pub in_flight: Option<ExperimentNumber>,
    pub closed: Option<FinishReason>,
    /// The cost of all experiments, those that do not count included.
    pub spent: Cost,
    /// How many experiments were decided when the run was last reopened.
    reopened_after: usize,
}

/// What was measured on the base commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub value: Metric,
    /// Relative standard deviation of one reading, as a fraction.
    pub noise: f64,
    pub readings: Vec<Metric>,
    pub guards: Vec<GuardBase>,
    pub tracks: Vec<Tracked>,
    pub golden: Vec<GoldenOutput>,
}

impl Baseline {
    /// Returns what the guard called `name` gave.
    pub fn guard(&self, name: &str) -> Option<&GuardBase> {
        self.guards.iter().find(|guard| guard.name == name)
    }
}

/// How far a run may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    pub max_experiments: u32,
    pub max_cost: Option<Cost>,
    /// The run stops when the champion reaches it.
    pub target: Option<Metric>,
    pub direction: Direction,
    /// Experiments in a row without a keep: after so many the run stops, the brief asks to
    /// refine, the brief asks to pivot.
    pub stop_after_no_gain: u32,
    pub refine_after: u32,
    pub pivot_after: u32,
    /// Pivots after which the brief asks to look from outside, and after which the run stops.
    pub pivots_before_outside: u32,
    pub pivots_before_stop: u32,
}

/// What the run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    MeasureBaseline,
    RunExperiment {
        number: ExperimentNumber,
        strategy: Strategy,
    },
    Finish(FinishReason),
}

/// What kind of attempt the brief asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Any promising idea.
    Explore,
    /// Make more of what came closest.
    Refine,
    /// Leave the approach for another.
    Pivot,
    /// Question the problem itself, with all that was tried in view.
    LookFromOutside,
}

/// Why records are not those of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLedger {
    #[error("record {position} comes before the run is opened")]
    NotOpened { position: usize },
    #[error("the ledger has version {found}; this program reads version {VERSION}")]
    UnknownVersion { found: u32 },
    #[error("record {position} cannot come here: {why}")]
    OutOfOrder { position: usize, why: &'static str },
}

impl Progress {
    /// Folds the records of one ledger, in order; `None` when there is not one.
    ///
    /// # Errors
    ///
    /// [`BrokenLedger`] when the records do not follow one another; positions count from 1.
    pub fn fold(records: impl Iterator<Item = Record>) -> Result<Option<Self>, BrokenLedger> {
        let mut progress: Option<Self> = None;
        for (record, position) in records.zip(1..) {
            progress = Some(match progress {
                None => Self::open(record, position)?,
                Some(progress) => progress
                    .then(record)
                    .map_err(|why| BrokenLedger::OutOfOrder { position, why })?,
            });
        }
        Ok(progress)
    }

    fn open(record: Record, position: usize) -> Result<Self, BrokenLedger> {
        match record {
            Record::RunOpened { v, .. } if v != VERSION => {
                Err(BrokenLedger::UnknownVersion { found: v })
            }
            Record::RunOpened {
                v: _,
                run,
                marker,
                marker_digest,
                base,
                direction,
                seed,
            } => Ok(Self {
                run,
                marker,
                marker_digest,
                champion: base.clone(),
                base,
                direction,
                seed,
                baseline: None,
                champion_value: None,
                experiments: Vec::new(),
                in_flight: None,
                closed: None,
                spent: Cost::ZERO,
                reopened_after: 0,
            }),
            Record::BaselineMeasured { .. }
            | Record::ExperimentStarted { .. }
            | Record::ExperimentDecided(_)
            | Record::RunClosed { .. }
            | Record::RunReopened => Err(BrokenLedger::NotOpened { position }),
        }
    }

    /// Returns the progress after one more record.
    ///
    /// # Errors
    ///
    /// A fragment that says why the record cannot come here.
    pub fn then(mut self, record: Record) -> Result<Self, &'static str> {
        if self.closed.is_some() && record != Record::RunReopened {
            return Err("the run is closed");
        }
        match record {
            Record::RunOpened { .. } => return Err("the run is already open"),
            Record::BaselineMeasured {
                value,
                noise,
                readings,
                guards,
                tracks,
                golden,
            } => {
                if self.baseline.is_some() {
                    return Err("the baseline is already measured");
                }
                self.champion_value = Some(value);
                self.baseline = Some(Baseline {
                    value,
                    noise,
                    readings,
                    guards,
                    tracks,
                    golden,
                });
            }
            Record::ExperimentStarted { n, champion } => {
                if self.baseline.is_none() {
                    return Err("the baseline is not measured");
                }
                if n != self.next_number() {
                    return Err("the experiment's number does not follow");
                }
                if champion != self.champion {
                    return Err("the experiment starts from another champion");
                }
                self.in_flight = Some(n);
            }
            Record::ExperimentDecided(experiment) => {
                if self.in_flight != Some(experiment.n) {
                    return Err("the experiment was not started");
                }
                self.in_flight = None;
                self.spent += experiment.usage.cost_usd;
                if experiment.verdict == Verdict::Keep {
                    let (Some(commit), Some(value)) = (&experiment.commit, experiment.value) else {
                        return Err("a kept experiment has neither commit nor value");
                    };
                    self.champion = commit.clone();
                    self.champion_value = Some(value);
                }
                self.experiments.push(experiment);
            }
            Record::RunClosed { reason } => self.closed = Some(reason),
            Record::RunReopened => {
                self.closed = None;
                self.reopened_after = self.experiments.len();
            }
        }
        Ok(self)
    }

    /// Says what to do next; the same for the same ledger and budget.
    pub fn next_step(&self, budget: &Budget) -> NextStep {
        if let Some(reason) = self.closed {
            return NextStep::Finish(reason);
        }
        let Some(champion_value) = self.champion_value else {
            return NextStep::MeasureBaseline;
        };
        match self.finish_reason(champion_value, budget) {
            Some(reason) => NextStep::Finish(reason),
            None => NextStep::RunExperiment {
                number: self.next_number(),
                strategy: budget.strategy(self.without_keep()),
            },
        }
    }

    /// Returns what is tracked, on the champion.
    pub fn champion_tracks(&self) -> &[Tracked] {
        let kept = self.experiments.iter().rev();
        let kept = kept.into_iter().find(|e| e.verdict == Verdict::Keep);
        match (kept, &self.baseline) {
            (Some(kept), _) => &kept.tracks,
            (None, Some(baseline)) => &baseline.tracks,
            (None, None) => &[],
        }
    }

    /// Returns the relative standard deviation of one reading, as a fraction, as known before the
    /// next comparison: from the base's readings and all pairs until now. `None` until the baseline
    /// is measured.
    pub fn noise(&self) -> Option<f64> {
        let base = Pool::new(self.baseline.as_ref()?.noise);
        let seen = self
            .experiments
            .iter()
            .filter_map(|e| Some((e.spread?, e.pairs)));
        Some(
            seen.fold(base, |pool, (spread, pairs)| pool.with(spread, pairs))
                .noise(),
        )
    }

    /// Returns how many experiments were kept.
    pub fn kept(&self) -> u32 {
        count(
            self.experiments
                .iter()
                .filter(|e| e.verdict == Verdict::Keep),
        )
    }

    /// Returns how many experiments count towards the allowed number.
    pub fn counted(&self) -> u32 {
        count(self.experiments.iter().filter(|e| e.verdict.counts()))
    }

    /// Returns how many of the last experiments, without a gap, do not count for `reason`.
    pub fn voids_in_a_row(&self, reason: VoidReason) -> u32 {
        count(
            self.experiments
                .iter()
                .rev()
                .take_while(|e| e.verdict == Verdict::Void(reason)),
        )
    }

    /// Returns the number of the experiment in flight, or else of the next.
    fn next_number(&self) -> ExperimentNumber {
        self.in_flight.unwrap_or_else(|| {
            self.experiments
                .last()
                .map_or(ExperimentNumber::FIRST, |last| last.n.next())
        })
    }

    /// Returns how many experiments that count came since the last keep, or since reopening.
    fn without_keep(&self) -> u32 {
        count(
            self.experiments[self.reopened_after..]
                .iter()
                .rev()
                .take_while(|e| e.verdict != Verdict::Keep)
                .filter(|e| e.verdict.counts()),
        )
    }

    fn finish_reason(&self, champion_value: Metric, budget: &Budget) -> Option<FinishReason> {
        let is_reached = |target| !budget.direction.is_better(target, champion_value);
        let infrastructure_failures = self.experiments[self.reopened_after..]
            .iter()
            .rev()
            .take_while(|e| e.verdict == Verdict::Void(VoidReason::Infrastructure))
            .count();
        if budget.target.is_some_and(is_reached) {
            Some(FinishReason::TargetReached)
        } else if self.counted() >= budget.max_experiments {
            Some(FinishReason::MaxExperiments)
        } else if budget.max_cost.is_some_and(|most| self.spent >= most) {
            Some(FinishReason::MaxCost)
        } else if infrastructure_failures >= INFRASTRUCTURE_FAILURES {
            Some(FinishReason::Infrastructure)
        } else if self.without_keep() >= budget.stop_after_no_gain.max(1) {
            Some(FinishReason::NoGain)
        } else if budget.pivots_ended(self.without_keep()) >= budget.pivots_before_stop.max(1) {
            Some(FinishReason::PivotsExhausted)
        } else {
            None
        }
    }
}

impl Budget {
    /// Returns what to ask for after `without_keep` experiments in a row without a keep.
    ///
    /// First any idea, then refining, then pivots. Each pivot has `refine_after` experiments to
    /// bear fruit: the first makes the turn, the others refine it.
    fn strategy(&self, without_keep: u32) -> Strategy {
        let Some(since_pivots) = without_keep.checked_sub(self.pivot_after.max(1)) else {
            return if without_keep < self.refine_after {
                Strategy::Explore
            } else {
                Strategy::Refine
            };
        };
        if since_pivots % self.pivot_length() != 0 {
            Strategy::Refine
        } else if self.pivots_ended(without_keep) < self.pivots_before_outside {
            Strategy::Pivot
        } else {
            Strategy::LookFromOutside
        }
    }

    fn pivots_ended(&self, without_keep: u32) -> u32 {
        without_keep.saturating_sub(self.pivot_after.max(1)) / self.pivot_length()
    }

    fn pivot_length(&self) -> u32 {
        self.refine_after.max(1)
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{
        BUDGET, baseline, commit, experiment, kept, metric, opened, started,
    };
    use crate::model::DiscardReason;

    const NO_GAIN: Verdict = Verdict::Discard(DiscardReason::NoGain);
    const BROKEN: Verdict = Verdict::Void(VoidReason::Infrastructure);

    fn fold(records: Vec<Record>) -> Progress {
        Progress::fold(records.into_iter()).unwrap().unwrap()
    }

    /// The progress of a run whose experiments all ended with `verdicts`.
    fn after(verdicts: &[Verdict]) -> Progress {
        let mut progress = fold(vec![opened(), baseline()]);
        for (verdict, n) in verdicts.iter().zip(1..) {
            let champion = progress.champion.clone();
            let started = Record::ExperimentStarted {
                n: n.into(),
                champion,
            };
            let decided = Record::ExperimentDecided(experiment(n, *verdict));
            progress = progress.then(started).unwrap().then(decided).unwrap();
        }
        progress
    }

    fn run(number: u32, strategy: Strategy) -> NextStep {
        NextStep::RunExperiment {
            number: number.into(),
            strategy,
        }
    }

    #[test]
    fn a_run_measures_first_then_experiments() {
        assert_eq!(Progress::fold(std::iter::empty()), Ok(None));
        assert_eq!(
            fold(vec![opened()]).next_step(&BUDGET),
            NextStep::MeasureBaseline
        );
        assert_eq!(
            fold(vec![opened(), baseline()]).next_step(&BUDGET),
            run(1, Strategy::Explore)
        );
    }

    #[test]
    fn the_noise_is_that_of_the_base_until_comparisons_have_shown_theirs() {
        assert_eq!(fold(vec![opened()]).noise(), None);
        let progress = fold(vec![opened(), baseline()]);
        let base = progress.noise().unwrap();
        assert!((base - 0.05).abs() < 1e-12, "{base}");
        let noisier = ExperimentRecord {
            pairs: 57,
            spread: Some(0.2 * std::f64::consts::SQRT_2),
            ..experiment(1, NO_GAIN)
        };
        let progress = progress
            .then(started(1, 'b'))
            .and_then(|progress| progress.then(Record::ExperimentDecided(noisier)))
            .unwrap();
        // 4 parts of the base and 56 of the comparison, as variances.
        let expected = ((4.0 * 0.05_f64.powi(2) + 56.0 * 0.2_f64.powi(2)) / 60.0).sqrt();
        let noise = progress.noise().unwrap();
        assert!((noise - expected).abs() < 1e-12, "{noise}");
    }

    #[test]
    fn a_keep_makes_the_candidate_champion() {
        let progress = fold(vec![
            opened(),
            baseline(),
            started(1, 'b'),
            Record::ExperimentDecided(kept(1)),
        ]);
        assert_eq!(progress.champion, commit('1'));
        assert_eq!(progress.champion_value, Some(metric(92.0)));
        assert_eq!(progress.champion_tracks()[0].value, metric(7.25));
        assert_eq!(progress.spent, Cost::from(0.25));
        assert_eq!((progress.kept(), progress.counted()), (1, 1));
    }

    #[test]
    fn an_experiment_in_flight_is_run_again_under_its_number() {
        let mut records = vec![opened(), baseline(), started(1, 'b')];
        assert_eq!(
            fold(records.clone()).next_step(&BUDGET),
            run(1, Strategy::Explore)
        );
        records.push(started(1, 'b'));
        assert_eq!(fold(records).in_flight, Some(1.into()));
    }

    #[test]
    fn escalation_refines_pivots_looks_from_outside_and_stops() {
        use Strategy::{Explore, LookFromOutside, Pivot, Refine};
        let expected = [
            Explore,
            Explore,
            Explore,
            Refine,
            Refine,
            Pivot,
            Refine,
            Refine,
            Pivot,
            Refine,
            Refine,
            LookFromOutside,
            Refine,
            Refine,
        ];
        for (strategy, n) in expected.into_iter().zip(0_u32..) {
            let progress = after(&vec![NO_GAIN; n as usize]);
            assert_eq!(progress.next_step(&BUDGET), run(n + 1, strategy), "{n}");
        }
        assert_eq!(
            after(&[NO_GAIN; 14]).next_step(&BUDGET),
            NextStep::Finish(FinishReason::PivotsExhausted)
        );
    }

    #[test]
    fn a_keep_starts_the_escalation_over_from_every_rung() {
        for rung in 0..14 {
            let mut verdicts = vec![NO_GAIN; rung];
            verdicts.push(Verdict::Keep);
            let number = u32::try_from(rung).unwrap() + 2;
            let next = after(&verdicts).next_step(&BUDGET);
            assert_eq!(next, run(number, Strategy::Explore), "{rung}");
        }
    }

    #[test]
    fn the_rungs_are_settings() {
        use Strategy::{Explore, LookFromOutside, Pivot, Refine};
        let budget = Budget {
            refine_after: 1,
            pivot_after: 2,
            pivots_before_outside: 1,
            pivots_before_stop: 3,
            ..BUDGET
        };
        let asked = [Explore, Refine, Pivot, LookFromOutside, LookFromOutside];
        for (strategy, n) in asked.into_iter().zip(0_u32..) {
            let progress = after(&vec![NO_GAIN; n as usize]);
            assert_eq!(progress.next_step(&budget), run(n + 1, strategy), "{n}");
        }
        assert_eq!(
            after(&[NO_GAIN; 5]).next_step(&budget),
            NextStep::Finish(FinishReason::PivotsExhausted)
        );
    }

    #[test]
    fn a_service_that_refuses_never_ends_a_run_and_every_refusal_in_a_row_is_counted() {
        let busy = Verdict::Void(VoidReason::Overloaded);
        let limit = Verdict::Void(VoidReason::UsageLimit);
        let progress = after(&[limit, busy, NO_GAIN, limit, busy, busy, busy, busy]);
        assert_eq!(progress.next_step(&BUDGET), run(9, Strategy::Explore));
        assert_eq!(progress.voids_in_a_row(VoidReason::Overloaded), 4);
        assert_eq!(progress.voids_in_a_row(VoidReason::UsageLimit), 0);
    }

    #[test]
    fn void_experiments_cost_but_never_count() {
        let progress = after(&[NO_GAIN, BROKEN, BROKEN, NO_GAIN, BROKEN]);
        let budget = Budget {
            max_experiments: 3,
            ..BUDGET
        };
        assert_eq!(progress.next_step(&budget), run(6, Strategy::Explore));
        assert_eq!(progress.spent, Cost::from(2.5));
    }

    #[test]
    fn three_infrastructure_failures_in_a_row_end_the_run() {
        assert_eq!(
            after(&[BROKEN; 3]).next_step(&BUDGET),
            NextStep::Finish(FinishReason::Infrastructure)
        );
    }

    #[test]
    fn every_limit_ends_the_run_with_its_reason() {
        let progress = after(&[NO_GAIN, NO_GAIN]);
        for (budget, reason) in [
            (
                Budget {
                    max_experiments: 2,
                    ..BUDGET
                },
                FinishReason::MaxExperiments,
            ),
            (
                Budget {
                    max_cost: Some(Cost::from(1.0)),
                    ..BUDGET
                },
                FinishReason::MaxCost,
            ),
            (
                Budget {
                    target: Some(metric(100.0)),
                    ..BUDGET
                },
                FinishReason::TargetReached,
            ),
            (
                Budget {
                    stop_after_no_gain: 2,
                    ..BUDGET
                },
                FinishReason::NoGain,
            ),
        ] {
            assert_eq!(progress.next_step(&budget), NextStep::Finish(reason));
        }
    }

    #[test]
    fn a_reopened_run_goes_on_with_patience_restored() {
        let progress = after(&[NO_GAIN; 14])
            .then(Record::RunClosed {
                reason: FinishReason::PivotsExhausted,
            })
            .unwrap();
        assert_eq!(
            progress.next_step(&BUDGET),
            NextStep::Finish(FinishReason::PivotsExhausted)
        );
        let reopened = progress.then(Record::RunReopened).unwrap();
        assert_eq!(reopened.next_step(&BUDGET), run(15, Strategy::Explore));
    }

    #[test]
    fn records_out_of_order_are_refused_with_their_position() {
        let decided = Record::ExperimentDecided(kept(1));
        let closed = Record::RunClosed {
            reason: FinishReason::NoGain,
        };
        for (records, position, why) in [
            (vec![opened(), opened()], 2, "the run is already open"),
            (
                vec![opened(), started(1, 'b')],
                2,
                "the baseline is not measured",
            ),
            (
                vec![opened(), baseline(), baseline()],
                3,
                "the baseline is already measured",
            ),
            (
                vec![opened(), baseline(), started(2, 'b')],
                3,
                "the experiment's number does not follow",
            ),
            (
                vec![opened(), baseline(), started(1, 'c')],
                3,
                "the experiment starts from another champion",
            ),
            (
                vec![opened(), baseline(), decided],
                3,
                "the experiment was not started",
            ),
            (vec![opened(), closed, baseline()], 3, "the run is closed"),
        ] {
            assert_eq!(
                Progress::fold(records.into_iter()),
                Err(BrokenLedger::OutOfOrder { position, why })
            );
        }
        assert_eq!(
            Progress::fold([baseline()].into_iter()),
            Err(BrokenLedger::NotOpened { position: 1 })
        );
    }
}
