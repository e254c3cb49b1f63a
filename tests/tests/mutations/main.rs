//! Each line that enforces something is removed once, and a case must notice.
//!
//! The sources are copied, every site of every mutation becomes a choice made at run time (`edit.rs`,
//! `copy.rs`), and the copy is built once. The production code has no such switches. Each mutation is
//! then played on the row that isolates its layer (`row.rs`, `play.rs`): a static program inside
//! (`programs/`) says case by case how each layer answers, and must say something else than with
//! nothing removed, while the sandbox's own proof is switched off. What the proof would have said is
//! noted, too. `mutations/` is the list, docs/mutations.md its table.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copy;
mod document;
mod edit;
mod escapes;
mod expected;
mod machine;
mod mutation;
mod mutations;
mod outside;
mod play;
mod program;
mod removed;
mod row;
mod rules;
