//! What follows from what was measured and remembered: pure functions from values to values.

pub mod bound;
pub mod brief;
pub mod extract;
pub mod ideas;
pub mod judge;
pub mod lines;
pub mod noise;
pub mod patience;
pub mod progress;
pub mod record;
pub mod tests_passed;

#[cfg(test)]
pub(crate) mod samples;
