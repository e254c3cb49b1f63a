//! Whether a candidate is better than the champion, by paired betting.
//!
//! Champion and candidate are measured in pairs; every pair gives `d`, the logarithm of the gain.
//! Two bets run along: E against "no better than `min_effect`" and F against "at least `delta`
//! better". Each bet's wealth is a martingale for any noise that is symmetric, so looking after
//! every pair is allowed: P(false keep) <= alpha by Ville's inequality.

use crate::marker::MetricSpec;
use crate::model::{Direction, DiscardReason, Metric};

use super::gain::{Scale, log_gain, log_of_gain};
use super::noise::{median, sigma_of_pairs};

/// What lies further from the median, in standard deviations, says nothing of the usual spread.
const OUTLIER: f64 = 3.0;

/// How a comparison is decided. Gains are relative, as fractions: 0.03 is 3 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRule {
    /// Chance of keeping a candidate that is not better by more than `min_effect`.
    pub alpha: f64,
    /// Chance of discarding a candidate that is better by `delta`.
    pub beta: f64,
    /// The gain that the comparison is sized for; above 0.
    pub delta: f64,
    /// The smallest gain worth keeping; at least 0.
    pub min_effect: f64,
    /// Pairs after which a comparison is inconclusive.
    pub max_pairs: u32,
    /// Where `d` is cut off, in standard deviations.
    pub clip: f64,
    /// Standard deviation of `d`, known before the candidate was measured; see
    /// [`sigma_of_pairs`]. 0 says that the metric is deterministic.
    pub sigma: f64,
    pub direction: Direction,
}

/// What the pairs so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Another pair is needed.
    More,
    /// Better. `fast`: so clearly that the evidence was not waited for.
    Keep { fast: bool },
    /// [`DiscardReason::Worse`] or [`DiscardReason::NoGain`].
    Discard(DiscardReason),
    /// `max_pairs` did not decide.
    Inconclusive,
}

/// A candidate being compared with the champion, pair by pair.
#[derive(Debug, Clone)]
pub struct Comparison {
    direction: Direction,
    is_deterministic: bool,
    scale: Scale,
    /// What the champion must read for the metric to be deterministic.
    expected: Option<Metric>,
    champions: Vec<f64>,
    candidates: Vec<f64>,
    bets: Bets,
    judgement: Judgement,
}

impl PairedRule {
    /// Returns the rule for a marker's metric, whose single readings have the relative standard
    /// deviation `noise`.
    pub fn new(metric: &MetricSpec, noise: f64) -> Self {
        Self {
            alpha: metric.alpha,
            beta: 0.2,
            delta: metric.design_effect,
            min_effect: metric.min_effect,
            max_pairs: metric.max_pairs,
            clip: 2.0,
            sigma: sigma_of_pairs(noise),
            direction: metric.direction,
        }
    }
}

impl Comparison {
    pub fn new(rule: PairedRule) -> Self {
        Self {
            direction: rule.direction,
            is_deterministic: rule.sigma <= 0.0,
            scale: Scale::Log,
            expected: None,
            champions: Vec::new(),
            candidates: Vec::new(),
            bets: Bets::new(rule),
            judgement: Judgement::More,
        }
    }

    /// Lets a metric count as deterministic only while the champion reads what it read before.
    ///
    /// Nothing else follows from that older reading: the candidate is compared with the champion of
    /// the same pair. It keeps a metric with few values, such as whole seconds, from being taken for
    /// deterministic because a few readings happened to be equal.
    #[must_use]
    pub fn expecting(mut self, champion: Metric) -> Self {
        self.expected = Some(champion);
        self
    }

    /// Takes one pair of readings and says what all pairs together say.
    ///
    /// A decision is final: pairs pushed after it are not looked at.
    pub fn push(&mut self, champion: Metric, candidate: Metric) -> Judgement {
        if self.judgement != Judgement::More {
            return self.judgement;
        }
        self.champions.push(champion.get());
        self.candidates.push(candidate.get());
        let expected = self.expected.map_or(self.champions[0], Metric::get);
        self.is_deterministic &= champion.get().total_cmp(&expected).is_eq()
            && candidate.get().total_cmp(&self.candidates[0]).is_eq();
        self.scale = self.scale.with(champion.get(), candidate.get());
        let d = log_gain(
            champion.get(),
            candidate.get(),
            &self.champions,
            self.direction,
        );
        let by_evidence = self.bets.push(d);
        self.judgement = if self.is_deterministic {
            self.judge_deterministic(d)
        } else {
            by_evidence
        };
        self.judgement
    }

    /// Returns the median relative gain of the pairs, as a fraction; above 0 is better, 0 without
    /// pairs.
    pub fn gain(&self) -> f64 {
        self.scale.gain(median(&self.bets.ds), self.direction)
    }

    /// Returns the relative gain of the latest pair alone, 0 without pairs.
    pub fn last_gain(&self) -> f64 {
        self.scale.gain(self.last_log_gain(), self.direction)
    }

    /// Returns the logarithm of the gain of the latest pair, 0 without pairs; where a reading was not
    /// above 0, the gain itself.
    pub fn last_log_gain(&self) -> f64 {
        self.bets.ds.last().copied().unwrap_or(0.0)
    }

    /// Returns ln E, and the ln(1/alpha) at which the candidate is kept.
    pub fn evidence(&self) -> (f64, f64) {
        (self.bets.ln_e, (1.0 / self.bets.rule.alpha).ln())
    }

    /// Returns ln F, and the ln(1/beta) at which the candidate is let go.
    pub fn evidence_against(&self) -> (f64, f64) {
        (self.bets.ln_f, (1.0 / self.bets.rule.beta).ln())
    }

    /// Returns the standard deviation of the pairs' logarithmic gains, with outliers cut off; `None`
    /// for fewer than three pairs.
    pub fn spread(&self) -> Option<f64> {
        let ds = &self.bets.ds;
        if ds.len() < 3 {
            return None;
        }
        let centre = median(ds);
        let limit = OUTLIER * self.bets.spread();
        let squares = |d: &f64| (d - centre).clamp(-limit, limit).powi(2);
        Some((ds.iter().map(squares).sum::<f64>() / (ds.len() - 1) as f64).sqrt())
    }

    /// Returns how many pairs were taken.
    pub fn pairs(&self) -> u32 {
        self.bets.pairs()
    }

    /// Returns the median reading of the candidate; 0 without pairs.
    pub fn candidate_value(&self) -> Metric {
        median_metric(&self.candidates)
    }

    /// Returns the median reading of the champion; 0 without pairs.
    pub fn champion_value(&self) -> Metric {
        median_metric(&self.champions)
    }

    /// Decides a metric whose readings do not vary: one pair and one confirmation.
    fn judge_deterministic(&self, d: f64) -> Judgement {
        if self.pairs() < 2 && self.bets.rule.max_pairs > 1 {
            Judgement::More
        } else if d > self.bets.min_effect {
            Judgement::Keep { fast: true }
        } else if d < 0.0 {
            Judgement::Discard(DiscardReason::Worse)
        } else {
            Judgement::Discard(DiscardReason::NoGain)
        }
    }
}

/// The two bets of the rule, on the logarithmic scale.
#[derive(Debug, Clone)]
struct Bets {
    rule: PairedRule,
    /// `rule.delta` and `rule.min_effect` as logarithms.
    delta: f64,
    min_effect: f64,
    ds: Vec<f64>,
    lowest: f64,
    highest: f64,
    ln_e: f64,
    ln_f: f64,
}

impl Bets {
    fn new(rule: PairedRule) -> Self {
        Self::on_log_scale(
            rule,
            log_of_gain(rule.delta, rule.direction),
            log_of_gain(rule.min_effect, rule.direction),
        )
    }

    fn on_log_scale(rule: PairedRule, delta: f64, min_effect: f64) -> Self {
        Self {
            rule,
            delta,
            min_effect,
            ds: Vec::new(),
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
            ln_e: 0.0,
            ln_f: 0.0,
        }
    }

    fn pairs(&self) -> u32 {
        u32::try_from(self.ds.len()).unwrap_or(u32::MAX)
    }

    /// Returns the spread that stakes are sized by: never far below the effect looked for, so
    /// that a noise measured too small does not stake everything on one pair.
    fn spread(&self) -> f64 {
        self.rule.sigma.max(self.delta / 2.0)
    }

    fn winsorized(&self, d: f64) -> f64 {
        let limit = self.rule.clip * self.spread();
        d.clamp(-limit, limit)
    }

    fn push(&mut self, d: f64) -> Judgement {
        self.ds.push(d);
        self.lowest = self.lowest.min(d);
        self.highest = self.highest.max(d);
        let stake = self.delta / self.spread().powi(2);
        let wealth = |x: f64| (stake * x).tanh().ln_1p();
        self.ln_e += wealth(self.winsorized(d - self.min_effect));
        self.ln_f += wealth(self.winsorized(self.delta - d));
        self.judge()
    }

    fn judge(&self) -> Judgement {
        let rule = &self.rule;
        let pairs = self.pairs();
        // With a spread of 0 any difference would be "clear"; only evidence decides then.
        let clear = (rule.sigma > 0.0).then_some(4.0 * rule.sigma);
        if self.ln_e >= (1.0 / rule.alpha).ln() {
            Judgement::Keep { fast: false }
        } else if pairs >= 3 && clear.is_some_and(|clear| self.lowest > self.min_effect + clear) {
            Judgement::Keep { fast: true }
        } else if self.ln_f >= (1.0 / rule.beta).ln()
            || (pairs >= 2 && clear.is_some_and(|clear| self.highest < self.delta - clear))
        {
            Judgement::Discard(self.discard_reason())
        } else if pairs >= rule.max_pairs {
            Judgement::Inconclusive
        } else {
            Judgement::More
        }
    }

    /// Says `Worse` when the winsorized mean lies more than two standard errors below 0.
    fn discard_reason(&self) -> DiscardReason {
        let count = self.ds.len() as f64;
        let mean = self.ds.iter().map(|d| self.winsorized(*d)).sum::<f64>() / count;
        if mean < -2.0 * self.spread() / count.sqrt() {
            DiscardReason::Worse
        } else {
            DiscardReason::NoGain
        }
    }
}

fn median_metric(readings: &[f64]) -> Metric {
    Metric::try_from(median(readings)).expect("the median of finite numbers is finite")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    const GOLDEN: &str = include_str!("golden/paired_rule.json");

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(non_snake_case, reason = "the spelling of the reference")]
    struct Golden {
        d: Vec<f64>,
        sigma: f64,
        verdict: String,
        pairs: u32,
        lnE: f64,
        lnF: f64,
    }

    fn rule(sigma: f64, direction: Direction) -> PairedRule {
        PairedRule {
            alpha: 0.02,
            beta: 0.2,
            delta: 0.03,
            min_effect: 0.0,
            max_pairs: 60,
            clip: 2.0,
            sigma,
            direction,
        }
    }

    fn metric(number: f64) -> Metric {
        Metric::try_from(number).unwrap()
    }

    /// Compares the same pairs over and over, until the rule decides.
    fn judge(rule: PairedRule, pairs: &[(f64, f64)]) -> (Judgement, u32) {
        let mut comparison = Comparison::new(rule);
        for (champion, candidate) in pairs {
            comparison.push(metric(*champion), metric(*candidate));
        }
        (comparison.judgement, comparison.pairs())
    }

    #[test]
    fn golden_vectors_of_the_reference_are_met() {
        let golden: Vec<Golden> = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(golden.len(), 6);
        for vector in golden {
            let rule = rule(vector.sigma, Direction::Lower);
            let mut bets = Bets::on_log_scale(rule, 0.03, 0.0);
            let judgement = vector
                .d
                .iter()
                .map(|d| bets.push(*d))
                .find(|judgement| *judgement != Judgement::More);
            match vector.verdict.as_str() {
                "keep" => assert_eq!(judgement, Some(Judgement::Keep { fast: false })),
                "keep(fast)" => assert_eq!(judgement, Some(Judgement::Keep { fast: true })),
                "discard" => {
                    assert_eq!(judgement, Some(Judgement::Discard(DiscardReason::NoGain)));
                }
                "discard(fast)" => {
                    assert_eq!(judgement, Some(Judgement::Discard(DiscardReason::Worse)));
                }
                other => panic!("unknown verdict {other}"),
            }
            assert_eq!(bets.pairs(), vector.pairs);
            assert!((bets.ln_e - vector.lnE).abs() < 1e-9, "{}", bets.ln_e);
            assert!((bets.ln_f - vector.lnF).abs() < 1e-9, "{}", bets.ln_f);
        }
    }

    #[test]
    fn deterministic_gain_is_kept_after_one_confirmation() {
        let lower = rule(0.0, Direction::Lower);
        assert_eq!(judge(lower, &[(100.0, 90.0)]), (Judgement::More, 1));
        assert_eq!(
            judge(lower, &[(100.0, 90.0); 2]),
            (Judgement::Keep { fast: true }, 2)
        );
        let higher = rule(0.0, Direction::Higher);
        assert_eq!(
            judge(higher, &[(100.0, 90.0); 2]),
            (Judgement::Discard(DiscardReason::Worse), 2)
        );
    }

    #[test]
    fn a_champion_that_does_not_read_what_it_read_before_is_not_deterministic() {
        let push = |expected: f64| {
            let lower = rule(0.0, Direction::Lower);
            let mut comparison = Comparison::new(lower).expecting(metric(expected));
            comparison.push(metric(11.0), metric(10.0));
            comparison.push(metric(11.0), metric(10.0))
        };
        assert_eq!(push(11.0), Judgement::Keep { fast: true });
        assert_eq!(push(10.0), Judgement::More, "two equal pairs were luck");
    }

    #[test]
    fn spread_is_told_by_three_pairs_and_not_moved_by_one_outlier() {
        let spread = |candidates: &[f64]| {
            let mut comparison = Comparison::new(PairedRule {
                delta: 0.3,
                ..rule(0.2, Direction::Lower)
            });
            for candidate in candidates {
                comparison.push(metric(1.0), metric(candidate.exp()));
            }
            comparison.spread()
        };
        assert_eq!(spread(&[-0.15, -0.16]), None);
        let quiet = spread(&[-0.15, -0.16, -0.14]).unwrap();
        assert!((quiet - 0.01).abs() < 1e-9, "{quiet}");
        let loud = spread(&[-0.15, -0.16, -9.0]).unwrap();
        assert!(loud < 0.45, "{loud}, where the whole outlier would make 6");
    }

    #[test]
    fn deterministic_equality_is_no_gain() {
        assert_eq!(
            judge(rule(0.0, Direction::Lower), &[(7.0, 7.0); 2]),
            (Judgement::Discard(DiscardReason::NoGain), 2)
        );
    }

    #[test]
    fn deterministic_gain_below_the_smallest_worth_keeping_is_no_gain() {
        let rule = PairedRule {
            min_effect: 0.05,
            ..rule(0.0, Direction::Higher)
        };
        assert_eq!(
            judge(rule, &[(100.0, 104.0); 2]),
            (Judgement::Discard(DiscardReason::NoGain), 2)
        );
        assert_eq!(
            judge(rule, &[(100.0, 106.0); 2]),
            (Judgement::Keep { fast: true }, 2)
        );
    }

    #[test]
    fn noise_that_was_never_seen_before_is_not_taken_for_a_clear_gain() {
        let pairs = [(100.0, 97.0), (100.5, 97.0), (100.0, 97.0)];
        assert_eq!(
            judge(rule(0.0, Direction::Lower), &pairs).0,
            Judgement::More
        );
    }

    #[test]
    fn metrics_of_zero_and_below_are_compared_by_difference() {
        let pairs = [(-2.0, -2.2), (-2.01, -2.21), (-1.99, -2.2)];
        assert_eq!(
            judge(rule(0.01, Direction::Lower), &pairs),
            (Judgement::Keep { fast: true }, 3)
        );
        assert_eq!(
            judge(rule(0.01, Direction::Higher), &pairs),
            (Judgement::Discard(DiscardReason::Worse), 2)
        );
        assert_eq!(
            judge(rule(0.0, Direction::Lower), &[(3.0, 0.0); 2]),
            (Judgement::Keep { fast: true }, 2)
        );
    }

    #[test]
    fn max_pairs_without_a_decision_is_inconclusive() {
        let rule = PairedRule {
            max_pairs: 2,
            ..rule(0.05, Direction::Lower)
        };
        let pairs = [(100.0, 98.5), (101.0, 99.5)];
        assert_eq!(judge(rule, &pairs), (Judgement::Inconclusive, 2));
    }

    #[test]
    fn gain_is_relative_to_the_champion_in_both_directions() {
        for (direction, candidate) in [(Direction::Lower, 92.0), (Direction::Higher, 108.0)] {
            let mut comparison = Comparison::new(rule(0.05, direction));
            comparison.push(metric(100.0), metric(candidate));
            assert!((comparison.gain() - 0.08).abs() < 1e-12);
            assert!((comparison.last_gain() - 0.08).abs() < 1e-12);
            assert_eq!(comparison.candidate_value(), metric(candidate));
            assert_eq!(comparison.champion_value(), metric(100.0));
        }
    }

    #[test]
    fn a_decision_is_final() {
        let mut comparison = Comparison::new(rule(0.0, Direction::Lower));
        for _ in 0..2 {
            comparison.push(metric(100.0), metric(50.0));
        }
        let late = comparison.push(metric(1.0), metric(1e9));
        assert_eq!(late, Judgement::Keep { fast: true });
        assert_eq!(comparison.pairs(), 2);
    }

    #[test]
    fn a_metric_that_reaches_zero_is_a_gain_of_all_of_it() {
        let mut comparison = Comparison::new(rule(0.0, Direction::Lower));
        comparison.push(metric(3.0), metric(0.0));
        assert!((comparison.gain() - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn two_versions_are_never_each_better_than_the_other(
            pairs in proptest::collection::vec((0.1..10.0f64, 0.1..10.0f64), 1..80),
            sigma in 0.0..0.5f64,
        ) {
            let swapped: Vec<_> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
            let one = judge(rule(sigma, Direction::Lower), &pairs).0;
            let other = judge(rule(sigma, Direction::Lower), &swapped).0;
            let is_keep = |j| matches!(j, Judgement::Keep { .. });
            prop_assert!(!(is_keep(one) && is_keep(other)));
        }

        #[test]
        fn any_finite_readings_are_judged_with_finite_numbers(
            pairs in proptest::collection::vec(
                (proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
                 proptest::num::f64::NORMAL | proptest::num::f64::ZERO), 60..61),
            sigma in 0.0..0.5f64,
        ) {
            let mut comparison = Comparison::new(rule(sigma, Direction::Higher));
            for (champion, candidate) in pairs {
                comparison.push(metric(champion), metric(candidate));
            }
            prop_assert!(comparison.gain().is_finite());
            prop_assert!(comparison.evidence().0.is_finite());
            prop_assert!(comparison.candidate_value().get().is_finite());
            prop_assert_ne!(comparison.judgement, Judgement::More);
        }
    }
}
