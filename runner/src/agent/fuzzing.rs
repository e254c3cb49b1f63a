//! What `fuzz/` reaches beneath [`Transcript`](super::Transcript): no part of any release.

pub use super::lines::Lines;
pub use super::transcript::MAX_KEPT;
