//! What can go wrong with the user's repository.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use autoclave_policies::{InvalidPath, RepoPath};

/// Something about the user's repository is not as it must be, or git failed.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// Cure: `git init`.
    #[error("no git repository at `{}` or above it", from.display())]
    NoRepository { from: PathBuf },
    /// Cure: work in a clone that has a work tree.
    #[error("the repository `{}` is bare: it has no work tree to hold a marker", path.display())]
    Bare { path: PathBuf },
    /// Cure: run as the owner, or `git config --global --add safe.directory PATH`.
    #[error("the repository `{}` belongs to another user", path.display())]
    NotOwned { path: PathBuf },
    /// Cure: a clone with the usual format; sha256 and reftable are not read.
    #[error("the repository `{}` uses the {what} `{format}`, which is not supported", path.display())]
    Format {
        path: PathBuf,
        /// `object format` or `ref storage`.
        what: &'static str,
        format: String,
    },
    #[error("could not open the repository `{}`", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: BoxError,
    },
    /// Cure: `git commit`.
    #[error("the repository `{}` has no commits", path.display())]
    NoCommits { path: PathBuf },
    #[error("`{reference}` names no commit")]
    NoSuchCommit { reference: String },
    /// Cure: switch that work tree to another branch.
    #[error("the branch `{branch}` is checked out in `{}`", worktree.display())]
    CheckedOut { branch: String, worktree: PathBuf },
    /// Cure: another name, or `git branch -D BRANCH`.
    #[error("the branch `{branch}` exists already, at {at}")]
    BranchExists { branch: String, at: String },
    /// Cure: `git branch -m IN_THE_WAY OTHER`; git cannot have both `a` and `a/b`.
    #[error("the branch `{branch}` cannot be made while a branch `{in_the_way}` exists")]
    BranchInTheWay { branch: String, in_the_way: String },
    #[error("`{name}` cannot name a ref")]
    BadRefName { name: String },
    /// A tree of the repository holds a name that no file may have.
    #[error("a tree of the repository holds a bad path")]
    BadPath(#[source] InvalidPath),
    /// A path that git would take for its own.
    #[error("`{0}` is a path that git keeps for itself")]
    GitsOwnPath(RepoPath),
    /// The changes want both a file and something beneath it.
    #[error("`{0}` would be a file and a directory")]
    FileAndDirectory(RepoPath),
    #[error("could not {action}")]
    Git {
        action: &'static str,
        #[source]
        cause: BoxError,
    },
    #[error("could not {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

/// Any cause; keeps git2's types inside this folder.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Names what failed: `odb.write(..).doing("write a blob")?`.
pub(super) trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, RepoError>;
}

impl<T> Doing<T> for Result<T, git2::Error> {
    fn doing(self, action: &'static str) -> Result<T, RepoError> {
        self.map_err(|cause| RepoError::Git {
            action,
            cause: cause.into(),
        })
    }
}
