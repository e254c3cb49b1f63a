//! What an experiment may touch, as data: policies, and the plans a backend enforces.
//!
//! Pure: no I/O, clock, environment or randomness. The runner walks trees and probes hosts, this
//! crate says what follows.

mod access;
mod compile;
mod diagnostic;
mod glob;
mod harness;
mod host;
mod host_policy;
mod limits;
mod path;
mod plan;
mod policy;
mod preset;
mod steering;
mod syscalls;
mod terminal;
mod tree;
pub mod yaml;

pub use access::{
    Access, AccessParts, Backend, Decision, HostSide, Layer, Operation, Outcome, Rule, connect,
};
pub use compile::{PlanRequest, Refusal, compile};
pub use diagnostic::{Problem, Problems, Source};
pub use glob::{Glob, InvalidGlob};
pub use harness::files_named_by;
pub use host::{Ability, HostCapabilities};
pub use host_policy::{HostPolicy, is_sandboxes_own, lies_in};
pub use limits::Limits;
pub use path::{InvalidPath, RepoPath};
pub use plan::{Grant, Identity, Level, Plan, View};
pub use policy::{Class, Policy, PolicyRules};
pub use preset::PRESETS;
pub use syscalls::{
    ArgCondition, ArgOp, ArgTest, ArgWidth, Sockets, SyscallRule, denied_among_host_processes,
    denied_syscalls, denied_without_network_namespace,
};
pub use terminal::steers_terminal;
pub use tree::{EntryKind, Tree};
