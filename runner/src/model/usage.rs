//! What an agent consumed.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// Money in millionths of a US dollar; serialized as dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Cost(u64);

impl Cost {
    pub const ZERO: Self = Self(0);

    pub fn from_microdollars(microdollars: u64) -> Self {
        Self(microdollars)
    }

    pub fn microdollars(self) -> u64 {
        self.0
    }

    /// Returns what is left of it after `other`; never less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl From<f64> for Cost {
    /// Takes dollars; what is negative or not a number costs nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates at 0 and u64::MAX"
    )]
    fn from(dollars: f64) -> Self {
        Self((dollars * 1e6).round() as u64)
    }
}

impl From<Cost> for f64 {
    fn from(cost: Cost) -> Self {
        cost.dollars()
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.2}", self.dollars())
    }
}

/// Tokens, turns and money of one agent session, or of several added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub turns: u32,
    /// Tokens read, those from a cache and those written to one included.
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: Cost,
}

impl Usage {
    /// Returns what was used since `mark`.
    #[must_use]
    pub fn since(self, mark: Self) -> Self {
        Self {
            turns: self.turns.saturating_sub(mark.turns),
            input_tokens: self.input_tokens.saturating_sub(mark.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(mark.output_tokens),
            cost_usd: self.cost_usd.minus(mark.cost_usd),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_usd += other.cost_usd;
    }
}
