//! What finding a gain costs, in pairs, before anything is measured.

use crate::marker::MetricSpec;
use crate::model::{Direction, Metric};

use super::dice::Dice;
use super::judge::{Comparison, Judgement, PairedRule};

/// Comparisons that are played through for an estimate.
const SIMULATIONS: usize = 301;
/// Pairs after which a simulated comparison is given up.
const MAX_SIMULATED_PAIRS: u32 = 2_000;
/// The values of `design_effect` that are suggested.
const LADDER: [f64; 9] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.10, 0.20, 0.30, 0.50];
/// A gain that is found in so few pairs could be looked for more finely.
const CHEAP_PAIRS: u32 = 8;

/// What comparisons with a candidate that is better by `gain` take.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Price {
    /// The true relative gain, as a fraction.
    pub gain: f64,
    /// The quartiles of the number of pairs: half of the comparisons lie between.
    pub low_pairs: u32,
    pub high_pairs: u32,
    /// The share of comparisons that keep the candidate.
    pub kept: f64,
}

/// Another `design_effect` that fits the noise better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    pub design_effect: f64,
    pub why: Misfit,
    /// What a gain of `design_effect` would take.
    pub price: Price,
}

/// Why a `design_effect` does not fit the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Many comparisons would end undecided.
    TooCostly,
    /// Smaller gains could be found for little.
    TooCoarse,
}

/// Returns what a candidate that is better by `gain` takes, from playing `rule` through on normal
/// noise of `rule.sigma`. A pair is two runs of the metric.
///
/// The same rule always gives the same answer; above 2,000 pairs it is not followed further.
pub fn price(rule: &PairedRule, gain: f64) -> Price {
    let rule = PairedRule {
        max_pairs: rule.max_pairs.min(MAX_SIMULATED_PAIRS),
        ..*rule
    };
    let mut dice = Dice::new(7);
    let mut ends: Vec<(u32, Judgement)> = (0..SIMULATIONS)
        .map(|_| simulate(rule, gain, &mut dice))
        .collect();
    let kept = ends
        .iter()
        .filter(|(_, judgement)| matches!(judgement, Judgement::Keep { .. }))
        .count();
    ends.sort_unstable_by_key(|(pairs, _)| *pairs);
    Price {
        gain,
        low_pairs: ends[SIMULATIONS / 4].0,
        high_pairs: ends[SIMULATIONS * 3 / 4].0,
        kept: kept as f64 / SIMULATIONS as f64,
    }
}

/// Returns a `design_effect` that fits better than the metric's own, where there is one, to
/// readings with the relative standard deviation `noise`.
pub fn suggestion(metric: &MetricSpec, noise: f64) -> Option<Suggestion> {
    let own = PairedRule::new(metric, noise);
    if own.sigma <= 0.0 {
        return None;
    }
    let priced = |design_effect: f64| {
        let rule = PairedRule {
            delta: design_effect,
            ..own
        };
        (design_effect, price(&rule, design_effect))
    };
    let suggest = |why, (design_effect, price)| Suggestion {
        design_effect,
        why,
        price,
    };
    let useful = LADDER.into_iter().filter(|rung| *rung > metric.min_effect);
    if price(&own, own.delta).high_pairs >= own.max_pairs {
        return useful
            .filter(|rung| *rung > own.delta)
            .map(priced)
            .find(|(_, price)| price.high_pairs <= own.max_pairs / 2)
            .map(|found| suggest(Misfit::TooCostly, found));
    }
    useful
        .filter(|rung| *rung <= own.delta / 2.0)
        .map(priced)
        .find(|(_, price)| price.high_pairs <= CHEAP_PAIRS.min(own.max_pairs / 2))
        .map(|found| suggest(Misfit::TooCoarse, found))
}

/// Plays one comparison; returns its pairs and how it ended.
fn simulate(rule: PairedRule, gain: f64, dice: &mut Dice) -> (u32, Judgement) {
    let better = match rule.direction {
        Direction::Lower => 1.0 - gain.min(0.999),
        Direction::Higher => 1.0 + gain,
    };
    let mut comparison = Comparison::new(rule);
    loop {
        let error = (dice.normal() * rule.sigma).exp();
        let (Ok(champion), Ok(candidate)) =
            (Metric::try_from(1.0), Metric::try_from(better * error))
        else {
            return (comparison.pairs(), Judgement::Inconclusive);
        };
        match comparison.push(champion, candidate) {
            Judgement::More => {}
            judgement => return (comparison.pairs(), judgement),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::metric_spec;

    fn designed_for(design_effect: f64) -> MetricSpec {
        MetricSpec {
            design_effect,
            ..metric_spec()
        }
    }

    fn found(noise: f64, gain: f64) -> Price {
        price(&PairedRule::new(&designed_for(0.03), noise), gain)
    }

    #[test]
    fn more_noise_takes_more_pairs_and_a_larger_gain_fewer() {
        let (quiet, loud) = (found(0.01, 0.03), found(0.05, 0.03));
        assert!(quiet.low_pairs <= quiet.high_pairs && quiet.high_pairs < loud.low_pairs);
        assert!(found(0.05, 0.10).high_pairs < loud.high_pairs);
        assert_eq!(found(0.05, 0.03), loud, "the same question has one answer");
    }

    #[test]
    fn without_noise_one_pair_and_one_confirmation_are_expected() {
        let price = found(0.0, 0.03);
        assert_eq!((price.low_pairs, price.high_pairs), (2, 2));
        assert!(price.kept >= 1.0);
    }

    #[test]
    fn the_rule_finds_most_gains_of_the_size_it_is_made_for_and_few_that_are_not_there() {
        assert!(found(0.02, 0.03).kept >= 0.6);
        assert!(found(0.02, 0.0).kept <= 0.02);
    }

    #[test]
    fn a_design_effect_that_the_noise_drowns_is_answered_by_the_smallest_that_it_does_not() {
        let suggested = suggestion(&designed_for(0.01), 0.05).unwrap();
        assert_eq!(suggested.why, Misfit::TooCostly);
        assert!((suggested.design_effect - 0.05).abs() < 1e-12);
        assert!(suggested.price.high_pairs <= 30);
    }

    #[test]
    fn a_design_effect_far_above_the_noise_is_answered_by_a_finer_one() {
        let suggested = suggestion(&designed_for(0.10), 0.004).unwrap();
        assert_eq!(suggested.why, Misfit::TooCoarse);
        assert!((suggested.design_effect - 0.01).abs() < 1e-12);
        let floor = MetricSpec {
            min_effect: 0.02,
            ..designed_for(0.10)
        };
        let above = suggestion(&floor, 0.004).unwrap();
        assert!(above.design_effect > 0.02);
    }

    #[test]
    fn what_fits_is_left_alone() {
        for (design_effect, noise) in [(0.03, 0.03), (0.03, 0.0), (0.05, 0.04)] {
            assert_eq!(suggestion(&designed_for(design_effect), noise), None);
        }
    }

    #[test]
    fn nothing_is_suggested_where_no_design_effect_would_do() {
        assert_eq!(suggestion(&designed_for(0.03), 20.0), None);
    }
}
