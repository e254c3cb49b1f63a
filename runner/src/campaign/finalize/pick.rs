//! Commits of finished branches, made in the object database.

use autoclave_policies::RepoPath;

use super::{FinalizedCommit, Work};
use crate::campaign::{CampaignError, clock};
use crate::decide::progress::ExperimentRecord;
use crate::model::{CommitId, ExperimentNumber, Metric, Verdict};
use crate::repo::Picked;

/// Winners on top of the base, one after another.
pub(super) struct Line {
    /// The last commit, or the base where all winners came to nothing.
    pub tip: CommitId,
    /// In the winners' order. One that adds nothing to those before it is counted to the last.
    pub commits: Vec<FinalizedCommit>,
}

/// A winner that does not go on top of others.
pub(super) struct Clash {
    pub experiment: ExperimentNumber,
    /// Sorted, at least one.
    pub paths: Vec<RepoPath>,
}

impl Work<'_> {
    /// Picks `winners`, in order, onto the base.
    ///
    /// # Errors
    ///
    /// Those of the repository; a conflict is the inner `Err`.
    pub(super) fn pick(
        &self,
        winners: &[&ExperimentRecord],
    ) -> Result<Result<Line, Clash>, CampaignError> {
        let base = &self.progress.base;
        let mut line = Line {
            tip: base.clone(),
            commits: Vec::new(),
        };
        for experiment in winners {
            let subject = subject(experiment);
            let message = self.message(&subject, experiment);
            let commit = commit(experiment);
            let now = clock::now_seconds();
            let repo = &self.workshop.repo;
            match repo.cherry_pick(&line.tip, commit, &message, now)? {
                Picked::Done(picked) => {
                    line.tip = picked.clone();
                    line.commits.push(FinalizedCommit {
                        commit: picked,
                        subject,
                        experiments: vec![experiment.n],
                        share: None,
                    });
                }
                Picked::Empty => {
                    if let Some(last) = line.commits.last_mut() {
                        last.experiments.push(experiment.n);
                    }
                }
                Picked::Conflict { paths } => {
                    let experiment = experiment.n;
                    return Ok(Err(Clash { experiment, paths }));
                }
            }
        }
        Ok(Ok(line))
    }

    /// Puts all commits of `line` into one.
    ///
    /// # Errors
    ///
    /// Those of the repository.
    pub(super) fn squash(&self, line: &Line) -> Result<FinalizedCommit, CampaignError> {
        let subject = match line.commits.as_slice() {
            [only] => only.subject.clone(),
            commits => {
                let name = &self.workshop.marker.name;
                format!("Improve {name} ({} experiments)", commits.len())
            }
        };
        let list: String = line
            .commits
            .iter()
            .map(|commit| format!("- {}\n", commit.subject))
            .collect();
        let run = &self.progress.run;
        let text = format!("{subject}\n\n{list}\nAutoclave-Run: {run}\n");
        let base = &self.progress.base;
        let now = clock::now_seconds();
        let commit = self.workshop.repo.squash(base, &line.tip, &text, now)?;
        let experiments = line.commits.iter().flat_map(|c| c.experiments.clone());
        Ok(FinalizedCommit {
            commit,
            subject,
            experiments: experiments.collect(),
            share: None,
        })
    }

    /// Returns the last of `earlier` that changed one of `paths` in the run.
    ///
    /// # Errors
    ///
    /// Those of the repository.
    pub(super) fn last_to_change(
        &self,
        paths: &[RepoPath],
        earlier: &[&ExperimentRecord],
    ) -> Result<Option<ExperimentNumber>, CampaignError> {
        for experiment in earlier.iter().rev() {
            if self
                .paths_of(experiment)?
                .iter()
                .any(|path| paths.contains(path))
            {
                return Ok(Some(experiment.n));
            }
        }
        Ok(None)
    }

    /// Returns the paths that a winner changed in the run.
    ///
    /// # Errors
    ///
    /// Those of the repository.
    pub(super) fn paths_of(
        &self,
        experiment: &ExperimentRecord,
    ) -> Result<Vec<RepoPath>, CampaignError> {
        let before = self.champion_before(experiment.n);
        let repo = &self.workshop.repo;
        let changes = repo.changes_between(before, commit(experiment))?;
        Ok(changes.into_iter().map(|change| change.path).collect())
    }

    /// Returns the commit that was champion when an experiment was tried.
    fn champion_before(&self, number: ExperimentNumber) -> &CommitId {
        self.kept_before(number)
            .and_then(|kept| kept.commit.as_ref())
            .unwrap_or(&self.progress.base)
    }

    fn kept_before(&self, number: ExperimentNumber) -> Option<&ExperimentRecord> {
        let experiments = self.progress.experiments.iter();
        experiments
            .take_while(|e| e.n != number)
            .filter(|e| e.verdict == Verdict::Keep)
            .last()
    }

    fn message(&self, subject: &str, experiment: &ExperimentRecord) -> String {
        let metric = &self.workshop.marker.metric;
        let name = metric.name.as_deref().unwrap_or("metric");
        let unit = metric.unit.as_deref().unwrap_or("");
        let mut text = format!("{subject}\n\n");
        if let (Some(before), Some(after)) = (self.value_before(experiment.n), experiment.value) {
            text.push_str(&format!(
                "Autoclave-Metric: {name} {before}{unit} -> {after}{unit}\n"
            ));
        }
        if let Some(gain) = experiment.gain {
            let percent = 100.0 * gain;
            text.push_str(&format!(
                "Autoclave-Evidence: {percent:+.2} % over {} pairs\n",
                experiment.pairs
            ));
        }
        text.push_str(&format!(
            "Autoclave-Run: {}\nAutoclave-Experiment: {}\n",
            self.progress.run, experiment.n
        ));
        text
    }

    /// Returns what was measured of the champion when an experiment was tried.
    fn value_before(&self, number: ExperimentNumber) -> Option<Metric> {
        match self.kept_before(number) {
            Some(kept) => kept.value,
            None => Some(self.progress.baseline.as_ref()?.value),
        }
    }
}

fn commit(experiment: &ExperimentRecord) -> &CommitId {
    let commit = experiment.commit.as_ref();
    commit.expect("a kept experiment has a commit")
}

pub(super) fn subject(experiment: &ExperimentRecord) -> String {
    let line = experiment.summary.lines().next().unwrap_or("").trim();
    if line.is_empty() {
        format!("Experiment {}", experiment.n)
    } else {
        line.to_owned()
    }
}
