//! Whole runs on hosts that lack something, through the binary: the level that is reached is told,
//! and refused unless the marker accepts it by name. docs/platforms.md has what follows for users.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod in_containers;
mod toy;
mod versions;
mod without;
