//! Where a run keeps what people and later commands read: `.autoclave/runs/<id>/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CampaignError;
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
        create_dir(&self.path.join("experiments"))
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

/// Lists the runs under `runs_dir`, newest first; a missing folder holds none.
///
/// # Errors
///
/// [`CampaignError::Folder`] when the folder exists and cannot be read.
pub fn list_runs(runs_dir: &Path) -> Result<Vec<RunId>, CampaignError> {
    let folder_error = |cause| CampaignError::Folder {
        path: runs_dir.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(folder_error(cause)),
    };
    let mut runs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(folder_error)?;
        if entry.path().join("ledger.jsonl").is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            runs.push(RunId::from(name));
        }
    }
    runs.sort_unstable_by(|a, b| b.cmp(a));
    Ok(runs)
}
