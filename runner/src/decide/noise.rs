//! How much a measurement can be trusted.

use crate::model::{Direction, Metric};

use super::judge::{Comparison, Judgement, PairedRule};

/// Comparisons that are played through for an estimate.
const SIMULATIONS: usize = 301;
/// Pairs after which a simulated comparison is given up.
const MAX_SIMULATED_PAIRS: u32 = 2_000;

/// Returns the relative standard deviation of one reading, as a fraction.
///
/// `readings` are repeated measurements of one commit, in any order. Fewer than two, or all equal,
/// give 0. Uses 1.4826 x MAD, a consistent estimate of the standard deviation that outliers do not
/// move (Rousseeuw and Croux, 1993), and the standard deviation itself where more than half of the
/// readings are equal and the MAD is 0.
pub fn noise(readings: &[Metric]) -> f64 {
    let Some(largest) = readings
        .iter()
        .map(|r| r.get().abs())
        .max_by(f64::total_cmp)
        .filter(|largest| *largest > 0.0)
    else {
        return 0.0;
    };
    // Scaled to 1, so that sums and squares of huge readings do not overflow.
    let values: Vec<f64> = readings.iter().map(|r| r.get() / largest).collect();
    let centre = median(&values);
    let deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    let robust = 1.4826 * median(&deviations);
    let spread = if robust > 0.0 {
        robust
    } else {
        standard_deviation(&values)
    };
    if centre == 0.0 {
        spread
    } else {
        spread / centre.abs()
    }
}

/// Returns the standard deviation of a pair's logarithmic gain, of two readings with `noise` each.
pub fn sigma_of_pairs(noise: f64) -> f64 {
    noise * std::f64::consts::SQRT_2
}

/// Returns between how many pairs a true gain of `rule.delta` is decided: the quartiles, from
/// playing the rule through on normal noise of `rule.sigma`. A pair is two runs of the metric.
///
/// The same rule always gives the same answer; above 2,000 pairs it is not followed further.
pub fn expected_pairs(rule: &PairedRule) -> (u32, u32) {
    let rule = PairedRule {
        max_pairs: rule.max_pairs.min(MAX_SIMULATED_PAIRS),
        ..*rule
    };
    let mut normal = Normal::seeded(7);
    let mut pairs: Vec<u32> = (0..SIMULATIONS)
        .map(|_| simulate(rule, &mut normal))
        .collect();
    pairs.sort_unstable();
    (pairs[SIMULATIONS / 4], pairs[SIMULATIONS * 3 / 4])
}

/// Plays one comparison of a candidate that is better by `rule.delta`; returns its pairs.
fn simulate(rule: PairedRule, normal: &mut Normal) -> u32 {
    let better = match rule.direction {
        Direction::Lower => 1.0 - rule.delta.min(0.999),
        Direction::Higher => 1.0 + rule.delta,
    };
    let mut comparison = Comparison::new(rule);
    loop {
        let error = (normal.next() * rule.sigma).exp();
        let (Ok(champion), Ok(candidate)) =
            (Metric::try_from(1.0), Metric::try_from(better * error))
        else {
            return comparison.pairs();
        };
        if comparison.push(champion, candidate) != Judgement::More {
            return comparison.pairs();
        }
    }
}

/// Returns the median of one or more readings.
pub fn median_reading(readings: &[Metric]) -> Metric {
    let values: Vec<f64> = readings.iter().map(|reading| reading.get()).collect();
    Metric::try_from(median(&values)).unwrap_or(readings[0])
}

/// Returns the middle value, the mean of the two in the middle for an even count, 0 for none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        // Halved first: the sum of two finite numbers may overflow.
        _ => sorted[middle - 1] / 2.0 + sorted[middle] / 2.0,
    }
}

fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let deviation = (squares / (values.len() - 1) as f64).sqrt();
    // Equal values differ from their rounded mean by rounding only.
    if values.iter().all(|v| v.total_cmp(&values[0]).is_eq()) {
        0.0
    } else {
        deviation
    }
}

/// Normal deviates from a fixed linear congruential generator (Knuth, MMIX constants), by adding
/// up twelve uniform ones (Irwin-Hall), whose variance is 1.
pub(super) struct Normal {
    state: u64,
}

impl Normal {
    pub(super) fn seeded(state: u64) -> Self {
        Self { state }
    }

    pub(super) fn next(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn uniform(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(numbers: &[f64]) -> Vec<Metric> {
        numbers
            .iter()
            .map(|n| Metric::try_from(*n).unwrap())
            .collect()
    }

    fn rule(noise: f64) -> PairedRule {
        PairedRule {
            alpha: 0.02,
            beta: 0.2,
            delta: 0.03,
            min_effect: 0.0,
            max_pairs: 60,
            clip: 2.0,
            sigma: sigma_of_pairs(noise),
            direction: Direction::Lower,
        }
    }

    #[test]
    fn equal_readings_have_no_noise() {
        for readings in [&[][..], &[5.0], &[0.1, 0.1, 0.1], &[0.0, 0.0]] {
            assert!(noise(&metrics(readings)) == 0.0, "{readings:?}");
        }
    }

    #[test]
    fn one_outlier_does_not_move_the_noise() {
        let quiet = noise(&metrics(&[99.0, 100.0, 101.0, 100.5, 99.5]));
        let outlier = noise(&metrics(&[99.0, 100.0, 1010.0, 100.5, 99.5]));
        assert!((quiet - 0.007_413).abs() < 1e-6, "{quiet}");
        assert!((outlier - 0.007_413).abs() < 1e-4, "{outlier}");
    }

    #[test]
    fn mostly_equal_readings_fall_back_to_the_standard_deviation() {
        let readings = metrics(&[100.0, 100.0, 100.0, 110.0]);
        assert!((noise(&readings) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn negative_and_huge_readings_have_relative_noise_too() {
        assert!((noise(&metrics(&[-9.0, -10.0, -11.0])) - 0.148_26).abs() < 1e-9);
        assert!((noise(&metrics(&[9e307, 1e308, 1.1e308])) - 0.148_26).abs() < 1e-9);
    }

    #[test]
    fn more_noise_takes_more_pairs() {
        let (quiet, loud) = (expected_pairs(&rule(0.01)), expected_pairs(&rule(0.05)));
        assert!(quiet.0 <= quiet.1 && loud.0 < loud.1);
        assert!(quiet.1 < loud.0, "{quiet:?} {loud:?}");
        assert_eq!(expected_pairs(&rule(0.05)), loud);
    }

    #[test]
    fn without_noise_one_pair_and_one_confirmation_are_expected() {
        assert_eq!(expected_pairs(&rule(0.0)), (2, 2));
    }

    #[test]
    fn the_rule_finds_most_gains_of_the_size_it_is_made_for_and_few_that_are_not_there() {
        let mut normal = Normal::seeded(11);
        let mut kept = |gain: f64| {
            (0..400)
                .filter(|_| {
                    let mut comparison = Comparison::new(rule(0.02));
                    loop {
                        let error = (normal.next() * sigma_of_pairs(0.02)).exp();
                        let pair = metrics(&[1.0, (1.0 - gain) * error]);
                        match comparison.push(pair[0], pair[1]) {
                            Judgement::More => {}
                            judgement => break matches!(judgement, Judgement::Keep { .. }),
                        }
                    }
                })
                .count()
        };
        assert!(kept(0.0) <= 8, "at most 2 % of 400 without a gain");
        assert!(kept(0.03) >= 240, "at least 60 % of 400 with a gain of 3 %");
    }
}
