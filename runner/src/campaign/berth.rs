//! A process's own place in the state directory: found by its label, swept when its process is dead.
//!
//! Everything a process keeps outside of the run's folder (snapshots, sandboxes, the gateway's
//! socket) is under `STATE/LABEL/`, and `STATE/LABEL.lock` is held as long as it lives. Labels are
//! never used twice, so runs of equally named markers do not meet.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::CampaignError;
use super::folder::listed;
use crate::ledger::{Lock, LockError};
use crate::sandbox::process::sweep;

const LOCK: &str = "lock";

/// A held place; given up, with all that is in it, when dropped.
#[derive(Debug)]
pub(super) struct Berth {
    state: PathBuf,
    label: String,
    _lock: Lock,
}

impl Berth {
    /// Takes a new place in `state`, made private if absent, and removes those of dead processes.
    pub fn take(state: &Path) -> Result<Self, CampaignError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .map_err(|cause| CampaignError::Folder {
                path: state.to_owned(),
                cause,
            })?;
        sweep_dead(state)?;
        loop {
            let label = format!("r{:08x}", super::clock::dice() & 0xffff_ffff);
            let path = lock_path(state, &label);
            let lock = match Lock::take(&path) {
                Ok(lock) => lock,
                Err(LockError::Held { .. }) => continue,
                Err(LockError::Io { path, cause }) => {
                    return Err(CampaignError::Folder { path, cause });
                }
            };
            // A sweep may have come between making the file and locking it.
            if path.exists() {
                return Ok(Self {
                    state: state.to_owned(),
                    label,
                    _lock: lock,
                });
            }
        }
    }

    /// Returns the name of the place: letters and digits, at most 9.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the file that whoever measures holds, among all that share the state directory.
    pub fn turn(&self) -> PathBuf {
        // Not called `.lock`: those are the places' and are swept.
        self.state.join("measuring")
    }

    /// Returns the folder of the place; the sandbox makes it.
    pub fn folder(&self) -> PathBuf {
        self.state.join(&self.label)
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        clear(&self.state, &self.label);
    }
}

/// Removes the places of processes that died without doing so, and returns their labels.
pub(super) fn sweep_dead(state: &Path) -> Result<Vec<String>, CampaignError> {
    let mut swept = Vec::new();
    for label in labels(state)? {
        match Lock::take(&lock_path(state, &label)) {
            Ok(_dead) => {
                clear(state, &label);
                swept.push(label);
            }
            Err(LockError::Held { .. }) => {}
            Err(LockError::Io { path, cause }) => {
                return Err(CampaignError::Folder { path, cause });
            }
        }
    }
    Ok(swept)
}

/// Lists the labels in `state` whose process is dead, without removing anything.
pub(super) fn dead(state: &Path) -> Result<Vec<String>, CampaignError> {
    let mut dead = labels(state)?;
    dead.retain(|label| matches!(Lock::holder(&lock_path(state, label)), Ok(None)));
    Ok(dead)
}

/// Says whether the process of a place lives; one that cannot be asked counts as living.
pub(super) fn is_alive(state: &Path, label: &str) -> bool {
    !matches!(Lock::holder(&lock_path(state, label)), Ok(None))
}

/// The lock goes last: as long as something is left, the next start finds it.
fn clear(state: &Path, label: &str) {
    if sweep(state, label)
        && let Err(cause) = fs::remove_file(lock_path(state, label))
    {
        tracing::warn!(%cause, label, "could not remove the lock of a place");
    }
}

fn labels(state: &Path) -> Result<Vec<String>, CampaignError> {
    let mut labels = Vec::new();
    for path in listed(state)? {
        if path.extension().is_some_and(|extension| extension == LOCK)
            && let Some(label) = path.file_stem().and_then(|stem| stem.to_str())
        {
            labels.push(label.to_owned());
        }
    }
    labels.sort();
    Ok(labels)
}

fn lock_path(state: &Path, label: &str) -> PathBuf {
    state.join(label).with_extension(LOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_dead_are_swept_and_those_of_the_living_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let living = Berth::take(state).unwrap();
        fs::create_dir_all(living.folder().join("layer-0")).unwrap();
        fs::write(state.join("r00000000.lock"), "1\n").unwrap();
        fs::create_dir_all(state.join("r00000000/gateway")).unwrap();
        assert_eq!(dead(state).unwrap(), ["r00000000"]);

        let second = Berth::take(state).unwrap();
        assert_ne!(second.label(), living.label());
        assert_eq!(
            labels(state).unwrap().len(),
            2,
            "the dead one is gone, both others stay"
        );
        assert!(living.folder().join("layer-0").is_dir());
        assert!(!state.join("r00000000").exists());

        drop(living);
        drop(second);
        assert_eq!(fs::read_dir(state).unwrap().count(), 0);
    }
}
