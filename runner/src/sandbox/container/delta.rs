//! What was changed since an image was made, and travels into each container of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use autoclave_policies::RepoPath;

use crate::model::{FileKind, SnapshotEntry};

/// What differs from an image.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    pub removals: BTreeSet<RepoPath>,
    /// Shared with the deltas that this one came from.
    pub writes: BTreeMap<RepoPath, Arc<FileKind>>,
}

impl Delta {
    /// Returns this delta followed by another. What was written over needs no removal: removing
    /// comes first, and would follow a link that took a directory's place.
    pub fn then(&self, added: Vec<SnapshotEntry>, removed: Vec<RepoPath>) -> Self {
        let mut delta = self.clone();
        for path in removed {
            delta.writes.remove(&path);
            delta.removals.insert(path);
        }
        for SnapshotEntry { path, kind } in added {
            delta.writes.insert(path, Arc::new(kind));
        }
        let is_written_above = |path: &RepoPath| {
            std::iter::successors(Some(path.clone()), RepoPath::parent).any(|above| {
                let written = delta.writes.get(&above);
                written.is_some_and(|kind| **kind != FileKind::Directory)
            })
        };
        let removals = delta.removals.iter();
        let kept = removals
            .filter(|path| !is_written_above(path))
            .cloned()
            .collect();
        delta.removals = kept;
        delta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn link(name: &str) -> SnapshotEntry {
        SnapshotEntry {
            path: path(name),
            kind: FileKind::Symlink {
                target: b"elsewhere".to_vec(),
            },
        }
    }

    #[test]
    fn a_directory_that_became_a_link_is_not_removed_through_it() {
        let delta = Delta::default().then(vec![link("a")], vec![path("a/b"), path("c")]);
        assert_eq!(delta.removals, BTreeSet::from([path("c")]));
        assert_eq!(delta.writes.keys().collect::<Vec<_>>(), [&path("a")]);
    }

    #[test]
    fn what_was_written_and_then_removed_is_gone() {
        let delta = Delta::default().then(vec![link("a")], Vec::new());
        let delta = delta.then(Vec::new(), vec![path("a")]);
        assert!(delta.writes.is_empty());
        assert_eq!(delta.removals, BTreeSet::from([path("a")]));
    }
}
