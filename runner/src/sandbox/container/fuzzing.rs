//! The reader of archives, for `fuzz/`: no part of any release.

pub use super::archive::{ArchiveError, ReadLimits};
pub use super::delta::Delta;
pub use super::difference::{Difference, Now, compare};
pub use super::manifest::{Manifest, Record, Recorded, record};
