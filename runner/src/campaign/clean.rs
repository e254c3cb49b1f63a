//! Removing what nobody needs any more: old runs, and what killed ones left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::folder::{RunFolder, folders};
use super::resume::{fold, lock_marker};
use super::{CampaignError, berth};
use crate::ledger;
use crate::model::{CommitId, RunId, Verdict};
use crate::repo::Repo;

/// What to remove.
#[derive(Debug, Clone, Copy)]
pub struct CleanRequest<'a> {
    /// Removes nothing, only tells.
    pub dry_run: bool,
    /// Removes the pins of kept experiments, too.
    pub kept_too: bool,
    /// [`HostFacts::state`](super::HostFacts::state).
    pub state: &'a Path,
}

/// What was removed, or would be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Newest first.
    pub runs: Vec<RunId>,
    /// Places in the state directory whose process is dead; of any repository.
    pub leftovers: Vec<String>,
    /// Markers that are being run, whose runs were left alone; sorted.
    pub in_use: Vec<String>,
}

/// Removes the runs of the repository that cannot go on: those that ended, those that were left for
/// a newer one of their marker, and those that died before they began. Then what dead processes left.
///
/// # Errors
///
/// Those of the ledger, the repository and the run folders.
pub fn clean(repo: &Repo, request: &CleanRequest<'_>) -> Result<Cleaned, CampaignError> {
    let runs_dir = repo.runs_dir();
    let mut by_marker: BTreeMap<String, Vec<RunId>> = BTreeMap::new();
    for (run, _) in folders(&runs_dir)? {
        if let Some(marker) = run.marker() {
            by_marker.entry(marker.to_owned()).or_default().push(run);
        }
    }
    let mut cleaned = Cleaned::default();
    for (marker, mut runs) in by_marker {
        let _lock = match lock_marker(&runs_dir, &marker) {
            Err(CampaignError::Running { marker, .. }) => {
                cleaned.in_use.push(marker);
                continue;
            }
            locked => locked?,
        };
        runs.sort_unstable_by(|a, b| b.cmp(a));
        let mut is_newest = true;
        for run in runs {
            let Some(unpinned) = removable(&runs_dir, &run, is_newest, request)? else {
                is_newest = false;
                continue;
            };
            // A run that never began is as if it had not been.
            is_newest &= unpinned.is_none();
            if !request.dry_run {
                if let Some(kept) = unpinned {
                    repo.remove_run_refs(&run, &kept)?;
                }
                let folder = RunFolder::new(&runs_dir, &run);
                fs::remove_dir_all(folder.path()).map_err(|cause| CampaignError::Folder {
                    path: folder.path().to_owned(),
                    cause,
                })?;
            }
            cleaned.runs.push(run);
        }
    }
    cleaned.runs.sort_unstable_by(|a, b| b.cmp(a));
    cleaned.leftovers = if request.dry_run {
        berth::dead(request.state)?
    } else {
        berth::sweep_dead(request.state)?
    };
    Ok(cleaned)
}

/// Returns `None` for a run that can go on; `Some(None)` for one that never began; else the commits
/// that stay pinned.
#[expect(
    clippy::option_option,
    reason = "three answers, each told in the line above"
)]
fn removable(
    runs_dir: &Path,
    run: &RunId,
    is_newest: bool,
    request: &CleanRequest<'_>,
) -> Result<Option<Option<Vec<CommitId>>>, CampaignError> {
    let ledger = RunFolder::new(runs_dir, run).ledger();
    let records = if ledger.exists() {
        ledger::read(&ledger)?
    } else {
        Vec::new()
    };
    if records.is_empty() {
        return Ok(Some(None));
    }
    let progress = fold(run, &records)?;
    if progress.closed.is_none() && is_newest {
        return Ok(None);
    }
    let kept = progress
        .experiments
        .iter()
        .filter(|e| e.verdict == Verdict::Keep && !request.kept_too)
        .filter_map(|e| e.commit.clone())
        .collect();
    Ok(Some(Some(kept)))
}
