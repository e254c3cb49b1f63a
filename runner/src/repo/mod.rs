//! The user's repository, through its object database and refs only.
//!
//! Nothing here reads or writes the user's checkout, index or HEAD, runs hooks or filters, or obeys
//! attributes: objects are added, and refs under `refs/autoclave/` and `refs/heads/`.

mod agent_git;
mod branches;
mod candidate;
mod compare;
mod create;
mod edit;
mod error;
mod listing;
mod open;
mod pins;
mod transplant;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use git2::{Commit, ErrorCode, Oid, Repository, Tree};

pub use agent_git::AgentGit;
pub use branches::Existing;
pub use error::RepoError;
pub use listing::{Entries, TreeKind};
pub use pins::Pin;
pub use transplant::Picked;

use crate::model::CommitId;
use error::Doing;

/// The user's repository. Send, not Sync: used by one thread at a time.
pub struct Repo {
    /// For refs, configuration and new commits.
    git: Repository,
    /// The same objects without work tree or configuration of the repository, so that attributes
    /// and drivers of the user cannot change a merge or a patch.
    store: Repository,
    work_dir: PathBuf,
}

impl Repo {
    /// Returns the root of the work tree; absolute.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Returns where runs are kept unless the user says otherwise: `.autoclave/runs`.
    pub fn runs_dir(&self) -> PathBuf {
        self.work_dir.join(".autoclave").join("runs")
    }

    /// Returns the commit that `reference` names (any revision git understands), or HEAD's.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoCommits`] when HEAD has none yet; [`RepoError::NoSuchCommit`].
    pub fn resolve(&self, reference: Option<&str>) -> Result<CommitId, RepoError> {
        let name = reference.unwrap_or("HEAD");
        if name == "HEAD" && self.is_unborn() {
            return Err(RepoError::NoCommits {
                path: self.work_dir.clone(),
            });
        }
        let commit = self
            .git
            .revparse_single(name)
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| RepoError::NoSuchCommit {
                reference: name.to_owned(),
            })?;
        Ok(commit_id(commit.id()))
    }

    fn is_unborn(&self) -> bool {
        self.git
            .head()
            .is_err_and(|e| e.code() == git2::ErrorCode::UnbornBranch)
    }

    /// Returns when all that was written to the repository is on disk: objects and refs are not
    /// synced one by one.
    ///
    /// # Errors
    ///
    /// [`RepoError::Io`] when the disk refuses.
    pub fn sync(&self) -> Result<(), RepoError> {
        let folder = self.git.commondir();
        std::fs::File::open(folder)
            .and_then(|folder| Ok(nix::unistd::syncfs(&folder)?))
            .map_err(|cause| RepoError::Io {
                action: "sync",
                path: folder.to_owned(),
                cause,
            })
    }

    /// Says whether every commit of `ancestor` is also one of `descendant`; equal ones included.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says.
    pub fn is_ancestor(
        &self,
        ancestor: &CommitId,
        descendant: &CommitId,
    ) -> Result<bool, RepoError> {
        if ancestor == descendant {
            return Ok(true);
        }
        let (old, new) = (self.commit(ancestor)?.id(), self.commit(descendant)?.id());
        self.git
            .graph_descendant_of(new, old)
            .doing("walk the history")
    }

    fn commit(&self, id: &CommitId) -> Result<Commit<'_>, RepoError> {
        find_commit(&self.git, id)
    }

    /// The tree of a commit, seen through the store.
    fn tree_of(&self, id: &CommitId) -> Result<Tree<'_>, RepoError> {
        find_tree(&self.store, id)
    }
}

fn find_commit<'r>(git: &'r Repository, id: &CommitId) -> Result<Commit<'r>, RepoError> {
    Oid::from_str(id.as_str())
        .and_then(|oid| git.find_commit(oid))
        .or_else(|cause| match cause.code() {
            ErrorCode::NotFound => Err(RepoError::NoSuchCommit {
                reference: id.to_string(),
            }),
            _ => Err(cause).doing("read a commit"),
        })
}

fn find_tree<'r>(store: &'r Repository, id: &CommitId) -> Result<Tree<'r>, RepoError> {
    find_commit(store, id)?.tree().doing("read a tree")
}

fn commit_id(oid: Oid) -> CommitId {
    CommitId::try_from(oid.to_string()).expect("an object id prints as 40 lowercase hex digits")
}
