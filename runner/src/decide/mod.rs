//! What follows from what was measured and remembered: pure functions from values to values.

pub mod bound;
pub mod brief;
pub mod dice;
pub mod effect;
pub mod extract;
mod gain;
pub mod golden;
pub mod ideas;
pub mod judge;
pub mod lines;
pub mod mutants;
pub mod noise;
pub mod null;
pub mod patience;
pub mod plausible;
pub mod price;
pub mod progress;
pub mod record;
pub mod tests_passed;

#[cfg(test)]
pub(crate) mod samples;
