//! How much better one reading is than another.
//!
//! Where both are above 0 a gain is a logarithm, so that a fall by half and a rise to double are as
//! far; elsewhere it is the difference relative to the median of the first sides.

use crate::model::{Direction, Metric};

use super::noise::median;

/// Below this size a side's median is taken as this much, so that 0 divides nothing.
const SMALLEST_SCALE: f64 = 1e-9;
/// No pair counts for more than this; only reached where the first side is about 0.
const LARGEST_LOG_GAIN: f64 = 1e6;
/// A relative gain of a lower-is-better metric stays below this: 1 would mean a metric of 0.
const LARGEST_REDUCTION: f64 = 0.999;

/// What `d` of a set of pairs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// The logarithm of a ratio.
    Log,
    /// A difference relative to the median of the first sides: one reading was not above 0.
    Difference,
}

impl Scale {
    /// Returns the scale of pairs of which the latest is this one.
    pub fn with(self, before: f64, after: f64) -> Self {
        if before > 0.0 && after > 0.0 {
            self
        } else {
            Self::Difference
        }
    }

    /// Returns the relative gain that `d` stands for, as a fraction.
    pub fn gain(self, d: f64, direction: Direction) -> f64 {
        match self {
            Self::Log => gain_of_log(d, direction),
            Self::Difference => d,
        }
    }
}

/// Returns `d` of a pair, positive where `after` is better; `befores` are all first sides so far.
pub(super) fn log_gain(before: f64, after: f64, befores: &[f64], direction: Direction) -> f64 {
    let sign = direction.sign();
    if before > 0.0 && after > 0.0 {
        return sign * (before.ln() - after.ln());
    }
    let scale = median(befores).abs().max(SMALLEST_SCALE);
    // Divided first: the difference of two finite numbers may overflow.
    let d = sign * (before / scale - after / scale);
    if d.is_nan() {
        0.0
    } else {
        d.clamp(-LARGEST_LOG_GAIN, LARGEST_LOG_GAIN)
    }
}

/// Returns `d` of each pair of whole comparison, all on the one scale that is returned with them.
pub(super) fn gains(pairs: &[(Metric, Metric)], direction: Direction) -> (Scale, Vec<f64>) {
    let befores: Vec<f64> = pairs.iter().map(|(before, _)| before.get()).collect();
    let scale = pairs.iter().fold(Scale::Log, |scale, (before, after)| {
        scale.with(before.get(), after.get())
    });
    let size = median(&befores).abs().max(SMALLEST_SCALE);
    let gain = |(before, after): &(Metric, Metric)| match scale {
        Scale::Log => log_gain(before.get(), after.get(), &befores, direction),
        Scale::Difference => {
            let d = direction.sign() * (before.get() / size - after.get() / size);
            d.clamp(-LARGEST_LOG_GAIN, LARGEST_LOG_GAIN)
        }
    };
    (scale, pairs.iter().map(gain).collect())
}

/// Returns `d` of a relative gain: a metric that falls by 3 % is multiplied by 0.97, one that
/// rises by 3 % by 1.03.
pub(super) fn log_of_gain(gain: f64, direction: Direction) -> f64 {
    match direction {
        Direction::Lower => -(-gain.min(LARGEST_REDUCTION)).ln_1p(),
        Direction::Higher => gain.ln_1p(),
    }
}

/// Returns the relative gain of a `d`; the inverse of [`log_of_gain`].
pub(super) fn gain_of_log(d: f64, direction: Direction) -> f64 {
    match direction {
        Direction::Lower => -(-d).exp_m1(),
        Direction::Higher => d.exp_m1(),
    }
    .clamp(-LARGEST_LOG_GAIN, LARGEST_LOG_GAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(before: f64, after: f64) -> (Metric, Metric) {
        let metric = |n| Metric::try_from(n).unwrap();
        (metric(before), metric(after))
    }

    #[test]
    fn percentages_survive_the_way_to_the_log_scale_and_back() {
        for direction in [Direction::Lower, Direction::Higher] {
            for gain in [0.0, 0.03, 0.5] {
                let back = gain_of_log(log_of_gain(gain, direction), direction);
                assert!((back - gain).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn one_reading_of_zero_puts_all_pairs_on_the_difference_scale() {
        let (scale, ds) = gains(&[pair(4.0, 2.0), pair(4.0, 0.0)], Direction::Lower);
        assert_eq!((scale, ds), (Scale::Difference, vec![0.5, 1.0]));
        assert!((scale.gain(1.0, Direction::Lower) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_fall_by_half_is_a_gain_of_half_where_lower_is_better() {
        let (scale, ds) = gains(&[pair(4.0, 2.0)], Direction::Lower);
        assert!((scale.gain(ds[0], Direction::Lower) - 0.5).abs() < 1e-12);
        let (scale, ds) = gains(&[pair(4.0, 2.0)], Direction::Higher);
        assert!((scale.gain(ds[0], Direction::Higher) + 0.5).abs() < 1e-12);
    }
}
