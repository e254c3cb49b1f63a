//! What null experiments show: comparisons of a commit with itself, where every keep is false.

use serde::Serialize;

use crate::model::{DiscardReason, Verdict};

use super::noise::{median, standard_deviation};

/// How one null experiment ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NullExperiment {
    pub verdict: Verdict,
    pub pairs: u32,
    /// The sum of its pairs' logarithmic gains. Not their mean: most experiments stop when chance has
    /// gone against the candidate, so that means are below 0; sums are 0 on average whenever one
    /// stops (Wald's identity).
    pub log_gains: f64,
    /// What its measurements took.
    pub seconds: f64,
}

/// What null experiments have come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NullReport {
    /// How many were asked for.
    pub asked: u32,
    /// How many were done; fewer when interrupted.
    pub experiments: u32,
    pub kept: u32,
    pub worse: u32,
    pub no_gain: u32,
    pub inconclusive: u32,
    /// The share that was kept, and its 95 % interval.
    pub kept_share: f64,
    pub kept_interval: (f64, f64),
    /// The chance of a false keep that the rule allows.
    pub alpha: f64,
    /// Over all experiments together, and the median of one.
    pub pairs: u32,
    pub median_pairs: f64,
    pub seconds: f64,
    /// Mean gain of a pair, as a fraction, and its 95 % interval; about 0 where nothing favours a
    /// side.
    pub gain: f64,
    pub gain_interval: (f64, f64),
    /// What fixes who was measured first in each pair.
    pub seed: u32,
    /// The user ended it before all were done.
    pub interrupted: bool,
}

impl NullReport {
    /// Adds up `experiments` of the `asked` ones.
    pub fn new(experiments: &[NullExperiment], asked: u32, alpha: f64, seed: u32) -> Self {
        let ended = |verdict: Verdict| {
            let found = experiments.iter().filter(|e| e.verdict == verdict);
            u32::try_from(found.count()).unwrap_or(u32::MAX)
        };
        let total = u32::try_from(experiments.len()).unwrap_or(u32::MAX);
        let kept = ended(Verdict::Keep);
        let pairs: Vec<f64> = experiments.iter().map(|e| f64::from(e.pairs)).collect();
        let (gain, gain_interval) = gain_of_a_pair(experiments);
        Self {
            asked,
            experiments: total,
            kept,
            worse: ended(Verdict::Discard(DiscardReason::Worse)),
            no_gain: ended(Verdict::Discard(DiscardReason::NoGain)),
            inconclusive: ended(Verdict::Discard(DiscardReason::Inconclusive)),
            kept_share: f64::from(kept) / f64::from(total.max(1)),
            kept_interval: share_interval(kept, total),
            alpha,
            pairs: experiments.iter().map(|e| e.pairs).sum(),
            median_pairs: median(&pairs),
            seconds: experiments.iter().map(|e| e.seconds).sum(),
            gain,
            gain_interval,
            seed,
            interrupted: false,
        }
    }

    /// Says whether so many keeps contradict the rule's promise.
    pub fn is_too_many(&self) -> bool {
        self.kept_interval.0 > self.alpha
    }
}

/// Returns the mean logarithmic gain of a pair and its 95 % interval, of a ratio of two sums over
/// experiments (Cochran, 1977, section 6.3); 0 without pairs.
fn gain_of_a_pair(experiments: &[NullExperiment]) -> (f64, (f64, f64)) {
    let pairs: f64 = experiments.iter().map(|e| f64::from(e.pairs)).sum();
    if pairs == 0.0 {
        return (0.0, (0.0, 0.0));
    }
    let ratio = experiments.iter().map(|e| e.log_gains).sum::<f64>() / pairs;
    let mean_pairs = pairs / experiments.len() as f64;
    let residuals: Vec<f64> = experiments
        .iter()
        .map(|e| (e.log_gains - ratio * f64::from(e.pairs)) / mean_pairs)
        .collect();
    let half = half_interval(&residuals);
    (ratio, (ratio - half, ratio + half))
}

/// Returns how far the 95 % interval of the mean of `values` reaches on each side, by Student's t; 0
/// for fewer than two.
fn half_interval(values: &[f64]) -> f64 {
    // Two-sided 97.5 % quantiles for 1 to 30 degrees of freedom; beyond, the normal's is close.
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    let Some(freedom) = values.len().checked_sub(2) else {
        return 0.0;
    };
    let t = T.get(freedom).copied().unwrap_or(1.96);
    t * standard_deviation(values) / (values.len() as f64).sqrt()
}

/// Returns the 95 % interval of a share of which `hits` of `trials` were seen; exact (Clopper and
/// Pearson, 1934). Without trials it is 0 to 1.
pub fn share_interval(hits: u32, trials: u32) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    if trials == 0 {
        return (0.0, 1.0);
    }
    let low = if hits == 0 {
        0.0
    } else {
        bisect(|share| 1.0 - at_most(hits - 1, trials, share) < TAIL)
    };
    let high = if hits >= trials {
        1.0
    } else {
        bisect(|share| at_most(hits, trials, share) > TAIL)
    };
    (low, high)
}

/// Returns the share between 0 and 1 up to which `is_below` holds.
fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Returns the chance of at most `hits` in `trials` of chance `share` each, strictly between 0 and 1.
fn at_most(hits: u32, trials: u32, share: f64) -> f64 {
    let odds = (share / (1.0 - share)).ln();
    // The logarithm: with thousands of trials the chance of none underflows.
    let mut ln_chance = f64::from(trials) * (-share).ln_1p();
    let mut sum = ln_chance.exp();
    for hit in 0..hits {
        ln_chance += f64::from(trials - hit).ln() - f64::from(hit + 1).ln() + odds;
        sum += ln_chance.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::dice::Dice;

    /// An experiment whose pairs had `gain` in the mean.
    fn ended(verdict: Verdict, pairs: u32, gain: f64) -> NullExperiment {
        NullExperiment {
            verdict,
            pairs,
            log_gains: gain * f64::from(pairs),
            seconds: 0.5 * f64::from(pairs),
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_students() {
        // Standard deviation 1, and t = 4.303 for 2 degrees of freedom.
        assert!((half_interval(&[1.0, 2.0, 3.0]) - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert!(half_interval(&[7.0]) == 0.0);
        let many: Vec<f64> = (0..100).map(|n| f64::from(n % 2)).collect();
        assert!((half_interval(&many) - 1.96 * (25.0_f64 / 99.0).sqrt() / 10.0).abs() < 1e-9);
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Agresti and Coull (1998) and the rule of three, to four places.
        for (hits, trials, low, high) in [
            (0, 200, 0.0, 0.0183),
            (1, 200, 0.0001, 0.0275),
            (4, 200, 0.0055, 0.0504),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
            (0, 0, 0.0, 1.0),
        ] {
            let (found_low, found_high) = share_interval(hits, trials);
            assert!(
                (found_low - low).abs() < 5e-5,
                "{hits} of {trials}: {found_low}"
            );
            assert!(
                (found_high - high).abs() < 5e-5,
                "{hits} of {trials}: {found_high}"
            );
        }
    }

    #[test]
    fn thousands_of_trials_do_not_underflow() {
        let (low, high) = share_interval(5_000, 10_000);
        assert!(
            (low - 0.4902).abs() < 5e-4 && (high - 0.5098).abs() < 5e-4,
            "{low} {high}"
        );
    }

    #[test]
    fn verdicts_are_counted_apart_and_their_cost_added_up() {
        let experiments = [
            ended(Verdict::Keep, 6, 0.04),
            ended(Verdict::Discard(DiscardReason::Inconclusive), 60, 0.01),
            ended(Verdict::Discard(DiscardReason::Worse), 4, -0.03),
            ended(Verdict::Discard(DiscardReason::NoGain), 10, -0.02),
        ];
        let report = NullReport::new(&experiments, 5, 0.02, 9);
        assert_eq!(
            (
                report.kept,
                report.inconclusive,
                report.worse,
                report.no_gain
            ),
            (1, 1, 1, 1)
        );
        assert_eq!((report.asked, report.experiments, report.pairs), (5, 4, 80));
        assert!((report.seconds - 40.0).abs() < 1e-12);
        assert!((report.median_pairs - 8.0).abs() < 1e-12);
        assert!((report.gain - 0.52 / 80.0).abs() < 1e-12, "{}", report.gain);
        assert!((report.kept_share - 0.25).abs() < 1e-12);
    }

    #[test]
    fn stopping_early_on_bad_luck_is_not_taken_for_a_favoured_side() {
        // Pairs of +1 or -1; an experiment ends with the first -1, or with its tenth pair.
        let mut dice = Dice::new(5);
        let experiments: Vec<NullExperiment> = (0..4000)
            .map(|_| {
                let mut end = ended(Verdict::Discard(DiscardReason::NoGain), 0, 0.0);
                let mut is_lucky = true;
                while is_lucky && end.pairs < 10 {
                    is_lucky = dice.coin();
                    end.pairs += 1;
                    end.log_gains += if is_lucky { 1.0 } else { -1.0 };
                }
                end
            })
            .collect();
        let means = experiments.iter().map(|e| e.log_gains / f64::from(e.pairs));
        let naive = means.sum::<f64>() / 4000.0;
        assert!(naive < -0.2, "{naive}");
        let (gain, (low, high)) = gain_of_a_pair(&experiments);
        assert!(
            gain.abs() < 0.05 && low < 0.0 && 0.0 < high,
            "{gain} {low} {high}"
        );
        assert!(high - low < 0.1, "{low} {high}");
    }

    #[test]
    fn more_keeps_than_chance_explains_are_too_many() {
        let many = [ended(Verdict::Keep, 3, 0.1); 5];
        assert!(NullReport::new(&many, 5, 0.02, 1).is_too_many());
        let few = vec![ended(Verdict::Discard(DiscardReason::NoGain), 3, 0.0); 99];
        let one = [&few[..], &many[..1]].concat();
        assert!(!NullReport::new(&one, 100, 0.02, 1).is_too_many());
    }
}
