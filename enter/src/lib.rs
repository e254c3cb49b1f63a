//! The words that the runner and its helper share.

mod spec;

pub use spec::{
    Bind, Contained, Instruction, Landlock, Proof, Rlimits, Spec, Status, Write, WriteKind,
};
