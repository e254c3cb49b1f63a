//! What an experiment may touch, as data: policies, and the plans a backend enforces.
//!
//! Pure: no I/O, clock, environment or randomness. The runner walks trees and probes hosts, this
//! crate says what follows.

mod diagnostic;
mod limits;
mod path;
mod plan;
pub mod yaml;

pub use diagnostic::{Problem, Problems, Source};
pub use limits::Limits;
pub use path::{InvalidPath, RepoPath};
pub use plan::{Grant, Identity, Level, Plan, View};
