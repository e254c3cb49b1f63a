//! What follows from what was measured and remembered: pure functions from values to values.

pub mod extract;
pub mod judge;
pub mod noise;
pub mod progress;
pub mod record;

#[cfg(test)]
pub(crate) mod samples;
