//! The files of one commit, without their bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::RepoPath;

/// What a path of a commit is. Directories are implied by what lies in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Symlink,
    /// A directory of another repository: always read-only.
    Submodule,
}

/// The files of one commit, without their bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<RepoPath, EntryKind>,
    directories: BTreeSet<RepoPath>,
    executables: BTreeSet<RepoPath>,
    targets: BTreeMap<RepoPath, Vec<u8>>,
}

impl Tree {
    /// Returns the tree of `entries`, in any order; of equal paths the last counts.
    pub fn new(entries: impl IntoIterator<Item = (RepoPath, EntryKind)>) -> Self {
        let mut tree = Self::default();
        for (path, kind) in entries {
            let mut parent = path.parent();
            while let Some(directory) = parent {
                parent = directory.parent();
                if !tree.directories.insert(directory) {
                    break;
                }
            }
            tree.entries.insert(path, kind);
        }
        tree
    }

    /// Adds which files are programs; a plan does not depend on it, what can be done does.
    #[must_use]
    pub fn with_executables(mut self, paths: impl IntoIterator<Item = RepoPath>) -> Self {
        self.executables.extend(paths);
        self
    }

    /// Adds where links lead, as git holds it; a plan does not depend on it, what can be done does.
    /// A link that is not among them leads to nothing.
    #[must_use]
    pub fn with_targets(mut self, targets: impl IntoIterator<Item = (RepoPath, Vec<u8>)>) -> Self {
        self.targets.extend(targets);
        self
    }

    /// Says whether `path` is a file with the bit that lets it be executed.
    pub fn is_executable(&self, path: &RepoPath) -> bool {
        self.executables.contains(path)
    }

    /// Returns where the link at `path` leads, if that is known.
    pub fn target_of(&self, path: &RepoPath) -> Option<&[u8]> {
        self.targets.get(path).map(Vec::as_slice)
    }

    /// Yields all files, links and submodules, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = (&RepoPath, EntryKind)> {
        self.entries.iter().map(|(path, kind)| (path, *kind))
    }

    /// Yields all directories that hold something, sorted by path; the root is not among them.
    pub fn directories(&self) -> impl Iterator<Item = &RepoPath> {
        self.directories.iter()
    }

    /// Returns what `path` is, or `None` where it is a directory or absent.
    pub fn kind_of(&self, path: &RepoPath) -> Option<EntryKind> {
        self.entries.get(path).copied()
    }

    /// Says whether `path` is a file, link, submodule or directory of the tree.
    pub fn contains(&self, path: &RepoPath) -> bool {
        self.entries.contains_key(path) || self.directories.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_implied_once() {
        let path = |text: &str| RepoPath::try_from(text).unwrap();
        let tree = Tree::new(["a/b/c", "a/b/d", "e"].map(|p| (path(p), EntryKind::File)));
        let directories: Vec<_> = tree.directories().cloned().collect();
        assert_eq!(directories, [path("a"), path("a/b")]);
        assert!(tree.contains(&path("a/b")));
        assert!(!tree.contains(&path("a/c")));
        assert_eq!(tree.kind_of(&path("a")), None);
    }
}
