//! Which run goes on: the newest of its marker, where it can.

use std::path::{Path, PathBuf};

use super::CampaignError;
use super::folder::{RunFolder, list_runs};
use crate::decide::progress::Progress;
use crate::decide::record::Record;
use crate::ledger::{self, Holder, Lock, LockError};
use crate::marker::Marker;
use crate::model::{CommitId, FinishReason, RunId};
use crate::sandbox::container::ImageUsed;

/// What `run` does with the marker's newest run.
#[derive(Debug, PartialEq)]
pub(super) enum Start {
    /// It is not finished and goes on.
    Resume(Unfinished),
    /// It gave up for reasons that may have passed, and goes on.
    Reopen(Unfinished),
    /// A new one begins; `left` is unfinished, but of the marker as it was before it was changed.
    Afresh { left: Option<RunId> },
}

/// A run that can go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unfinished {
    pub run: RunId,
    pub base: CommitId,
    /// The digest of the image that it ran in.
    pub image: Option<String>,
}

impl Start {
    /// Returns the run that goes on.
    pub fn unfinished(&self) -> Option<&Unfinished> {
        match self {
            Self::Resume(unfinished) | Self::Reopen(unfinished) => Some(unfinished),
            Self::Afresh { .. } => None,
        }
    }
}

impl Unfinished {
    /// Says why it cannot go on in containers of `image` (`None`: in processes): what was measured
    /// elsewhere cannot be compared. `None` where it can.
    pub fn is_elsewhere(&self, image: Option<&ImageUsed>) -> Option<String> {
        match (&self.image, image) {
            (None, None) => None,
            (Some(ran_in), Some(image)) if *ran_in == image.id => None,
            (Some(ran_in), Some(ImageUsed { name, id })) => Some(format!(
                "it ran in the image {ran_in}, and `{name}` is {id} now"
            )),
            (Some(ran_in), None) => Some(format!(
                "it ran in containers of the image {ran_in}, and would go on without"
            )),
            (None, Some(ImageUsed { name, .. })) => Some(format!(
                "its ledger names no image, and it would go on in containers of `{name}`"
            )),
        }
    }
}

/// Decides what becomes of the newest run of `marker`.
pub(super) fn choose(runs_dir: &Path, marker: &Marker) -> Result<Start, CampaignError> {
    let Some((_, progress)) = latest_progress(runs_dir, &marker.name)? else {
        return Ok(Start::Afresh { left: None });
    };
    let is_same = progress.marker_digest == marker.digest();
    let Progress {
        run,
        base,
        image,
        closed,
        ..
    } = progress;
    Ok(match closed {
        None if is_same => Start::Resume(Unfinished { run, base, image }),
        None => Start::Afresh { left: Some(run) },
        Some(FinishReason::Infrastructure) if is_same => {
            Start::Reopen(Unfinished { run, base, image })
        }
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
            image,
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
            image,
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
        let unfinished = Unfinished {
            run: run.clone(),
            base,
            image: None,
        };
        let resume = Start::Resume(unfinished.clone());
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
        let reopen = Start::Reopen(unfinished);
        assert_eq!(choose(dir, &marker()).unwrap(), reopen);
    }

    #[test]
    fn a_run_goes_on_only_where_it_ran() {
        let ran_in = |image: Option<&str>| {
            let Record::RunOpened { run, base, .. } = opened() else {
                unreachable!("it opens a run")
            };
            let image = image.map(str::to_owned);
            Unfinished { run, base, image }
        };
        let image = ImageUsed {
            name: "tools".into(),
            id: "sha256:2".into(),
        };
        assert_eq!(ran_in(None).is_elsewhere(None), None);
        assert_eq!(ran_in(Some("sha256:2")).is_elsewhere(Some(&image)), None);
        let told = [
            (
                Some("sha256:1"),
                Some(&image),
                "it ran in the image sha256:1, and `tools` is sha256:2 now",
            ),
            (
                Some("sha256:1"),
                None,
                "it ran in containers of the image sha256:1, and would go on without",
            ),
            (
                None,
                Some(&image),
                "its ledger names no image, and it would go on in containers of `tools`",
            ),
        ];
        for (before, now, expected) in told {
            assert_eq!(ran_in(before).is_elsewhere(now).as_deref(), Some(expected));
        }
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
