//! Exactly what one backend will enforce.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Limits, RepoPath};

/// What one backend will enforce for the executions of a run, with nothing left to decide.
///
/// Compiled from a policy, a file tree and the host's capabilities; written to `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this format; 1.
    pub version: u32,
    /// How much of the design's table is in force.
    pub level: Level,
    /// Who the sandboxed command is.
    pub identity: Identity,
    /// What is writable in the workspace, sorted by path; everything else is read-only.
    pub grants: Vec<Grant>,
    /// Directories where mutable files can be edited in place, but nothing can be created: the
    /// identity cannot tell mutable from immutable there. Told to the user by `check`.
    pub in_place: Vec<RepoPath>,
    /// Host paths that are visible read-only, beside the workspace; sorted by target.
    pub views: Vec<View>,
    /// The whole environment of the command, besides what a caller adds for one execution.
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
}

/// How much of the enforcement table a host reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every layer is in force.
    Sealed,
    /// Landlock, seccomp and resource limits only: no namespaces. Must be allowed by name.
    Landlock,
}

/// Who the sandboxed command is, and so what tells mutable from immutable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A uid of its own: immutable files belong to root and ownership protects them.
    SecondUid { uid: u32, gid: u32 },
    /// The user's own uid (mapped in a user namespace): Landlock grants alone protect.
    SameUser,
}

/// One thing that is writable in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A directory with everything beneath, now and later: nothing immutable lies there.
    /// `created`: it is not part of the tree; the snapshot makes it, empty (scratch).
    Tree { path: RepoPath, created: bool },
    /// A directory that holds both: root's, mode 1777, new names may be made.
    /// `None` is the workspace root. Only with [`Identity::SecondUid`].
    Open { path: Option<RepoPath> },
    /// One file, written in place or (in an open directory) replaced.
    File { path: RepoPath },
}

/// A host path that the sandbox sees read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Where it is on the host; absolute.
    pub source: PathBuf,
    /// Where the sandbox sees it; absolute.
    pub target: PathBuf,
}

impl Plan {
    /// Says whether `path`, if it exists, can be written.
    pub fn is_writable(&self, path: &RepoPath) -> bool {
        self.is_in_tree(path) || matches!(self.grant_at(Some(path)), Some(Grant::File { .. }))
    }

    /// Says whether new names can be made in `directory` (`None`: the root).
    pub fn can_create_in(&self, directory: Option<&RepoPath>) -> bool {
        directory.is_some_and(|path| self.is_in_tree(path))
            || matches!(self.grant_at(directory), Some(Grant::Open { .. }))
    }

    /// Says whether `path` is a directory that is writable with everything beneath, or lies in one.
    pub(crate) fn is_in_tree(&self, path: &RepoPath) -> bool {
        let mut ancestors = std::iter::successors(Some(path.clone()), RepoPath::parent);
        ancestors.any(|path| matches!(self.grant_at(Some(&path)), Some(Grant::Tree { .. })))
    }

    /// Returns the one grant for exactly this path.
    fn grant_at(&self, path: Option<&RepoPath>) -> Option<&Grant> {
        let position = self
            .grants
            .binary_search_by(|grant| grant.path().cmp(&path));
        position.ok().map(|at| &self.grants[at])
    }
}

impl Grant {
    /// Returns what is granted; `None` is the workspace root.
    pub fn path(&self) -> Option<&RepoPath> {
        match self {
            Self::Tree { path, .. } | Self::File { path } => Some(path),
            Self::Open { path } => path.as_ref(),
        }
    }
}
