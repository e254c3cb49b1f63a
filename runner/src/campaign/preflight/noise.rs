//! What the noise of a metric means for the comparisons to come, in words.

use serde::Serialize;

use crate::decide::judge::PairedRule;
use crate::decide::noise::noise;
use crate::decide::price::{Misfit, Price, Suggestion, price, suggestion};
use crate::marker::MetricSpec;
use crate::model::Metric;

/// A gain that most would call large.
const LARGE: f64 = 0.10;

/// The noise of a metric, and what finding a gain takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseFound {
    /// Relative standard deviation of one reading, as a fraction; 0 for a deterministic metric.
    pub per_reading: f64,
    pub readings: u32,
    /// What a reading takes, its sandbox included.
    pub seconds_per_reading: f64,
    /// What candidates of some true gains take: the `design_effect` first, then a large gain, then
    /// none at all. Empty for a deterministic metric.
    pub prices: Vec<Price>,
    /// A `design_effect` that fits better, as a fraction.
    pub suggested_design_effect: Option<f64>,
    #[serde(skip)]
    suggestion: Option<Suggestion>,
    #[serde(skip)]
    rule: PairedRule,
}

impl NoiseFound {
    /// Weighs repeated readings of one commit, each of which took `seconds_per_reading`.
    pub(super) fn new(metric: &MetricSpec, readings: &[Metric], seconds_per_reading: f64) -> Self {
        let per_reading = noise(readings);
        let rule = PairedRule::new(metric, per_reading);
        let mut prices = Vec::new();
        if per_reading > 0.0 {
            prices.push(price(&rule, rule.delta));
            if rule.delta < LARGE {
                prices.push(price(&rule, LARGE));
            }
            prices.push(price(&rule, 0.0));
        }
        let suggestion = suggestion(metric, per_reading);
        Self {
            per_reading,
            readings: u32::try_from(readings.len()).unwrap_or(u32::MAX),
            seconds_per_reading,
            prices,
            suggested_design_effect: suggestion.map(|suggestion| suggestion.design_effect),
            suggestion,
            rule,
        }
    }

    /// Says it in words, one fact a line.
    pub(super) fn detail(&self) -> String {
        if self.prices.is_empty() {
            return format!(
                "none, the readings are equal: a gain shows in one pair and its confirmation, {}",
                span(
                    4.0 * self.seconds_per_reading,
                    4.0 * self.seconds_per_reading
                )
            );
        }
        let mut lines = vec![format!(
            "{:.1} % per reading, from {} readings",
            100.0 * self.per_reading,
            self.readings
        )];
        lines.extend(self.prices.iter().map(|price| self.priced(price)));
        lines.join("\n")
    }

    /// Says what to do, where comparisons would not end well or could end better.
    pub(super) fn hint(&self) -> Option<String> {
        let advice = self.suggestion.map(|suggestion| {
            let effect = percent(suggestion.design_effect);
            let cost = self.takes(&suggestion.price);
            match suggestion.why {
                Misfit::TooCostly => {
                    format!("`metric.design_effect: {effect}` looks for gains of {effect} or more: {cost}")
                }
                Misfit::TooCoarse => {
                    format!("`metric.design_effect: {effect}` would find gains from {effect} on: {cost}")
                }
            }
        });
        if !self.is_too_costly() {
            return advice;
        }
        let quieter = "make the metric quieter (more work, a count instead of a time)";
        Some(match advice {
            Some(advice) => format!("{advice}; or {quieter}, or raise `metric.max_pairs`"),
            None => format!("{quieter}, or raise `metric.design_effect` and `metric.max_pairs`"),
        })
    }

    /// Says whether many comparisons would end undecided.
    pub(super) fn is_too_costly(&self) -> bool {
        let designed = self.prices.first();
        designed.is_some_and(|price| price.high_pairs >= self.rule.max_pairs)
    }

    fn priced(&self, price: &Price) -> String {
        let takes = self.takes(price);
        if price.gain > 0.0 {
            format!(
                "a gain of {} takes {takes}; it is kept in {:.0} of 100 cases",
                percent(price.gain),
                100.0 * price.kept
            )
        } else {
            format!("a candidate that is no better takes {takes}")
        }
    }

    /// Returns `18 to 42 pairs, 6 to 14 min`.
    fn takes(&self, price: &Price) -> String {
        let (low, high) = (price.low_pairs, price.high_pairs);
        let seconds = |pairs: u32| 2.0 * f64::from(pairs) * self.seconds_per_reading;
        let pairs = if low >= self.rule.max_pairs {
            format!("more than {low} pairs")
        } else if low == high {
            format!("about {low} pairs")
        } else {
            format!("about {low} to {high} pairs")
        };
        format!("{pairs}, {}", span(seconds(low), seconds(high)))
    }
}

/// Returns a fraction as `3%`, as it stands in the configuration.
fn percent(fraction: f64) -> String {
    let hundredths = (10_000.0 * fraction).round() / 100.0;
    format!("{hundredths}%")
}

/// Returns `6 to 14 min`, or `6 min` where both ends read the same.
fn span(low: f64, high: f64) -> String {
    let (unit, length, digits) = match high {
        ..10.0 => ("s", 1.0, 1),
        ..120.0 => ("s", 1.0, 0),
        ..7200.0 => ("min", 60.0, 0),
        _ => ("h", 3600.0, 1),
    };
    let told = |seconds: f64| format!("{:.digits$}", seconds / length);
    if told(low) == told(high) {
        format!("{} {unit}", told(high))
    } else {
        format!("{} to {} {unit}", told(low), told(high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{metric, metric_spec};

    /// Eight readings around 100 whose relative noise is `noise`.
    fn readings(noise: f64) -> Vec<Metric> {
        [-2.0, -1.0, -0.6745, -0.1, 0.1, 0.6745, 1.0, 2.0]
            .map(|deviation: f64| metric(100.0 + 80.0 * noise * deviation))
            .to_vec()
    }

    fn found(design_effect: f64, noise: f64) -> NoiseFound {
        let spec = MetricSpec {
            design_effect,
            ..metric_spec()
        };
        NoiseFound::new(&spec, &readings(noise), 6.0)
    }

    #[test]
    fn a_noise_that_fits_is_told_with_its_price_and_no_advice() {
        let found = found(0.03, 0.02);
        assert!(!found.is_too_costly());
        assert_eq!(found.hint(), None);
        insta::assert_snapshot!(found.detail());
    }

    #[test]
    fn a_noise_that_drowns_the_gain_is_answered_with_a_design_effect() {
        let found = found(0.01, 0.05);
        assert!(found.is_too_costly());
        assert_eq!(found.suggested_design_effect, Some(0.05));
        insta::assert_snapshot!(format!("{}\n{}", found.detail(), found.hint().unwrap()));
    }

    #[test]
    fn a_needlessly_coarse_design_effect_is_answered_with_a_finer_one() {
        let found = found(0.10, 0.004);
        assert!(!found.is_too_costly());
        insta::assert_snapshot!(format!("{}\n{}", found.detail(), found.hint().unwrap()));
    }

    #[test]
    fn equal_readings_need_no_advice() {
        let found = NoiseFound::new(&metric_spec(), &[metric(7.0); 3], 0.5);
        assert_eq!(
            (found.detail().as_str(), found.hint()),
            (
                "none, the readings are equal: a gain shows in one pair and its confirmation, 2.0 s",
                None
            )
        );
    }

    #[test]
    fn spans_share_one_unit() {
        let spans = [
            (0.5, 4.0),
            (20.0, 90.0),
            (50.0, 840.0),
            (60.0, 61.0),
            (9e3, 9e4),
        ];
        assert_eq!(
            spans.map(|(low, high)| span(low, high)),
            [
                "0.5 to 4.0 s",
                "20 to 90 s",
                "1 to 14 min",
                "60 to 61 s",
                "2.5 to 25.0 h"
            ]
        );
    }
}
