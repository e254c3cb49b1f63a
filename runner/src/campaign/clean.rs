//! Removing ended runs: their folders, and the pins of what was not kept.

use std::fs;

use super::CampaignError;
use super::folder::{RunFolder, list_runs};
use super::resume::fold;
use crate::ledger;
use crate::model::{CommitId, RunId, Verdict};
use crate::repo::Repo;

/// What to remove.
#[derive(Debug, Clone, Copy)]
pub struct CleanRequest {
    /// Removes nothing, only tells.
    pub dry_run: bool,
    /// Removes the pins of kept experiments, too.
    pub kept_too: bool,
}

/// Removes the ended runs of the repository and returns their ids. Unfinished runs stay: they can
/// be resumed.
///
/// # Errors
///
/// Those of the ledger, the repository and the run folders.
pub fn clean(repo: &Repo, request: &CleanRequest) -> Result<Vec<RunId>, CampaignError> {
    let runs_dir = repo.runs_dir();
    let mut removed = Vec::new();
    for run in list_runs(&runs_dir)? {
        let folder = RunFolder::new(&runs_dir, &run);
        let progress = fold(&run, &ledger::read(&folder.ledger())?)?;
        if progress.closed.is_none() {
            continue;
        }
        if !request.dry_run {
            let kept: Vec<CommitId> = progress
                .experiments
                .iter()
                .filter(|e| e.verdict == Verdict::Keep && !request.kept_too)
                .filter_map(|e| e.commit.clone())
                .collect();
            repo.remove_run_refs(&run, &kept)?;
            fs::remove_dir_all(folder.path()).map_err(|cause| CampaignError::Folder {
                path: folder.path().to_owned(),
                cause,
            })?;
        }
        removed.push(run);
    }
    Ok(removed)
}
