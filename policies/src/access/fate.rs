//! What becomes of a change when everything in the sandbox has ended.

use super::nodes::Node;
use super::{Access, Operation, Outcome, is_own_git};
use crate::{Class, RepoPath};

impl Access<'_> {
    /// Returns what becomes of `operation`, where it changes anything.
    pub(super) fn outcome(&self, path: &RepoPath, operation: Operation) -> Option<Outcome> {
        if !operation.changes() {
            return None;
        }
        let policy = self.parts.policy;
        let by_class = |path: &RepoPath| match policy.class_of(path) {
            Class::Mutable => Outcome::Kept,
            Class::Scratch => Outcome::ThrownAway,
            // Nobody looks into what a build leaves.
            Class::Immutable | Class::Hidden | Class::ReadOnly
                if std::iter::successors(path.parent(), RepoPath::parent)
                    .any(|above| policy.is_scratch_throughout(&above)) =>
            {
                Outcome::ThrownAway
            }
            Class::Immutable | Class::Hidden | Class::ReadOnly => Outcome::Dropped,
        };
        let is_directory = matches!(self.nodes.at(path), Node::Directory | Node::Submodule);
        Some(match operation {
            _ if is_own_git(path) => Outcome::ThrownAway,
            // No commit holds times, modes of directories, or directories in which nothing is.
            Operation::SetTimes | Operation::CreateDirectory => Outcome::ThrownAway,
            Operation::Chmod if is_directory => Outcome::ThrownAway,
            Operation::RenameAway | Operation::RemoveDirectory if is_directory => {
                let is_kept = |path: &RepoPath| by_class(path) == Outcome::Kept;
                if self.nodes.beneath(path).any(is_kept) {
                    Outcome::Kept
                } else {
                    Outcome::ThrownAway
                }
            }
            Operation::HardLink => match (by_class(path), self.nodes.at(path)) {
                (Outcome::Kept, Node::File) => Outcome::Dropped,
                (outcome, _) => outcome,
            },
            _ => by_class(path),
        })
    }
}
