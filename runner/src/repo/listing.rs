//! Reading the files of a commit.

use std::vec;

use autoclave_policies::RepoPath;
use git2::{Oid, Repository, Tree, TreeEntry};

use super::Repo;
use super::error::{BoxError, Doing, RepoError};
use super::open::Objects;
use crate::model::{CommitId, FileKind, SnapshotEntry};

/// After so many bytes the store is opened anew: an open one keeps what it has read in memory.
const REOPEN_BYTES: usize = 8 << 20;

/// What a path of a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    File {
        executable: bool,
    },
    Symlink,
    /// A commit of another repository; its files are not here.
    Submodule,
}

impl TreeKind {
    /// Returns the kind that a tree entry's mode means; `None` for a directory.
    pub(super) fn of_mode(mode: i32) -> Option<Self> {
        match mode & 0o170_000 {
            0o040_000 => None,
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => Some(Self::File {
                executable: mode & 0o111 != 0,
            }),
        }
    }

    pub(super) fn mode(self) -> i32 {
        match self {
            Self::File { executable: false } => 0o100_644,
            Self::File { executable: true } => 0o100_755,
            Self::Symlink => 0o120_000,
            Self::Submodule => 0o160_000,
        }
    }
}

/// A path of a commit that is no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub path: RepoPath,
    pub kind: TreeKind,
    pub id: Oid,
}

impl Repo {
    /// Returns every path of a commit that is no directory; sorted.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; [`RepoError::GitsOwnPath`] and [`RepoError::BadPath`] for a tree
    /// no checkout may hold.
    pub fn tree(&self, commit: &CommitId) -> Result<Vec<(RepoPath, TreeKind)>, RepoError> {
        let mut listed = list(&self.store, &self.tree_of(commit)?)?;
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed.into_iter().map(|e| (e.path, e.kind)).collect())
    }

    /// Returns the wanted files of a commit, each read when it is asked for; sorted.
    ///
    /// Bytes are those of the blobs: no line ending, filter or attribute is applied. A submodule
    /// is an empty directory.
    ///
    /// # Errors
    ///
    /// As for [`Repo::tree`]. A blob that cannot be read is an error of its entry.
    pub fn entries(
        &self,
        commit: &CommitId,
        want: impl Fn(&RepoPath) -> bool,
    ) -> Result<Entries, RepoError> {
        let mut listed = list(&self.store, &self.tree_of(commit)?)?;
        listed.retain(|entry| want(&entry.path));
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Entries {
            store: self.fresh_store()?,
            objects: self.objects(),
            read: 0,
            pending: listed.into_iter(),
        })
    }

    /// Returns the bytes of one file of a commit (of a link: its target), or `None` where the
    /// commit has no file there.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says, for instance of a blob that is not there.
    pub fn read_file(
        &self,
        commit: &CommitId,
        path: &RepoPath,
    ) -> Result<Option<Vec<u8>>, RepoError> {
        let mut tree = self.tree_of(commit)?;
        if let Some(parent) = path.parent() {
            for component in parent.components() {
                let Some(entry) = tree.get_name_bytes(component).map(|e| e.to_owned()) else {
                    return Ok(None);
                };
                if TreeKind::of_mode(entry.filemode()).is_some() {
                    return Ok(None);
                }
                tree = self.store.find_tree(entry.id()).doing("read a tree")?;
            }
        }
        let Some(entry) = tree.get_name_bytes(path.name()) else {
            return Ok(None);
        };
        match TreeKind::of_mode(entry.filemode()) {
            Some(TreeKind::File { .. } | TreeKind::Symlink) => {
                read_blob(&self.store, entry.id()).map(Some)
            }
            Some(TreeKind::Submodule) | None => Ok(None),
        }
    }
}

/// The files of a commit, read one by one.
pub struct Entries {
    store: Repository,
    objects: Objects,
    /// Bytes read since the store was opened.
    read: usize,
    pending: vec::IntoIter<Listed>,
}

impl Iterator for Entries {
    type Item = Result<SnapshotEntry, BoxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Listed { path, kind, id } = self.pending.next()?;
        let kind = match kind {
            TreeKind::Submodule => Ok(FileKind::Directory),
            TreeKind::Symlink => self.blob(id).map(|target| FileKind::Symlink { target }),
            TreeKind::File { executable } => self
                .blob(id)
                .map(|bytes| FileKind::File { bytes, executable }),
        };
        Some(
            kind.map(|kind| SnapshotEntry { path, kind })
                .map_err(Into::into),
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pending.size_hint()
    }
}

impl Entries {
    fn blob(&mut self, id: Oid) -> Result<Vec<u8>, RepoError> {
        if self.read > REOPEN_BYTES {
            self.store = self.objects.open()?;
            self.read = 0;
        }
        let bytes = read_blob(&self.store, id)?;
        self.read += bytes.len();
        Ok(bytes)
    }
}

/// Lists all that is no directory, depth first in git's order.
pub(super) fn list(store: &Repository, tree: &Tree<'_>) -> Result<Vec<Listed>, RepoError> {
    let mut listed = Vec::new();
    let mut pending = vec![(None, tree.clone())];
    while let Some((above, tree)) = pending.pop() {
        for entry in &tree {
            let path = path_of(above.as_ref(), &entry)?;
            match TreeKind::of_mode(entry.filemode()) {
                None => {
                    let inner = store.find_tree(entry.id()).doing("read a tree")?;
                    pending.push((Some(path), inner));
                }
                Some(kind) => listed.push(Listed {
                    path,
                    kind,
                    id: entry.id(),
                }),
            }
        }
    }
    Ok(listed)
}

/// Returns the full path of a tree entry; refuses what no checkout may hold.
pub(super) fn path_of(
    above: Option<&RepoPath>,
    entry: &TreeEntry<'_>,
) -> Result<RepoPath, RepoError> {
    let name = entry.name_bytes();
    let path = match above {
        None => RepoPath::new(name),
        Some(above) => above.join(name),
    }
    .map_err(RepoError::BadPath)?;
    refuse_gits_own(&path)?;
    Ok(path)
}

/// Refuses a path with a component `.git`, in any case.
pub(super) fn refuse_gits_own(path: &RepoPath) -> Result<(), RepoError> {
    if path.components().any(|c| c.eq_ignore_ascii_case(b".git")) {
        return Err(RepoError::GitsOwnPath(path.clone()));
    }
    Ok(())
}

pub(super) fn read_blob(store: &Repository, id: Oid) -> Result<Vec<u8>, RepoError> {
    let blob = store
        .find_blob(id)
        .doing("read a file's bytes from the object database")?;
    Ok(blob.content().to_vec())
}
