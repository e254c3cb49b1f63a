//! What goes wrong around a run, or is done to it: after each, the ledger is whole, nothing is left,
//! and running again goes on to the same end. docs/faults.md is the table.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
mod clocks;
mod crash;
mod disk;
mod document;
mod engine;
mod money;
mod output;
mod power;
mod repository;
mod scene;
mod signals;
mod together;
