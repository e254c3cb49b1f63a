//! What follows from what was measured and remembered: pure functions from values to values.

pub mod brief;
pub mod dice;
pub mod extract;
pub mod ideas;
pub mod judge;
pub mod noise;
pub mod null;
pub mod patience;
pub mod price;
pub mod progress;
pub mod record;

#[cfg(test)]
pub(crate) mod samples;
