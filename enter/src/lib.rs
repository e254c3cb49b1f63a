//! What the runner and its helper share: their words, and how a file is copied.

mod contents;
mod paths;
mod spec;

pub use contents::copy_contents;
pub use spec::{
    Bind, Contained, Files, Instruction, Landlock, Proof, Rlimits, Spec, Status, Write, WriteKind,
};
