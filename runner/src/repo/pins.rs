//! Refs that keep what runs stand on from being collected: `refs/autoclave/RUN/0001` for a
//! candidate, `refs/autoclave/RUN/base`.

use std::fs;
use std::io;
use std::time::Duration;

use git2::{ErrorCode, Reference};

use super::error::{Doing, RepoError};
use super::{Repo, commit_id};
use crate::model::{CommitId, ExperimentNumber, RunId};

/// How long a lock file of git may be another process's before it is taken for a dead one's.
const LOCK_TRIES: u32 = 50;
const BETWEEN_LOCK_TRIES: Duration = Duration::from_millis(10);

/// A candidate that is kept from being collected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    pub run: RunId,
    pub experiment: ExperimentNumber,
    pub commit: CommitId,
}

impl Repo {
    /// Keeps the candidate of an experiment from being collected; replaces an earlier one.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; [`RepoError::BadRefName`] when the run cannot name a ref.
    pub fn pin(
        &self,
        run: &RunId,
        experiment: ExperimentNumber,
        commit: &CommitId,
    ) -> Result<(), RepoError> {
        let message = format!("autoclave: candidate of experiment {experiment}");
        self.set_own_ref(&pin_name(run, experiment), commit, &message)
    }

    /// Keeps the base of a run from being collected, wherever the user moves his branches.
    ///
    /// # Errors
    ///
    /// As for [`Repo::pin`].
    pub fn pin_base(&self, run: &RunId, base: &CommitId) -> Result<(), RepoError> {
        self.set_own_ref(&base_name(run), base, "autoclave: base of a run")
    }

    /// Returns the candidate of an experiment.
    ///
    /// # Errors
    ///
    /// [`RepoError::BadRefName`] when the run cannot name a ref; else what git says.
    pub fn pinned(
        &self,
        run: &RunId,
        experiment: ExperimentNumber,
    ) -> Result<Option<CommitId>, RepoError> {
        self.read_ref(&pin_name(run, experiment))
    }

    /// Returns the pins of one run, or of all; sorted by run and number.
    ///
    /// # Errors
    ///
    /// What git says when a ref cannot be read, or does not lead to a commit.
    pub fn list_pins(&self, run: Option<&RunId>) -> Result<Vec<Pin>, RepoError> {
        let refs = self
            .git
            .references_glob("refs/autoclave/*")
            .doing("list refs")?;
        let mut pins = Vec::new();
        for reference in refs {
            let reference = reference.doing("read a ref")?;
            if let Some(pin) = pin_of(&reference)?
                && run.is_none_or(|run| *run == pin.run)
            {
                pins.push(pin);
            }
        }
        pins.sort();
        Ok(pins)
    }

    /// Removes the pins of a run, but for those of the commits in `keep`, which stand on the base.
    ///
    /// # Errors
    ///
    /// As for [`Repo::list_pins`]; pins before the one that failed are gone.
    pub fn remove_run_refs(&self, run: &RunId, keep: &[CommitId]) -> Result<(), RepoError> {
        for pin in self.list_pins(Some(run))? {
            if keep.contains(&pin.commit) {
                continue;
            }
            self.git
                .find_reference(&pin_name(run, pin.experiment))
                .and_then(|mut reference| reference.delete())
                .doing("remove a ref")?;
        }
        match self.git.find_reference(&base_name(run)) {
            Ok(mut reference) => reference.delete().doing("remove a ref"),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(()),
            Err(e) => Err(e).doing("remove a ref"),
        }
    }

    pub(super) fn set_ref(
        &self,
        name: &str,
        to: &CommitId,
        message: &str,
    ) -> Result<(), RepoError> {
        let commit = self.commit(to)?.id();
        match self.git.reference(name, commit, true, message) {
            Ok(_) => Ok(()),
            Err(e) if e.code() == ErrorCode::InvalidSpec => Err(RepoError::BadRefName {
                name: name.to_owned(),
            }),
            Err(e) => Err(e).doing("write a ref"),
        }
    }

    /// As [`set_ref`](Self::set_ref), for refs that only the holder of a marker's lock writes: a
    /// lock file that stays is what a killed autoclave left, and is removed.
    pub(super) fn set_own_ref(
        &self,
        name: &str,
        to: &CommitId,
        message: &str,
    ) -> Result<(), RepoError> {
        let lock = self.git.commondir().join(format!("{name}.lock"));
        // A living git, packing refs say, holds it for milliseconds.
        for _ in 0..LOCK_TRIES {
            if !lock.exists() {
                return self.set_ref(name, to, message);
            }
            std::thread::sleep(BETWEEN_LOCK_TRIES);
        }
        tracing::warn!(lock = %lock.display(), "removed the lock of a ref that was left");
        match fs::remove_file(&lock) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(RepoError::Io {
                action: "remove",
                path: lock,
                cause,
            }),
            _ => self.set_ref(name, to, message),
        }
    }

    pub(super) fn read_ref(&self, name: &str) -> Result<Option<CommitId>, RepoError> {
        match self.git.find_reference(name) {
            Ok(reference) => {
                let commit = reference.peel_to_commit().doing("read a ref")?;
                Ok(Some(commit_id(commit.id())))
            }
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) if e.code() == ErrorCode::InvalidSpec => Err(RepoError::BadRefName {
                name: name.to_owned(),
            }),
            Err(e) => Err(e).doing("read a ref"),
        }
    }
}

fn base_name(run: &RunId) -> String {
    format!("refs/autoclave/{run}/base")
}

fn pin_name(run: &RunId, experiment: ExperimentNumber) -> String {
    format!("refs/autoclave/{run}/{:04}", experiment.get())
}

/// Reads a ref as a pin; `None` for what others keep in the same place.
fn pin_of(reference: &Reference<'_>) -> Result<Option<Pin>, RepoError> {
    let Some((run, number)) = reference
        .name()
        .and_then(|name| name.strip_prefix("refs/autoclave/"))
        .and_then(|name| name.split_once('/'))
    else {
        return Ok(None);
    };
    let Ok(number) = number.parse::<u32>() else {
        return Ok(None);
    };
    let commit = reference.peel_to_commit().doing("read a ref")?;
    Ok(Some(Pin {
        run: RunId::from(run.to_owned()),
        experiment: ExperimentNumber::from(number),
        commit: commit_id(commit.id()),
    }))
}
