//! How large an effect is, from paired readings taken for that purpose alone.
//!
//! The judge stops as soon as it may, so its own estimate of a gain is too large on average: the
//! winner's curse. What is reported of a finished branch is estimated here, from a number of fresh
//! pairs that was fixed before the first of them.

use crate::model::{Direction, Metric};

use super::gain::{gains, log_of_gain};
use super::noise::sigma_of_pairs;

/// The least and the most rounds of a noisy metric: with 8 pairs an exact test can reach
/// 1 in 256; beyond 200 an effect that is still unclear is too small to wait for.
const ROUNDS: (u32, u32) = (8, 200);
/// Rounds of a metric without noise: a reading and its confirmation.
const ROUNDS_WITHOUT_NOISE: u32 = 2;
/// The chance that an effect of the size looked for is found.
const POWER: f64 = 0.8;
/// How often an interval misses, on both sides together.
const MISSES: f64 = 0.05;

/// An effect as measured. Gains are relative, as fractions: above 0 is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// The median of the means of all two pairs (Hodges and Lehmann, 1963): outliers and bursts
    /// move it little.
    pub gain: f64,
    /// Its 95 % interval, both ends included: the inverse of the signed-rank test.
    pub interval: (f64, f64),
    /// How likely pairs like these are without any gain: the exact one-sided signed-rank test
    /// (Wilcoxon, 1945). Valid for any noise that is as often for as against.
    pub p_value: f64,
}

/// Estimates the effect of what lies between the two sides of `pairs`, at least one, in any order.
///
/// Readings that never vary leave nothing to estimate: the interval is the gain itself, and the
/// p value 0 or 1.
pub fn effect(pairs: &[(Metric, Metric)], direction: Direction) -> Effect {
    let (scale, ds) = gains(pairs, direction);
    let is_deterministic = pairs.len() > 1 && pairs.iter().all(|pair| *pair == pairs[0]);
    if is_deterministic {
        let gain = scale.gain(ds[0], direction);
        return Effect {
            gain,
            interval: (gain, gain),
            p_value: if gain > 0.0 { 0.0 } else { 1.0 },
        };
    }
    let mut means = walsh_averages(&ds);
    means.sort_by(f64::total_cmp);
    let tails = signed_rank_tails(ds.len());
    // How many of the means each end of the interval leaves out.
    let outside = tails.iter().take_while(|tail| **tail <= MISSES / 2.0);
    let outside = outside.count().saturating_sub(1).min((means.len() - 1) / 2);
    let middle = f64::midpoint(means[(means.len() - 1) / 2], means[means.len() / 2]);
    let gain = |d| scale.gain(d, direction);
    Effect {
        gain: gain(middle),
        interval: (gain(means[outside]), gain(means[means.len() - 1 - outside])),
        p_value: {
            // As many as are not above 0: the statistic, counted from its far end.
            let against = means.iter().filter(|mean| **mean <= 0.0).count();
            tails[against]
        },
    }
}

/// Returns how many rounds show an effect of `design_effect` (relative, above 0) in `comparisons`
/// tests at once, each reading having the relative standard deviation `noise`.
///
/// `alpha` is the chance to see any effect that is not there, at most 0.5.
pub fn rounds(noise: f64, design_effect: f64, alpha: f64, comparisons: usize) -> u32 {
    if noise <= 0.0 {
        return ROUNDS_WITHOUT_NOISE;
    }
    let alpha = alpha / comparisons.max(1) as f64;
    let delta = log_of_gain(design_effect, Direction::Higher);
    let deviations = normal_quantile(alpha) + normal_quantile(1.0 - POWER);
    // The signed-rank test needs pi/3 of the pairs of a t test (Lehmann, 1975).
    let pairs = std::f64::consts::FRAC_PI_3 * (deviations * sigma_of_pairs(noise) / delta).powi(2);
    // All pairs for a gain have the chance 2^-n, which must be below alpha.
    let least = 1.0 + (1.0 / alpha).log2();
    let (fewest, most) = ROUNDS;
    (fewest..most)
        .find(|rounds| f64::from(*rounds) >= pairs.max(least))
        .unwrap_or(most)
}

/// Says of each p value whether it holds at `alpha` among all of them (Holm, 1979).
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut holds = vec![false; p_values.len()];
    for (rank, index) in order.into_iter().enumerate() {
        if p_values[index] > alpha / (p_values.len() - rank) as f64 {
            break;
        }
        holds[index] = true;
    }
    holds
}

/// Returns the mean of every two of `ds`, each with itself too.
fn walsh_averages(ds: &[f64]) -> Vec<f64> {
    (0..ds.len())
        .flat_map(|i| (i..ds.len()).map(move |j| f64::midpoint(ds[i], ds[j])))
        .collect()
}

/// Returns the chance that the signed-rank statistic of `n` pairs is at most k, for each k from 0
/// to n(n+1)/2: each rank counts with chance 1/2.
fn signed_rank_tails(n: usize) -> Vec<f64> {
    let mut chances = vec![0.0; n * (n + 1) / 2 + 1];
    chances[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..chances.len()).rev() {
            let with = if sum < rank { 0.0 } else { chances[sum - rank] };
            chances[sum] = f64::midpoint(chances[sum], with);
        }
    }
    let mut total = 0.0;
    for chance in &mut chances {
        total += *chance;
        *chance = f64::min(total, 1.0);
    }
    chances
}

/// Returns how many standard deviations a normal deviate exceeds with chance `p`, at most 0.5.
///
/// Off by less than 0.00045 (Abramowitz and Stegun, 26.2.23).
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::dice::Dice;

    fn pairs(numbers: &[(f64, f64)]) -> Vec<(Metric, Metric)> {
        let metric = |n| Metric::try_from(n).unwrap();
        numbers
            .iter()
            .map(|(a, b)| (metric(*a), metric(*b)))
            .collect()
    }

    fn is_near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_tails_are_those_of_the_published_table() {
        // Wilcoxon's table: n = 8, one-sided 0.025 at 3, and 1 in 256 at 0.
        let tails = signed_rank_tails(8);
        assert_eq!(tails.len(), 37);
        assert!(is_near(tails[0], 1.0 / 256.0));
        assert!(is_near(tails[3], 5.0 / 256.0));
        assert!(tails[4] > 0.025);
        assert!(is_near(tails[36], 1.0));
    }

    #[test]
    fn pairs_that_all_gain_are_as_unlikely_as_so_many_heads() {
        let eight = [
            (100.0, 91.0),
            (100.0, 92.0),
            (100.0, 90.0),
            (100.0, 93.0),
            (100.0, 88.0),
            (100.0, 89.5),
            (100.0, 90.5),
            (100.0, 91.5),
        ];
        let effect = effect(&pairs(&eight), Direction::Lower);
        assert!(is_near(effect.p_value, 1.0 / 256.0), "{effect:?}");
        assert!((effect.gain - 0.0925).abs() < 0.002, "{effect:?}");
        let (low, high) = effect.interval;
        assert!(0.07 < low && low < 0.09 && 0.095 < high && high < 0.12);
    }

    #[test]
    fn one_burst_moves_neither_gain_nor_interval_beyond_the_other_pairs() {
        let mut numbers = vec![(100.0, 97.0), (101.0, 98.2), (99.0, 96.3), (100.5, 97.2)];
        numbers.extend([(100.2, 97.3), (99.7, 96.9), (100.1, 96.9), (100.0, 900.0)]);
        let effect = effect(&pairs(&numbers), Direction::Lower);
        assert!((effect.gain - 0.029).abs() < 0.003, "{effect:?}");
    }

    #[test]
    fn readings_that_never_vary_need_no_test() {
        let gained = effect(&pairs(&[(100.0, 60.0); 2]), Direction::Lower);
        assert!(is_near(gained.gain, 0.4) && gained.p_value == 0.0);
        assert!(is_near(gained.interval.0, 0.4) && is_near(gained.interval.1, 0.4));
        let same = effect(&pairs(&[(5.0, 5.0); 2]), Direction::Lower);
        assert!(same.gain == 0.0 && same.p_value > 0.99);
    }

    #[test]
    fn holm_takes_the_smallest_first_and_stops_at_the_first_that_fails() {
        assert_eq!(
            holm(&[0.004, 0.03, 0.02], 0.05),
            [true, true, true],
            "0.004 <= 0.05/3, 0.02 <= 0.05/2, 0.03 <= 0.05"
        );
        assert_eq!(holm(&[0.004, 0.03, 0.03], 0.05), [true, false, false]);
        assert_eq!(holm(&[], 0.05), Vec::<bool>::new());
    }

    #[test]
    fn more_noise_and_more_tests_take_more_rounds() {
        assert_eq!(rounds(0.0, 0.03, 0.02, 1), 2);
        assert_eq!(rounds(0.001, 0.03, 0.02, 1), 8);
        assert!(
            rounds(0.001, 0.03, 0.02, 30) > 10,
            "2^-n must reach alpha/30"
        );
        assert!(rounds(0.05, 0.03, 0.02, 1) < rounds(0.05, 0.03, 0.02, 5));
        assert_eq!(rounds(f64::MAX, 0.03, 0.02, 1), 200);
    }

    #[test]
    fn quantiles_are_those_of_the_normal_table() {
        assert!((normal_quantile(0.025) - 1.96).abs() < 0.001);
        assert!((normal_quantile(0.2) - 0.8416).abs() < 0.001);
    }

    #[test]
    fn intervals_of_fresh_pairs_cover_the_truth_as_often_as_they_say() {
        let mut dice = Dice::new(5);
        let truth: f64 = 0.04;
        let covered = (0..400)
            .filter(|_| {
                let pairs: Vec<(f64, f64)> = (0..12)
                    .map(|_| {
                        let mut noise = || (0.03 * dice.normal()).exp();
                        (noise(), (1.0 - truth) * noise())
                    })
                    .collect();
                let (low, high) = effect(&self::pairs(&pairs), Direction::Lower).interval;
                low <= truth && truth <= high
            })
            .count();
        assert!(
            (368..=396).contains(&covered),
            "95 % of 400 is 380, not {covered}"
        );
    }
}
