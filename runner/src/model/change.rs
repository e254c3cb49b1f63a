//! What a snapshot holds and what an execution changed in it.

use autoclave_policies::RepoPath;
use serde::{Deserialize, Serialize};

/// One entry of a snapshot's workspace as it is first made. Parents come before children, or are
/// implied (mode 755).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEntry {
    pub path: RepoPath,
    pub kind: FileKind,
}

/// What a path of a workspace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    Directory,
    File {
        bytes: Vec<u8>,
        executable: bool,
    },
    /// A symbolic link; `target` as the link stores it.
    Symlink {
        target: Vec<u8>,
    },
}

/// One accepted change of an execution: an added, modified or deleted mutable path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: RepoPath,
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// The path is now a file with these bytes (added or modified).
    Write {
        bytes: Vec<u8>,
        executable: bool,
    },
    /// The path is now a link that stays inside the mutable set.
    Link {
        target: Vec<u8>,
    },
    Delete,
}

impl Change {
    /// Returns the change in one word: `write`, `link` or `delete`.
    pub fn word(&self) -> &'static str {
        match self.kind {
            ChangeKind::Write { .. } => "write",
            ChangeKind::Link { .. } => "link",
            ChangeKind::Delete => "delete",
        }
    }
}

/// A change that was not accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub path: RepoPath,
    /// A fragment for people: `not mutable`, `a fifo`, `a link that leaves the mutable set`.
    pub why: String,
}
