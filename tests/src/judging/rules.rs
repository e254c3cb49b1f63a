//! Three rules to keep a candidate by: the runner's own, and two that are widely used.

#![expect(clippy::unwrap_used, reason = "readings of a machine are finite")]

use autoclave_runner::decide::dice::Dice;
use autoclave_runner::decide::judge::{Comparison, Judgement, PairedRule};
use autoclave_runner::decide::noise::{Pool, noise};
use autoclave_runner::model::{Direction, Metric};

use super::worlds::Machine;

/// Readings of the base, as a run takes them of a noisy metric.
const BASE_READINGS: usize = 8;

/// A rule to keep a candidate by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The runner's, with its defaults.
    Paired,
    /// One reading, kept when it is better than the best that is stored.
    StoredBest,
    /// One reading, kept when it is better than the best that is stored by at least twice the median
    /// absolute deviation of all readings so far.
    TwoMad,
}

impl Rule {
    pub const ALL: [Self; 3] = [Self::Paired, Self::StoredBest, Self::TwoMad];

    pub fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired (ours)",
            Self::StoredBest => "better than best",
            Self::TwoMad => "MAD >= 2",
        }
    }
}

/// A rule at work in one session.
pub enum Judge {
    Paired {
        pool: Pool,
        dice: Dice,
        reported: f64,
    },
    /// `mads` is how many median absolute deviations better a reading must be.
    Stored {
        mads: f64,
        readings: Vec<f64>,
        first: f64,
        best: f64,
    },
}

impl Judge {
    /// Takes the readings of the base that the rule needs.
    pub fn new(rule: Rule, machine: &mut Machine, session: u32) -> Self {
        let mut base =
            |count: usize| -> Vec<f64> { (0..count).map(|_| machine.read(1.0)).collect() };
        match rule {
            Rule::Paired => Self::Paired {
                pool: Pool::new(noise(&metrics(&base(BASE_READINGS)))),
                dice: Dice::of_experiment(session, 0),
                reported: 0.0,
            },
            Rule::StoredBest => {
                let first = base(1)[0];
                Self::Stored {
                    mads: 0.0,
                    readings: vec![first],
                    first,
                    best: first,
                }
            }
            Rule::TwoMad => {
                let readings = base(3);
                let first = median(&readings);
                Self::Stored {
                    mads: 2.0,
                    readings,
                    first,
                    best: first,
                }
            }
        }
    }

    /// Compares `candidate` with `champion`, which are what each truly takes.
    pub fn keeps(&mut self, machine: &mut Machine, champion: f64, candidate: f64) -> bool {
        match self {
            Self::Paired {
                pool,
                dice,
                reported,
            } => {
                let rule = default_rule(pool.noise());
                let sides = [champion, candidate];
                let (judgement, comparison) = compare(rule, dice, machine, sides, &mut |_| ());
                if let Some(spread) = comparison.spread() {
                    *pool = pool.with(spread, comparison.pairs());
                }
                let is_kept = matches!(judgement, Judgement::Keep { .. });
                if is_kept {
                    *reported -= (-comparison.gain()).ln_1p();
                }
                is_kept
            }
            Self::Stored {
                mads,
                readings,
                best,
                ..
            } => {
                let reading = machine.read(candidate);
                readings.push(reading);
                let centre = median(readings);
                let deviations: Vec<f64> = readings.iter().map(|r| (r - centre).abs()).collect();
                let is_kept = *best - reading > *mads * median(&deviations);
                if is_kept {
                    *best = reading;
                }
                is_kept
            }
        }
    }

    /// Returns the logarithm of the gain that a user of the rule would believe in.
    pub fn reported_log_gain(&self) -> f64 {
        match self {
            Self::Paired { reported, .. } => *reported,
            Self::Stored { first, best, .. } => (first / best).ln(),
        }
    }
}

/// Returns the rule of a marker that sets nothing, for readings with this `noise`.
pub fn default_rule(noise: f64) -> PairedRule {
    PairedRule {
        alpha: 0.02,
        beta: 0.2,
        delta: 0.03,
        min_effect: 0.0,
        max_pairs: 60,
        clip: 2.0,
        sigma: noise * std::f64::consts::SQRT_2,
        direction: Direction::Lower,
    }
}

/// Takes pairs in random order until the rule decides; `note` sees each.
pub fn compare(
    rule: PairedRule,
    dice: &mut Dice,
    machine: &mut Machine,
    [champion, candidate]: [f64; 2],
    note: &mut dyn FnMut(&Comparison),
) -> (Judgement, Comparison) {
    let mut comparison = Comparison::new(rule);
    loop {
        let [champion, candidate] = if dice.coin() {
            let candidate = machine.read(candidate);
            [machine.read(champion), candidate]
        } else {
            let champion = machine.read(champion);
            [champion, machine.read(candidate)]
        };
        let pair = metrics(&[champion, candidate]);
        let judgement = comparison.push(pair[0], pair[1]);
        note(&comparison);
        if judgement != Judgement::More {
            return (judgement, comparison);
        }
    }
}

fn metrics(readings: &[f64]) -> Vec<Metric> {
    let metric = |reading: &f64| Metric::try_from(*reading).unwrap();
    readings.iter().map(metric).collect()
}

fn median(readings: &[f64]) -> f64 {
    let mut sorted = readings.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
