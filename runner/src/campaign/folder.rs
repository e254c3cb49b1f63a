//! Where a run keeps what people and later commands read: `.autoclave/runs/<id>/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CampaignError;
use crate::ledger::{self, LedgerError};
use crate::model::{ExperimentNumber, RunId};

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Names the folder of `run`; nothing is created.
    pub fn new(runs_dir: &Path, run: &RunId) -> Self {
        Self {
            path: runs_dir.join(run.as_str()),
        }
    }

    /// Creates the folder and its parents.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Folder`] when the file system refuses.
    pub fn create(&self) -> Result<(), CampaignError> {
        create_dir(&self.path.join("experiments"))?;
        // A folder's name is durable only once the folder above it is; see fsync(2).
        for folder in self.path.ancestors().take(3) {
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|cause| CampaignError::Folder {
                    path: folder.to_owned(),
                    cause,
                })?;
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.jsonl")
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The developers' log.
    pub fn log(&self) -> PathBuf {
        self.path.join("runner.log")
    }

    /// The gateway's audit log.
    pub fn audit(&self) -> PathBuf {
        self.path.join("gateway.jsonl")
    }

    /// Creates and returns the folder of one experiment; what a killed earlier try left is removed.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Folder`] when the file system refuses.
    pub fn experiment(&self, number: ExperimentNumber) -> Result<PathBuf, CampaignError> {
        let path = self
            .path
            .join("experiments")
            .join(format!("{:04}", number.get()));
        match fs::remove_dir_all(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(CampaignError::Folder { path, cause });
            }
            _ => create_dir(&path)?,
        }
        Ok(path)
    }

    /// Writes one file of the folder, replacing it.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Folder`] when the file system refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CampaignError> {
        write(&self.path.join(name), bytes)
    }
}

/// Writes a file of a run, replacing it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CampaignError> {
    fs::write(path, bytes).map_err(|cause| CampaignError::Folder {
        path: path.to_owned(),
        cause,
    })
}

fn create_dir(path: &Path) -> Result<(), CampaignError> {
    fs::create_dir_all(path).map_err(|cause| CampaignError::Folder {
        path: path.to_owned(),
        cause,
    })
}

/// Removes the folders of runs of `marker` that died before their first record was written; to be
/// called by the holder of the marker's lock.
///
/// # Errors
///
/// Those of the ledger, and [`CampaignError::Folder`] when the file system refuses.
pub(super) fn remove_stillborn(runs_dir: &Path, marker: &str) -> Result<(), CampaignError> {
    for (run, path) in folders(runs_dir)? {
        if run.marker() != Some(marker) {
            continue;
        }
        let ledger = path.join("ledger.jsonl");
        let is_stillborn = !ledger.exists()
            || match ledger::read(&ledger) {
                Ok(records) => records.is_empty(),
                // It had begun; whoever goes on with it is told.
                Err(LedgerError::BrokenLine { .. }) => false,
                Err(error) => return Err(error.into()),
            };
        if !is_stillborn {
            continue;
        }
        fs::remove_dir_all(&path).map_err(|cause| CampaignError::Folder { path, cause })?;
    }
    Ok(())
}

/// Lists the runs under `runs_dir`, newest first; a missing folder holds none.
///
/// # Errors
///
/// [`CampaignError::Folder`] when the folder exists and cannot be read.
pub fn list_runs(runs_dir: &Path) -> Result<Vec<RunId>, CampaignError> {
    let mut runs: Vec<RunId> = folders(runs_dir)?
        .into_iter()
        .filter(|(_, path)| path.join("ledger.jsonl").is_file())
        .map(|(run, _)| run)
        .collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    Ok(runs)
}

/// Returns the folders under `runs_dir`, in no order; what has another name than a run is passed over.
pub(super) fn folders(runs_dir: &Path) -> Result<Vec<(RunId, PathBuf)>, CampaignError> {
    let mut runs = Vec::new();
    for path in listed(runs_dir)? {
        if path.is_dir()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            runs.push((RunId::from(name.to_owned()), path));
        }
    }
    Ok(runs)
}

/// Returns the paths in `folder`, in no order; none where there is no such folder.
pub(super) fn listed(folder: &Path) -> Result<Vec<PathBuf>, CampaignError> {
    let failed = |cause| CampaignError::Folder {
        path: folder.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let paths = entries.map(|entry| Ok(entry.map_err(failed)?.path()));
    paths.collect()
}
