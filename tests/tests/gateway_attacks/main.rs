//! Attacks on the gateway: raw bytes against the real process, before a service that a test controls.
//!
//! Each one must end as its table says, must not reach the service unless the table says so, must
//! leave one audit line, and must not keep the next request from being served. The key must not be
//! seen anywhere but at the service.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod bodies;
mod budget;
mod credentials;
mod disk;
mod framing;
mod heads;
mod patience;
mod runs;
mod soak;
mod stage;
mod targets;
mod usage;
