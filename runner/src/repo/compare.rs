//! What differs between two trees.

use std::collections::BTreeSet;

use autoclave_policies::RepoPath;
use git2::{Oid, Repository, Tree, TreeEntry};

use super::error::{Doing, RepoError};
use super::listing::{self, TreeKind};

/// A path that is no directory and differs between two trees.
#[derive(Debug)]
pub(super) struct Difference {
    pub path: RepoPath,
    pub old: Option<(Oid, TreeKind)>,
    pub new: Option<(Oid, TreeKind)>,
}

/// What differs between two trees: looks only into directories that differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Sorted by path.
    pub differences: Vec<Difference>,
    /// The directories of the new tree that the old one does not have at the same place.
    pub new_trees: Vec<Oid>,
}

/// Compares two trees.
pub(super) fn compare(
    store: &Repository,
    old: &Tree<'_>,
    new: &Tree<'_>,
) -> Result<Comparison, RepoError> {
    let mut found = Comparison::default();
    if old.id() != new.id() {
        descend(store, (Some(old), Some(new)), None, &mut found)?;
    }
    found.differences.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn descend(
    store: &Repository,
    (old, new): (Option<&Tree<'_>>, Option<&Tree<'_>>),
    above: Option<&RepoPath>,
    found: &mut Comparison,
) -> Result<(), RepoError> {
    if let Some(new) = new {
        found.new_trees.push(new.id());
    }
    let names: BTreeSet<Vec<u8>> = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|tree| tree.iter().map(|entry| entry.name_bytes().to_vec()))
        .collect();
    for name in names {
        let entry = |tree: Option<&Tree<'_>>| {
            tree.and_then(|tree| tree.get_name_bytes(&name))
                .map(|entry| entry.to_owned())
        };
        let (before, after) = (entry(old), entry(new));
        let same = match (&before, &after) {
            (Some(a), Some(b)) => a.id() == b.id() && a.filemode() == b.filemode(),
            _ => false,
        };
        let Some(either) = before.as_ref().or(after.as_ref()) else {
            continue;
        };
        if same {
            continue;
        }
        let path = listing::path_of(above, either)?;
        let trees = (
            subtree(store, before.as_ref())?,
            subtree(store, after.as_ref())?,
        );
        if trees.0.is_some() || trees.1.is_some() {
            descend(
                store,
                (trees.0.as_ref(), trees.1.as_ref()),
                Some(&path),
                found,
            )?;
        }
        let (old, new) = (leaf(before.as_ref()), leaf(after.as_ref()));
        if old.is_some() || new.is_some() {
            found.differences.push(Difference { path, old, new });
        }
    }
    Ok(())
}

fn subtree<'r>(
    store: &'r Repository,
    entry: Option<&TreeEntry<'_>>,
) -> Result<Option<Tree<'r>>, RepoError> {
    match entry {
        Some(entry) if TreeKind::of_mode(entry.filemode()).is_none() => {
            store.find_tree(entry.id()).doing("read a tree").map(Some)
        }
        _ => Ok(None),
    }
}

fn leaf(entry: Option<&TreeEntry<'_>>) -> Option<(Oid, TreeKind)> {
    let entry = entry?;
    Some((entry.id(), TreeKind::of_mode(entry.filemode())?))
}
