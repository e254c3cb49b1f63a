//! Making new trees out of old ones.

use std::collections::BTreeMap;

use autoclave_policies::RepoPath;
use git2::{Oid, Repository, Tree};

use super::error::{Doing, RepoError};
use super::listing::{self, TreeKind};

/// What becomes of one path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    Put { id: Oid, kind: TreeKind },
    Remove,
}

/// The edits of one directory, by name.
#[derive(Default)]
struct Node {
    edit: Option<Edit>,
    inside: BTreeMap<Vec<u8>, Node>,
}

/// Writes the tree that is `base` after `edits`; directories left empty are gone.
///
/// A file may take the place of a directory and the other way round, in whatever order the edits
/// come.
pub(super) fn apply(
    store: &Repository,
    base: &Tree<'_>,
    edits: impl IntoIterator<Item = (RepoPath, Edit)>,
) -> Result<Oid, RepoError> {
    let mut root = Node::default();
    for (path, edit) in edits {
        listing::refuse_gits_own(&path)?;
        let mut node = &mut root;
        for component in path.components() {
            node = node.inside.entry(component.to_vec()).or_default();
        }
        node.edit = Some(edit);
    }
    match write(store, Some(base), &root, None)? {
        Some(id) => Ok(id),
        None => empty_tree(store),
    }
}

/// Writes the tree of the wanted paths of `tree`; `None` when nothing of it is wanted.
pub(super) fn filter(
    store: &Repository,
    tree: &Tree<'_>,
    above: Option<&RepoPath>,
    want: &dyn Fn(&RepoPath) -> bool,
) -> Result<Option<Oid>, RepoError> {
    let mut kept = Vec::new();
    let mut unchanged = true;
    for entry in tree {
        let path = listing::path_of(above, &entry)?;
        let id = if TreeKind::of_mode(entry.filemode()).is_some() {
            want(&path).then(|| entry.id())
        } else {
            let inner = store.find_tree(entry.id()).doing("read a tree")?;
            filter(store, &inner, Some(&path), want)?
        };
        unchanged &= id == Some(entry.id());
        if let Some(id) = id {
            kept.push((entry, id));
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    if unchanged {
        return Ok(Some(tree.id()));
    }
    let mut builder = store.treebuilder(None).doing("start a tree")?;
    for (entry, id) in kept {
        builder
            .insert(entry.name_bytes(), id, entry.filemode())
            .doing("add to a tree")?;
    }
    builder.write().doing("write a tree").map(Some)
}

/// Writes the tree that holds nothing.
pub(super) fn empty_tree(store: &Repository) -> Result<Oid, RepoError> {
    store
        .treebuilder(None)
        .and_then(|builder| builder.write())
        .doing("write a tree")
}

fn write(
    store: &Repository,
    base: Option<&Tree<'_>>,
    node: &Node,
    above: Option<&RepoPath>,
) -> Result<Option<Oid>, RepoError> {
    let mut builder = store.treebuilder(base).doing("start a tree")?;
    for (name, child) in &node.inside {
        let path = match above {
            None => RepoPath::new(name.as_slice()),
            Some(above) => above.join(name),
        }
        .map_err(RepoError::BadPath)?;
        let existing = base.and_then(|tree| tree.get_name_bytes(name));
        let below = match &existing {
            // What is put in a directory's place does not keep what the directory held.
            Some(entry) if child.edit.is_none() && entry.filemode() == 0o040_000 => {
                Some(store.find_tree(entry.id()).doing("read a tree")?)
            }
            _ => None,
        };
        let inside = if child.inside.is_empty() {
            None
        } else {
            write(store, below.as_ref(), child, Some(&path))?
        };
        let put = match (child.edit, inside) {
            (Some(Edit::Put { .. }), Some(_)) => return Err(RepoError::FileAndDirectory(path)),
            (Some(Edit::Put { id, kind }), None) => Some((id, kind.mode())),
            (_, Some(id)) => Some((id, 0o040_000)),
            // Only removals beneath something that is no directory: it stays.
            (None, None) if existing.is_some() && below.is_none() => continue,
            (Some(Edit::Remove) | None, None) => None,
        };
        match put {
            Some((id, mode)) => {
                builder
                    .insert(name.as_slice(), id, mode)
                    .doing("add to a tree")?;
            }
            None if existing.is_some() => {
                builder.remove(name.as_slice()).doing("take from a tree")?;
            }
            None => {}
        }
    }
    if builder.is_empty() {
        return Ok(None);
    }
    builder.write().doing("write a tree").map(Some)
}
