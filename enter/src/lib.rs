//! The words that the runner and its helper share.

mod paths;
mod spec;

pub use spec::{Bind, Instruction, Landlock, Proof, Rlimits, Spec, Status};
