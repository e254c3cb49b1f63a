//! The words of a run as types: ids, numbers, changes, verdicts.

mod change;
mod counted;
mod finish;
mod ids;
mod metric;
mod usage;
mod verdict;

pub use change::{Change, ChangeKind, Dropped, FileKind, SnapshotEntry};
pub use counted::{TestFormat, TestsPassed, Tracked};
pub use finish::FinishReason;
pub use ids::{CommitId, ExperimentNumber, InvalidCommitId, RunId};
pub use metric::{Direction, Metric, NotFinite};
pub use usage::{Cost, Usage};
pub use verdict::{DiscardReason, Verdict, VoidReason};
