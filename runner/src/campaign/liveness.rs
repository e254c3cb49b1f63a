//! Whether a guard still notices faults in what it checks.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::{Bench, Role};
use super::workshop::Workshop;
use crate::decide::bound::Held;
use crate::decide::mutants::{Mutant, is_code, mutants};
use crate::decide::record::GuardBase;
use crate::marker::GuardSpec;
use crate::model::{CommitId, FileKind, SnapshotEntry};
use crate::sandbox::{SandboxError, Snapshot};

/// How many faults are planted before a guard counts as blind.
const FAULTS: usize = 12;

/// What planting faults showed of a guard.
#[derive(Debug)]
pub(super) enum Life {
    /// It noticed the last of so many.
    Alive { planted: usize },
    /// It noticed none; a list of them for people.
    Blind { faults: String },
    /// There is no code that a fault could be planted in.
    NoPlace,
}

/// A commit that a guard passes on, not built.
pub(super) struct Passed<'a> {
    pub commit: &'a CommitId,
    pub measured: &'a Snapshot,
    /// What the guard is held against.
    pub base: &'a GuardBase,
}

impl Life {
    /// Returns why a guard is not alive, as a fragment that follows its name; `None` where it is.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Alive { .. } => None,
            Self::Blind { faults } => Some(format!("notices none of the planted faults: {faults}")),
            Self::NoPlace => Some(
                "cannot be shown to notice faults: no mutable file holds code that one could be \
                 planted in (a comparison, a truth value, a connective or a whole number)"
                    .to_owned(),
            ),
        }
    }
}

impl Workshop {
    /// Plants faults in the mutable files of a commit, one at a time, until `guard` fails; `seed`
    /// draws which.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub(super) async fn liveness(
        &self,
        guard: &GuardSpec,
        passed: Passed<'_>,
        seed: u64,
        cancel: &CancellationToken,
    ) -> Result<Life, CampaignError> {
        let Passed {
            commit,
            measured,
            base,
        } = passed;
        let mut files = Vec::new();
        let mut executables = BTreeMap::new();
        for entry in self.repo.entries(commit, |path| self.is_mutable(path))? {
            let SnapshotEntry { path, kind } = entry.map_err(SandboxError::Entries)?;
            if let FileKind::File { bytes, executable } = kind
                && is_code(&path, &bytes)
            {
                executables.insert(path.clone(), executable);
                files.push((path, bytes));
            }
        }
        let planted = mutants(&files, FAULTS, seed);
        drop(files);
        if planted.is_empty() {
            return Ok(Life::NoPlace);
        }
        let Bench { sandbox, plan, .. } = self.bench(Role::Measure);
        let mut unnoticed = Vec::new();
        for Mutant {
            path,
            line,
            what,
            bytes,
        } in planted
        {
            let executable = executables.get(&path).copied().unwrap_or(false);
            unnoticed.push(format!("{path}:{line} ({what})"));
            let kind = FileKind::File { bytes, executable };
            let fault = vec![SnapshotEntry { path, kind }];
            let faulty = sandbox.derive(measured, fault, Vec::new(), plan).await?;
            let result = self.run_guard(guard, Some(base), &faulty, cancel).await?;
            if let Held::Broken { .. } = result.held {
                let planted = unnoticed.len();
                return Ok(Life::Alive { planted });
            }
        }
        let faults = unnoticed.join(", ");
        Ok(Life::Blind { faults })
    }
}
