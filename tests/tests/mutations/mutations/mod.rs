//! The list of all mutations, a file for each kind of layer.

mod calls;
mod changes;
mod containers;
mod identity;
mod landlock;
mod limits;
mod mounts;
mod namespaces;
mod owners;
mod start;

use crate::mutation::Mutation;

/// Returns every mutation, in the order of the table.
pub fn all() -> Vec<Mutation> {
    [
        namespaces::mutations(),
        mounts::mutations(),
        identity::mutations(),
        landlock::mutations(),
        calls::mutations(),
        limits::mutations(),
        owners::mutations(),
        changes::mutations(),
        containers::mutations(),
        start::mutations(),
    ]
    .concat()
}
