//! What a hostile command does to the machine: every attack is refused, on everything that contains.
//!
//! An attack is a function of one static program (`programs/`), which needs nothing but itself. A
//! case names one with its argument, and what each row of the table must answer. The same program
//! plays it three times: unconfined, where it must get through; where it makes sense, inside with an
//! argument that is allowed, and then it must get through too; and inside against a canary, which
//! must come out as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod canary;
mod case;
mod document;
mod dropped;
mod environment;
mod filesystem;
mod filter;
mod keeps_working;
mod kernel;
mod limits;
mod listeners;
mod measured;
mod network;
mod place;
mod play;
mod policy;
mod processes;
mod program;
mod real_agent;
mod row;
mod victim;
