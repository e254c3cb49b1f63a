//! Whole runs through the binary: the real Claude Code, the scripted model, the real sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod denied;
mod exec;
mod gates;
mod guards;
mod hangs;
mod harness;
mod hostile;
mod images;
mod kept;
mod leftovers;
mod memory;
mod mixed;
mod numbers;
mod odd_hosts;
mod odd_repositories;
mod older_config;
mod preparation;
mod proofs;
mod service;
mod toy;
mod why;
