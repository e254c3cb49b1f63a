//! The configuration and its commands, through the binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod check;
mod init;
mod policy;
mod repository;
mod run;
mod why;
