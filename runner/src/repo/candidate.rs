//! Accepted changes as commits, and commits as changes.

use git2::{DiffFormat, DiffOptions, ObjectType, Oid, Signature, Time, Tree};

use super::error::{Doing, RepoError};
use super::listing::{self, TreeKind};
use super::{Repo, commit_id, compare, edit};
use crate::model::{Change, ChangeKind, CommitId};

/// Who commits where the user has no identity.
pub(super) const NAME: &str = "autoclave";
pub(super) const EMAIL: &str = "autoclave@localhost";

impl Repo {
    /// Commits `changes` on top of `parent`, to no branch; `when` in seconds since 1970.
    ///
    /// Bytes are stored as they are. The author is the user as git knows them, or autoclave.
    ///
    /// # Errors
    ///
    /// [`RepoError::GitsOwnPath`] and [`RepoError::FileAndDirectory`] for changes no tree can
    /// hold; otherwise what git says.
    pub fn commit_candidate(
        &self,
        parent: &CommitId,
        changes: &[Change],
        message: &str,
        when: i64,
    ) -> Result<CommitId, RepoError> {
        let base = self.tree_of(parent)?;
        let edits = changes
            .iter()
            .map(|change| Ok((change.path.clone(), self.edit_of(&change.kind)?)))
            .collect::<Result<Vec<_>, RepoError>>()?;
        let tree = edit::apply(&self.store, &base, edits)?;
        self.commit_tree(tree, parent, message, when)
    }

    /// Returns what has to change in `from` for it to hold the files of `to`; sorted by path.
    ///
    /// A submodule's commit is not a change; a submodule that is gone is a deletion.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says, for instance of a blob that is not there.
    pub fn changes_between(
        &self,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Vec<Change>, RepoError> {
        let found = compare::compare(&self.store, &self.tree_of(from)?, &self.tree_of(to)?)?;
        let mut changes = Vec::new();
        for difference in found.differences {
            let kind = match difference.new {
                Some((id, TreeKind::File { executable })) => ChangeKind::Write {
                    bytes: listing::read_blob(&self.store, id)?,
                    executable,
                },
                Some((id, TreeKind::Symlink)) => ChangeKind::Link {
                    target: listing::read_blob(&self.store, id)?,
                },
                None => ChangeKind::Delete,
                Some((_, TreeKind::Submodule)) => match difference.old {
                    None | Some((_, TreeKind::Submodule)) => continue,
                    Some(_) => ChangeKind::Delete,
                },
            };
            changes.push(Change {
                path: difference.path,
                kind,
            });
        }
        Ok(changes)
    }

    /// Returns the patch from one commit to another as `git apply` takes it, binaries included;
    /// empty when nothing differs.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; else what git says, for instance of a blob that is not there.
    pub fn patch(&self, from: &CommitId, to: &CommitId) -> Result<Vec<u8>, RepoError> {
        let mut options = DiffOptions::new();
        options
            .show_binary(true)
            .context_lines(3)
            .old_prefix("a")
            .new_prefix("b")
            .id_abbrev(40)
            .disable_pathspec_match(true);
        // Named, because the library's own comparison reads every directory of both trees.
        let (old, new) = (self.tree_of(from)?, self.tree_of(to)?);
        let found = compare::compare(&self.store, &old, &new)?;
        if found.differences.is_empty() {
            return Ok(Vec::new());
        }
        for difference in &found.differences {
            options.pathspec(difference.path.as_bytes());
        }
        let diff = self
            .store
            .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
            .doing("compare two commits")?;
        let mut patch = Vec::new();
        diff.print(DiffFormat::Patch, |_, _, line| {
            if matches!(line.origin(), '+' | '-' | ' ') {
                patch.push(u8::try_from(line.origin()).expect("an ASCII sign"));
            }
            patch.extend_from_slice(line.content());
            true
        })
        .doing("write a patch")?;
        Ok(patch)
    }

    pub(super) fn commit_tree(
        &self,
        tree: Oid,
        parent: &CommitId,
        message: &str,
        when: i64,
    ) -> Result<CommitId, RepoError> {
        let who = self.identity(when)?;
        let tree: Tree<'_> = self.git.find_tree(tree).doing("read a tree")?;
        let parent = self.commit(parent)?;
        // Not `Repository::commit`, which takes a commit that could not be written for one that was
        // (libgit2 1.9, `git_commit__create_internal`).
        let write = || {
            let text = self
                .git
                .commit_create_buffer(&who, &who, message, &tree, &[&parent])?;
            self.git.odb()?.write(ObjectType::Commit, &text)
        };
        write().doing("write a commit").map(commit_id)
    }

    fn edit_of(&self, kind: &ChangeKind) -> Result<edit::Edit, RepoError> {
        let (bytes, kind) = match kind {
            ChangeKind::Delete => return Ok(edit::Edit::Remove),
            ChangeKind::Write { bytes, executable } => (
                bytes,
                TreeKind::File {
                    executable: *executable,
                },
            ),
            ChangeKind::Link { target } => (target, TreeKind::Symlink),
        };
        let id = self.store.blob(bytes).doing("write a blob")?;
        Ok(edit::Edit::Put { id, kind })
    }

    fn identity(&self, when: i64) -> Result<Signature<'static>, RepoError> {
        let time = Time::new(when, 0);
        if let Ok(user) = self.git.signature()
            && let (Some(name), Some(email)) = (user.name(), user.email())
            && let Ok(user) = Signature::new(name, email, &time)
        {
            return Ok(user);
        }
        Signature::new(NAME, EMAIL, &time).doing("name the committer")
    }
}
