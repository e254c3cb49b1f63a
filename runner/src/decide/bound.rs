//! Whether a guard's number keeps to its bound.

use super::lines::Lines;
use super::record::GuardBase;
use crate::marker::{LineGuard, Strictness, Tolerance};
use crate::model::{Direction, Metric};

/// What a number is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    pub value: Metric,
    /// `Higher`: at least the bound; `Lower`: at most.
    pub direction: Direction,
    pub strictness: Strictness,
}

/// What came of it; the words are fragments for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Kept,
    Tolerated { remark: String },
    Broken { why: String },
}

impl Bound {
    /// Says whether `value` keeps to the bound.
    pub fn judge(&self, value: Metric) -> Held {
        if !self.direction.is_better(self.value, value) {
            return Held::Kept;
        }
        let side = match self.direction {
            Direction::Higher => "below",
            Direction::Lower => "above",
        };
        let beyond = format!("{value} is {side} {}", self.value);
        let Strictness::Soft { tolerance } = self.strictness else {
            return Held::Broken { why: beyond };
        };
        let excess = (value.get() - self.value.get()).abs();
        let (allowed, words) = match tolerance {
            Tolerance::Share(share) => (
                share * self.value.get().abs(),
                // Without the digits that 100 x 0.07 gains.
                format!("{} %", (share * 1e8).round() / 1e6),
            ),
            Tolerance::Amount(amount) => (amount, amount.to_string()),
        };
        if excess <= allowed {
            Held::Tolerated {
                remark: format!("{beyond}, within the tolerated {words}"),
            }
        } else if allowed > 0.0 {
            Held::Broken {
                why: format!("{beyond} by more than the tolerated {words}"),
            }
        } else {
            Held::Broken { why: beyond }
        }
    }
}

/// What became of a guard on a number that the metric's command prints.
#[derive(Debug, Clone, PartialEq)]
pub struct LineResult {
    /// The guard's.
    pub name: String,
    pub value: Option<Metric>,
    pub held: Held,
}

impl Held {
    /// Says whether the guard passed.
    pub fn is_passed(&self) -> bool {
        match self {
            Self::Kept | Self::Tolerated { .. } => true,
            Self::Broken { .. } => false,
        }
    }

    /// Returns why it failed or what is remarked, or that it passed; a fragment.
    pub fn detail(&self) -> &str {
        match self {
            Self::Kept => "passed",
            Self::Tolerated { remark } => remark,
            Self::Broken { why } => why,
        }
    }
}

/// Holds what the metric's command printed against `guards`, in their order; `bases` are the values
/// of the base commit, none while that itself is measured.
pub fn judge_lines(guards: &[LineGuard], bases: &[GuardBase], lines: &Lines) -> Vec<LineResult> {
    let judge = |guard: &LineGuard| {
        let base = bases.iter().find(|base| base.name == guard.name);
        let bound = guard.threshold.or(base.and_then(|base| base.value));
        let value = lines.value(&guard.line);
        let held = match (&value, bound) {
            (Err(why), _) => Held::Broken {
                why: why.to_string(),
            },
            (Ok(_), None) => Held::Kept,
            (Ok(number), Some(value)) => Bound {
                value,
                direction: guard.direction,
                strictness: guard.strictness,
            }
            .judge(*number),
        };
        LineResult {
            name: guard.name.clone(),
            value: value.ok(),
            held,
        }
    };
    guards.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: f64) -> Metric {
        Metric::try_from(value).unwrap()
    }

    fn held(value: f64, bound: f64, direction: Direction, strictness: Strictness) -> Held {
        let bound = Bound {
            value: metric(bound),
            direction,
            strictness,
        };
        bound.judge(metric(value))
    }

    fn soft(tolerance: Tolerance) -> Strictness {
        Strictness::Soft { tolerance }
    }

    #[test]
    fn bounds_hold_as_their_table_says() {
        use Direction::{Higher, Lower};
        use Tolerance::{Amount, Share};
        let tolerated = |remark: &str| Held::Tolerated {
            remark: remark.into(),
        };
        let broken = |why: &str| Held::Broken { why: why.into() };
        for (value, bound, direction, strictness, expected) in [
            (12.0, 12.0, Higher, Strictness::Hard, Held::Kept),
            (13.0, 12.0, Higher, Strictness::Hard, Held::Kept),
            (
                11.0,
                12.0,
                Higher,
                Strictness::Hard,
                broken("11 is below 12"),
            ),
            (5.0, 5.0, Lower, soft(Amount(0.0)), Held::Kept),
            (6.0, 5.0, Lower, soft(Amount(0.0)), broken("6 is above 5")),
            (
                6.0,
                5.0,
                Lower,
                soft(Amount(1.0)),
                tolerated("6 is above 5, within the tolerated 1"),
            ),
            (
                7.0,
                5.0,
                Lower,
                soft(Amount(1.0)),
                broken("7 is above 5 by more than the tolerated 1"),
            ),
            (
                101.0,
                100.0,
                Lower,
                soft(Share(0.02)),
                tolerated("101 is above 100, within the tolerated 2 %"),
            ),
            (
                -90.0,
                -80.0,
                Higher,
                soft(Share(0.07)),
                broken("-90 is below -80 by more than the tolerated 7 %"),
            ),
            // A share of nothing is nothing.
            (1.0, 0.0, Lower, soft(Share(0.5)), broken("1 is above 0")),
        ] {
            let found = held(value, bound, direction, strictness);
            assert_eq!(found, expected, "{value} {bound}");
        }
    }

    #[test]
    fn lines_are_held_against_their_threshold_or_the_base() {
        let guard = |name: &str, line: &str, threshold: Option<f64>| LineGuard {
            name: name.into(),
            line: line.into(),
            threshold: threshold.map(metric),
            direction: Direction::Lower,
            strictness: soft(Tolerance::Share(0.1)),
        };
        let guards = [
            guard("memory", "rss", None),
            guard("size", "bytes", Some(10.0)),
            guard("other", "none", None),
        ];
        let bases = [GuardBase {
            name: "memory".into(),
            value: Some(metric(100.0)),
            tests: Vec::new(),
        }];
        let printed = b"METRIC rss=105\nMETRIC bytes=12\n";
        let lines = Lines::read(["rss", "bytes", "none"], printed);
        let found: Vec<(Option<f64>, String)> = judge_lines(&guards, &bases, &lines)
            .into_iter()
            .map(|one| (one.value.map(Metric::get), one.held.detail().to_owned()))
            .collect();
        let expected = [
            (Some(105.0), "105 is above 100, within the tolerated 10 %"),
            (Some(12.0), "12 is above 10 by more than the tolerated 10 %"),
            (None, "there is no line `METRIC none=...`"),
        ];
        assert_eq!(
            found,
            expected.map(|(value, detail)| (value, detail.to_owned()))
        );
        // On the base itself only thresholds bind.
        let held = |one: &LineResult| one.held.is_passed();
        let on_base: Vec<bool> = judge_lines(&guards, &[], &lines).iter().map(held).collect();
        assert_eq!(on_base, [true, false, false]);
    }
}
