//! What the runner and its helper share: their words, and how a file is copied.

mod contents;
mod frame;
mod paths;
mod spec;

pub use contents::copy_contents;
pub use frame::{HEAD_BYTES, Head, Kind, MAX_BYTES, MAX_CONNECTIONS};
pub use spec::{
    Bind, Contained, Files, Instruction, Landlock, Proof, Rlimits, START, Spec, Status, Write,
    WriteKind,
};
