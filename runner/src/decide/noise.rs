//! How much a measurement can be trusted.

use crate::model::Metric;

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

/// Readings of the base tell the noise about as well as so many pairs: the MAD of 8 has the
/// efficiency of 37 % (Rousseeuw and Croux, 1993), and each end of a pair adds to its spread.
const WORTH_OF_BASE: f64 = 4.0;
/// Pairs that are remembered: a machine's noise changes, and what is older counts for less.
const REMEMBERED: f64 = 60.0;

/// The noise of pairs as far as it is known before the next comparison: that of the base's readings,
/// with what every comparison since has shown.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Sum of squared deviations, and how many they count for.
    squares: f64,
    weight: f64,
}

impl Pool {
    /// Starts from the relative standard deviation of one reading of the base, as a fraction.
    pub fn new(noise: f64) -> Self {
        let weight = if noise > 0.0 { WORTH_OF_BASE } else { 0.0 };
        Self {
            squares: weight * sigma_of_pairs(noise).powi(2),
            weight,
        }
    }

    /// Adds a comparison of `pairs` whose logarithmic gains had the standard deviation `spread`.
    #[must_use]
    pub fn with(self, spread: f64, pairs: u32) -> Self {
        let count = f64::from(pairs.saturating_sub(1));
        let weight = self.weight + count;
        if weight <= 0.0 {
            return self;
        }
        let kept = (REMEMBERED / weight).min(1.0);
        Self {
            squares: kept * (self.squares + count * spread.powi(2)),
            weight: kept * weight,
        }
    }

    /// Returns the relative standard deviation of one reading, as a fraction; 0 says that the
    /// metric is deterministic.
    pub fn noise(self) -> f64 {
        if self.weight <= 0.0 {
            return 0.0;
        }
        (self.squares / self.weight).sqrt() / std::f64::consts::SQRT_2
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

pub(super) fn standard_deviation(values: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(numbers: &[f64]) -> Vec<Metric> {
        numbers
            .iter()
            .map(|n| Metric::try_from(*n).unwrap())
            .collect()
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
    fn comparisons_correct_a_noise_that_the_base_showed_too_small() {
        let base = Pool::new(0.01);
        assert!((base.noise() - 0.01).abs() < 1e-12);
        let shown = sigma_of_pairs(0.05);
        let after = (0..10).fold(base, |pool, _| pool.with(shown, 20));
        assert!((after.noise() - 0.05).abs() < 1e-3, "{}", after.noise());
        let again = (0..20).fold(after, |pool, _| pool.with(sigma_of_pairs(0.02), 20));
        assert!(
            (again.noise() - 0.02).abs() < 2e-3,
            "what is old is forgotten"
        );
    }

    #[test]
    fn a_metric_without_noise_stays_so_until_a_comparison_shows_some() {
        assert!(Pool::new(0.0).noise() == 0.0);
        let shown = Pool::new(0.0).with(sigma_of_pairs(0.02), 12);
        assert!((shown.noise() - 0.02).abs() < 1e-12);
    }
}
