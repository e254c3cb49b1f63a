//! Carrying commits to another place in history, in memory.

use autoclave_policies::RepoPath;
use git2::MergeOptions;

use super::error::{Doing, RepoError};
use super::{Repo, edit};
use crate::model::CommitId;

/// How a cherry-pick ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    Done(CommitId),
    /// Everything of it is there already.
    Empty,
    /// Both sides changed the same places; sorted, at least one.
    Conflict {
        paths: Vec<RepoPath>,
    },
}

impl Repo {
    /// Commits on top of `onto` what `pick` changed over its first parent; renames are not
    /// followed, and no merge driver of the user is used.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says. A conflict is no error.
    pub fn cherry_pick(
        &self,
        onto: &CommitId,
        pick: &CommitId,
        message: &str,
        when: i64,
    ) -> Result<Picked, RepoError> {
        let before = if let Ok(parent) = self.commit(pick)?.parent_id(0) {
            self.tree_of(&super::commit_id(parent))?
        } else {
            let empty = edit::empty_tree(&self.store)?;
            self.store.find_tree(empty).doing("read a tree")?
        };
        let ours = self.tree_of(onto)?;
        let mut options = MergeOptions::new();
        options.find_renames(false);
        let mut merged = self
            .store
            .merge_trees(&before, &ours, &self.tree_of(pick)?, Some(&options))
            .doing("merge two trees")?;
        if merged.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in merged.conflicts().doing("read the conflicts")? {
                let conflict = conflict.doing("read a conflict")?;
                let side = conflict.our.or(conflict.their).or(conflict.ancestor);
                if let Some(side) = side {
                    paths.push(RepoPath::new(side.path).map_err(RepoError::BadPath)?);
                }
            }
            paths.sort();
            paths.dedup();
            return Ok(Picked::Conflict { paths });
        }
        let tree = merged
            .write_tree_to(&self.store)
            .doing("write a merged tree")?;
        if tree == ours.id() {
            return Ok(Picked::Empty);
        }
        self.commit_tree(tree, onto, message, when)
            .map(Picked::Done)
    }

    /// Commits the files of `tip` as one commit on top of `onto`.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says.
    pub fn squash(
        &self,
        onto: &CommitId,
        tip: &CommitId,
        message: &str,
        when: i64,
    ) -> Result<CommitId, RepoError> {
        let tree = self.tree_of(tip)?.id();
        self.commit_tree(tree, onto, message, when)
    }
}
