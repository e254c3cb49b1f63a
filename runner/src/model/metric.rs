//! A measured number and which way is better.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A measured number: finite, by construction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Metric(f64);

/// Says that a number is infinite or not a number.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not a finite number")]
pub struct NotFinite(f64);

impl Metric {
    /// Returns the number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Metric {
    type Error = NotFinite;

    fn try_from(number: f64) -> Result<Self, NotFinite> {
        if number.is_finite() {
            Ok(Self(number))
        } else {
            Err(NotFinite(number))
        }
    }
}

impl From<Metric> for f64 {
    fn from(metric: Metric) -> Self {
        metric.0
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Lower,
    Higher,
}

impl Direction {
    /// Returns +1 where lower is better and -1 where higher is, the `dir` of the paired rule.
    pub fn sign(self) -> f64 {
        match self {
            Self::Lower => 1.0,
            Self::Higher => -1.0,
        }
    }

    /// Says whether `a` is strictly better than `b`.
    pub fn is_better(self, a: Metric, b: Metric) -> bool {
        match self {
            Self::Lower => a < b,
            Self::Higher => a > b,
        }
    }
}
