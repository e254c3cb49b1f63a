//! Branches: each marker's champion, and those the user asks for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Repo;
use super::error::{Doing, RepoError};
use crate::model::CommitId;

/// What to do with a branch of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Replace,
}

impl Repo {
    /// Returns where the marker's champion branch is.
    ///
    /// # Errors
    ///
    /// [`RepoError::BadRefName`] when the marker's name cannot be one; else what git says.
    pub fn champion(&self, marker: &str) -> Result<Option<CommitId>, RepoError> {
        self.read_ref(&format!("refs/heads/{}", champion_branch(marker)))
    }

    /// Moves the marker's champion branch, `autoclave/MARKER`, or creates it.
    ///
    /// # Errors
    ///
    /// [`RepoError::CheckedOut`] when a work tree is on it: moving it would make that work tree
    /// look changed. [`RepoError::BranchInTheWay`] when a branch is called `autoclave`.
    pub fn move_champion(&self, marker: &str, to: &CommitId) -> Result<(), RepoError> {
        let message = format!("autoclave: champion of {marker}");
        let branch = champion_branch(marker);
        self.may_set_branch(&branch)?;
        self.set_own_ref(&format!("refs/heads/{branch}"), to, &message)
    }

    /// Creates a branch. One that is there already and at `at` is left alone.
    ///
    /// # Errors
    ///
    /// [`RepoError::BranchExists`] when it is elsewhere and `existing` says to refuse; else as for
    /// [`Repo::move_champion`].
    pub fn create_branch(
        &self,
        name: &str,
        at: &CommitId,
        existing: Existing,
    ) -> Result<(), RepoError> {
        if !git2::Branch::name_is_valid(name).doing("check a branch name")? {
            return Err(RepoError::BadRefName {
                name: name.to_owned(),
            });
        }
        match self.read_ref(&format!("refs/heads/{name}"))? {
            Some(there) if there == *at => Ok(()),
            Some(there) if existing == Existing::Refuse => Err(RepoError::BranchExists {
                branch: name.to_owned(),
                at: there.short().to_owned(),
            }),
            _ => {
                self.may_set_branch(name)?;
                let message = "autoclave: created on request";
                self.set_ref(&format!("refs/heads/{name}"), at, message)
            }
        }
    }

    /// Refuses a name under which no new branch can be made.
    ///
    /// # Errors
    ///
    /// As for [`Repo::create_branch`], for any branch that exists.
    pub fn check_new_branch(&self, name: &str) -> Result<(), RepoError> {
        if !git2::Branch::name_is_valid(name).doing("check a branch name")? {
            return Err(RepoError::BadRefName {
                name: name.to_owned(),
            });
        }
        match self.read_ref(&format!("refs/heads/{name}"))? {
            Some(there) => Err(RepoError::BranchExists {
                branch: name.to_owned(),
                at: there.short().to_owned(),
            }),
            None => self.may_set_branch(name),
        }
    }

    fn may_set_branch(&self, branch: &str) -> Result<(), RepoError> {
        let name = format!("refs/heads/{branch}");
        if let Some(worktree) = self.worktree_on(&name)? {
            return Err(RepoError::CheckedOut {
                branch: branch.to_owned(),
                worktree,
            });
        }
        if let Some(in_the_way) = self.branch_in_the_way(branch)? {
            return Err(RepoError::BranchInTheWay {
                branch: branch.to_owned(),
                in_the_way,
            });
        }
        Ok(())
    }

    /// Finds a branch `a` or `a/b/c` where `a/b` is wanted.
    fn branch_in_the_way(&self, branch: &str) -> Result<Option<String>, RepoError> {
        for (slash, _) in branch.match_indices('/') {
            let above = &branch[..slash];
            if self.read_ref(&format!("refs/heads/{above}"))?.is_some() {
                return Ok(Some(above.to_owned()));
            }
        }
        let beneath = format!("refs/heads/{branch}/");
        let refs = self.git.references().doing("list refs")?;
        for reference in refs {
            let reference = reference.doing("read a ref")?;
            if let Some(name) = reference.name()
                && name.starts_with(&beneath)
            {
                return Ok(name.strip_prefix("refs/heads/").map(ToOwned::to_owned));
            }
        }
        Ok(None)
    }

    /// Finds the work tree whose HEAD is the branch, born or not.
    fn worktree_on(&self, full_name: &str) -> Result<Option<PathBuf>, RepoError> {
        let shared = self.git.commondir();
        let mut folders = vec![shared.to_path_buf()];
        match fs::read_dir(shared.join("worktrees")) {
            Ok(linked) => {
                for entry in linked {
                    let entry = entry.map_err(read_error(shared))?;
                    folders.push(entry.path());
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(read_error(shared)(e)),
        }
        for folder in folders {
            let Ok(head) = fs::read(folder.join("HEAD")) else {
                continue;
            };
            let on = head.strip_prefix(b"ref:").map(<[u8]>::trim_ascii);
            if on == Some(full_name.as_bytes()) {
                return Ok(Some(place_of(&folder)));
            }
        }
        Ok(None)
    }
}

fn champion_branch(marker: &str) -> String {
    format!("autoclave/{marker}")
}

/// Returns the work tree that a git folder belongs to, as well as it can be told.
fn place_of(git_folder: &Path) -> PathBuf {
    let dot_git = match fs::read_to_string(git_folder.join("gitdir")) {
        Ok(path) => PathBuf::from(path.trim_end()),
        Err(_) => git_folder.to_path_buf(),
    };
    match (dot_git.file_name(), dot_git.parent()) {
        (Some(name), Some(parent)) if name == ".git" => parent.to_path_buf(),
        _ => dot_git,
    }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> RepoError {
    let path = path.to_path_buf();
    move |cause| RepoError::Io {
        action: "read",
        path,
        cause,
    }
}
