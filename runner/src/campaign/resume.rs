//! Which run goes on: the newest of its marker, where it can.

use std::path::{Path, PathBuf};

use super::CampaignError;
use super::folder::{RunFolder, list_runs};
use crate::decide::progress::Progress;
use crate::decide::record::Record;
use crate::ledger::{self, Holder, Lock, LockError};
use crate::marker::Marker;
use crate::model::{CommitId, FinishReason, RunId};

/// What `run` does with the marker's newest run.
#[derive(Debug, PartialEq)]
pub(super) enum Start {
    /// It is not finished and goes on.
    Resume { run: RunId, base: CommitId },
    /// It gave up for reasons that may have passed, and goes on.
    Reopen { run: RunId, base: CommitId },
    /// A new one begins; `left` is unfinished, but of the marker as it was before it was changed.
    Afresh { left: Option<RunId> },
}

/// Decides what becomes of the newest run of `marker`.
pub(super) fn choose(runs_dir: &Path, marker: &Marker) -> Result<Start, CampaignError> {
    let Some((_, progress)) = latest_progress(runs_dir, &marker.name)? else {
        return Ok(Start::Afresh { left: None });
    };
    let is_same = progress.marker_digest == marker.digest();
    let Progress {
        run, base, closed, ..
    } = progress;
    Ok(match closed {
        None if is_same => Start::Resume { run, base },
        None => Start::Afresh { left: Some(run) },
        Some(FinishReason::Infrastructure) if is_same => Start::Reopen { run, base },
        Some(_) => Start::Afresh { left: None },
    })
}

/// Returns the newest run of `marker` with its progress; `None` where there is none.
///
/// # Errors
///
/// Those of the run folder and the ledger.
pub fn latest_progress(
    runs_dir: &Path,
    marker: &str,
) -> Result<Option<(RunFolder, Progress)>, CampaignError> {
    for run in list_runs(runs_dir)? {
        let folder = RunFolder::new(runs_dir, &run);
        let records = ledger::read(&folder.ledger())?;
        let Some(Record::RunOpened { marker: of, .. }) = records.first() else {
            continue;
        };
        if of == marker {
            let progress = fold(&run, &records)?;
            return Ok(Some((folder, progress)));
        }
    }
    Ok(None)
}

/// Folds the records of one run.
pub(super) fn fold(run: &RunId, records: &[Record]) -> Result<Progress, CampaignError> {
    let broken = |problem: String| CampaignError::BrokenRun {
        run: run.to_string(),
        problem,
    };
    Progress::fold(records.iter().cloned())
        .map_err(|problem| broken(problem.to_string()))?
        .ok_or_else(|| broken("it holds no record".into()))
}

/// Takes the lock that whoever changes a run of `marker` must hold.
pub(super) fn lock_marker(runs_dir: &Path, marker: &str) -> Result<Lock, CampaignError> {
    Lock::take(&lock_path(runs_dir, marker)).map_err(|error| match error {
        LockError::Held { holder, .. } => CampaignError::Running {
            marker: marker.to_owned(),
            pid: holder.pid,
        },
        LockError::Io { path, cause } => CampaignError::Folder { path, cause },
    })
}

/// Returns the process that is running `marker`, or finalizing it; `None` when nobody is.
///
/// # Errors
///
/// [`CampaignError::Folder`] when the lock cannot be looked at.
pub fn running(runs_dir: &Path, marker: &str) -> Result<Option<Holder>, CampaignError> {
    Lock::holder(&lock_path(runs_dir, marker)).map_err(|error| match error {
        LockError::Held { path, .. } => CampaignError::Folder {
            path,
            cause: std::io::ErrorKind::WouldBlock.into(),
        },
        LockError::Io { path, cause } => CampaignError::Folder { path, cause },
    })
}

fn lock_path(runs_dir: &Path, marker: &str) -> PathBuf {
    runs_dir.join(format!("{marker}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{baseline, opened};
    use crate::marker::{Dialect, parse_config};

    fn marker() -> Marker {
        let text = "markers:\n  - name: sort-speed\n    target: {mutable: [src/**]}\n    \
                    metric: {command: m, extract: cat, direction: lower}\n";
        parse_config(text, "config.yaml", Dialect::Autoclave, &|_| {
            Ok(String::new())
        })
        .unwrap()
        .markers
        .remove(0)
    }

    /// Writes the ledger of a run of `marker_digest` that goes on with `records`.
    fn run_of(runs_dir: &Path, marker_digest: &str, records: &[Record]) -> (RunId, CommitId) {
        let Record::RunOpened {
            v,
            run,
            marker,
            base,
            direction,
            seed,
            ..
        } = opened()
        else {
            unreachable!("it opens a run")
        };
        let opening = Record::RunOpened {
            v,
            run: run.clone(),
            marker,
            marker_digest: marker_digest.to_owned(),
            base: base.clone(),
            direction,
            seed,
        };
        let folder = RunFolder::new(runs_dir, &run);
        folder.create().unwrap();
        let lines: String = [&opening]
            .into_iter()
            .chain(records)
            .map(|record| serde_json::to_string(record).unwrap() + "\n")
            .collect();
        std::fs::write(folder.ledger(), lines).unwrap();
        (run, base)
    }

    fn closed(reason: FinishReason) -> Record {
        Record::RunClosed { reason }
    }

    #[test]
    fn only_what_is_unfinished_and_of_the_same_marker_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let afresh = Start::Afresh { left: None };
        assert_eq!(choose(dir, &marker()).unwrap(), afresh);

        let same = marker().digest();
        let (run, base) = run_of(dir, &same, &[]);
        let resume = Start::Resume {
            run: run.clone(),
            base: base.clone(),
        };
        assert_eq!(choose(dir, &marker()).unwrap(), resume);

        run_of(dir, "of another marker", &[baseline()]);
        let left = Start::Afresh {
            left: Some(run.clone()),
        };
        assert_eq!(choose(dir, &marker()).unwrap(), left);

        run_of(
            dir,
            &same,
            &[baseline(), closed(FinishReason::MaxExperiments)],
        );
        assert_eq!(choose(dir, &marker()).unwrap(), afresh);

        run_of(
            dir,
            &same,
            &[baseline(), closed(FinishReason::Infrastructure)],
        );
        assert_eq!(choose(dir, &marker()).unwrap(), Start::Reopen { run, base });
    }

    #[test]
    fn a_run_without_a_first_record_is_as_if_it_had_never_been() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (run, _) = run_of(dir, "d", &[]);
        let ledger = RunFolder::new(dir, &run).ledger();
        let line = std::fs::read(&ledger).unwrap();
        for length in 0..line.len() {
            std::fs::create_dir_all(ledger.parent().unwrap()).unwrap();
            std::fs::write(&ledger, &line[..length]).unwrap();
            let start = choose(dir, &marker()).unwrap();
            assert_eq!(start, Start::Afresh { left: None }, "{length} bytes");
            super::super::folder::remove_stillborn(dir, "sort-speed").unwrap();
            assert!(!ledger.parent().unwrap().exists(), "{length} bytes");
        }
    }

    #[test]
    fn a_marker_is_locked_for_one_and_other_markers_are_free() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock_marker(folder.path(), "a").unwrap();
        let second = lock_marker(folder.path(), "a").unwrap_err();
        let us = std::process::id();
        assert_eq!(
            second.to_string(),
            format!("marker `a` is in use by another autoclave, process {us}")
        );
        assert_eq!(
            running(folder.path(), "a").unwrap(),
            Some(Holder { pid: Some(us) })
        );
        lock_marker(folder.path(), "b").unwrap();
        drop(first);
        assert_eq!(running(folder.path(), "a").unwrap(), None);
    }
}
