//! The words that the runner and its helper share.

mod spec;

pub use spec::{Bind, Instruction, Landlock, Proof, Rlimits, Spec, Status};
