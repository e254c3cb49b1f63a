//! One experiment: brief, agent, candidate, and what its verdict sets in motion.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::CampaignError;
use super::bench::Role;
use super::clock;
use super::emitter::decided;
use super::ending::Ending;
use super::error::chain;
use super::folder;
use super::run::Campaign;
use super::session::{Session, SessionRequest, run_session};
use super::verdict::Gated;
use super::wait::wait_until;
use crate::agent::AgentOutcome;
use crate::decide::brief::{BriefFacts, brief, hidden_rework_brief, rework_brief};
use crate::decide::lines::Lines;
use crate::decide::patience::{Refusal, ask_again_at_ms};
use crate::decide::progress::Strategy;
use crate::decide::record::{ExperimentRecord, Record};
use crate::event::EventKind;
use crate::model::{
    Change, CommitId, DiscardReason, Dropped, ExperimentNumber, Usage, Verdict, VoidReason,
};
use crate::sandbox::{ChangeLimits, Snapshot};

/// The best kept commit so far, ready to be measured against.
#[derive(Debug, Clone)]
pub(super) struct Champion {
    pub commit: CommitId,
    /// What agents start from.
    pub agent: Snapshot,
    /// What is measured, after `metric.build`.
    pub built: Snapshot,
}

/// What agents are told of a hidden guard.
pub(super) const HIDDEN_FAILED: &str = "a hidden guard failed";

/// What an experiment has come to so far.
pub(super) struct Attempt {
    pub number: ExperimentNumber,
    pub folder: PathBuf,
    pub usage: Usage,
    pub denied: u32,
    pub denials: Vec<String>,
    pub summary: String,
    pub commit: Option<CommitId>,
    pub dropped: Vec<Dropped>,
    /// What guards remarked about the newest candidate.
    pub remarks: Vec<String>,
    /// What its guards and its measurements printed of what is tracked.
    pub guard_lines: Lines,
    pub metric_lines: Lines,
}

impl Campaign<'_> {
    /// Runs one experiment to its verdict and writes it down.
    pub async fn run_experiment(
        &mut self,
        number: ExperimentNumber,
        strategy: Strategy,
    ) -> Result<(), CampaignError> {
        let started = Instant::now();
        self.workshop.executions.take();
        self.ready_champion().await?;
        self.record(Record::ExperimentStarted {
            n: number,
            champion: self.progress.champion.clone(),
        })?;
        let budget = self.budget();
        self.emitter.emit(EventKind::ExperimentStarted {
            experiment: number,
            of: budget.max_experiments,
            champion: self.progress.champion.clone(),
            champion_value: self.champion_value(),
        });
        let mut attempt = Attempt {
            number,
            folder: self.folder.experiment(number)?,
            usage: std::mem::take(&mut self.lost),
            denied: 0,
            denials: Vec::new(),
            summary: String::new(),
            commit: None,
            dropped: Vec::new(),
            remarks: Vec::new(),
            guard_lines: Lines::default(),
            metric_lines: Lines::default(),
        };
        let attempted = self.attempt(&mut attempt, strategy).await;
        let ending = match attempted.map_err(|error| error.unless_cancelled(&self.cancel)) {
            // Written down, because what the agent has used up is paid for.
            Err(error @ CampaignError::Interrupted) => Ending {
                detail: error.to_string(),
                ..Ending::fatal(VoidReason::Cancelled, error)
            },
            // So is what broke off; nothing of it is judged.
            Err(CampaignError::Sandbox(error)) if error.is_fault() => Ending {
                detail: chain(&error),
                ..Ending::fatal(VoidReason::Infrastructure, error.into())
            },
            ended => ended?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let executions = self.workshop.executions.take();
        let Attempt {
            usage,
            denied,
            denials,
            summary,
            commit,
            dropped,
            remarks,
            guard_lines,
            metric_lines,
            ..
        } = attempt;
        let track = &self.workshop.marker.track;
        let record = ExperimentRecord {
            n: number,
            verdict: ending.verdict,
            commit,
            value: ending.value,
            gain: ending.gain,
            pairs: ending.pairs,
            spread: ending.spread,
            measuring_seconds: ending.measuring_seconds,
            usage,
            seconds,
            denied,
            denials,
            dropped,
            summary,
            detail: ending.detail,
            remarks,
            tracks: Lines::tracked(track, &[&metric_lines, &guard_lines]),
        };
        if record.verdict == Verdict::Keep {
            // Later experiments stand on this commit: it must not be lost when the ledger is not.
            self.workshop.repo.sync()?;
        }
        self.record(Record::ExperimentDecided(record.clone()))?;
        self.repair()?;
        self.emitter.emit(decided(record, Some(executions)));
        if let Some(built) = ending.kept {
            self.crown(built).await?;
        }
        if let Some(error) = ending.fatal {
            return Err(error);
        }
        if let Some(reason) = ending.finish {
            self.record(Record::RunClosed { reason })?;
        }
        match ending.refusal {
            Some(refusal) => self.wait(refusal).await,
            None => Ok(()),
        }
    }

    async fn attempt(
        &mut self,
        attempt: &mut Attempt,
        strategy: Strategy,
    ) -> Result<Ending, CampaignError> {
        let mut text = self.write_brief(attempt, strategy)?;
        let champion = self
            .champion
            .clone()
            .expect("made before the experiment started");
        let mut start = champion.agent.clone();
        let mut resume: Option<String> = None;
        let mut changes: Vec<Change> = Vec::new();
        let mut reworks = 0;
        loop {
            let session = self
                .session(attempt, &start, &text, resume.as_deref())
                .await?;

            let seen = session
                .finished
                .remains
                .changes(Arc::clone(&self.workshop.policy), ChangeLimits::default())
                .await?;
            changes = merge(changes, seen.accepted);
            attempt.dropped.extend(seen.dropped);
            // Whatever ended the session: what was done until then is pinned, never lost.
            let commit = self.commit(attempt, &changes)?;
            if self.cancel.is_cancelled() {
                return Err(CampaignError::Interrupted);
            }
            if let Some(ending) = self.stopped_by(&session) {
                return Ok(ending);
            }
            if let AgentOutcome::Failed { message } = &session.report.outcome {
                return Ok(Ending::discard(DiscardReason::AgentFailed, message.clone()));
            }
            let Some(commit) = commit else {
                let detail = nothing_taken(&attempt.dropped);
                return Ok(Ending::discard(DiscardReason::NoChange, detail));
            };
            // Until the verdict, or until the agent works again.
            let _turn = self.workshop.turn(&mut self.emitter, &self.cancel).await?;
            let candidate = self.workshop.measured(&self.base, &commit).await?;
            match self.guards(attempt, &candidate).await? {
                Gated::Passed => {
                    if let Some(why) = self.golden(attempt, &candidate).await? {
                        return Ok(Ending::discard(DiscardReason::GuardFailed, why));
                    }
                    return self.judge(attempt, &champion, candidate).await;
                }
                Gated::Failed {
                    guard,
                    is_hidden,
                    detail,
                    output,
                    rework,
                } => {
                    let name = format!("guard-{guard}-{reworks}.txt");
                    folder::write(&attempt.folder.join(name), output.as_bytes())?;
                    let mut detail = format!("guard `{guard}` {detail}");
                    if is_hidden {
                        // The detail goes into later briefs, the remark does not.
                        attempt.remarks.push(format!("hidden {detail}"));
                        HIDDEN_FAILED.clone_into(&mut detail);
                    }
                    if reworks >= rework {
                        return Ok(Ending::discard(DiscardReason::GuardFailed, detail));
                    }
                    reworks += 1;
                    self.emitter.emit(EventKind::Rework {
                        experiment: attempt.number,
                        guard: guard.clone(),
                        attempt: reworks,
                        of: rework,
                    });
                    text = if is_hidden {
                        hidden_rework_brief(reworks)
                    } else {
                        rework_brief(&guard, &output, reworks)
                    };
                    resume = session.report.session.clone();
                    start = session.finished.remains.into_snapshot().await?;
                }
            }
        }
    }

    fn write_brief(&self, attempt: &Attempt, strategy: Strategy) -> Result<String, CampaignError> {
        let facts = BriefFacts {
            marker: &self.workshop.marker,
            champion_value: self.champion_value(),
            baseline_value: self
                .progress
                .baseline
                .as_ref()
                .expect("measured first")
                .value,
            experiments: &self.progress.experiments,
            strategy,
            budget: &self.budget(),
            in_place: &self.workshop.bench(Role::Agent).plan.in_place,
        };
        let text = brief(&facts);
        folder::write(&attempt.folder.join("brief.md"), text.as_bytes())?;
        Ok(text)
    }

    async fn session(
        &mut self,
        attempt: &mut Attempt,
        snapshot: &Snapshot,
        brief: &str,
        resume: Option<&str>,
    ) -> Result<Session, CampaignError> {
        let request = SessionRequest {
            experiment: attempt.number,
            snapshot,
            brief,
            resume,
            timeout: self.workshop.marker.limits.budget_per_experiment,
            transcript: &attempt.folder.join("agent.jsonl"),
            places: &self.places,
            cancel: &self.cancel,
        };
        let mark = self.gate.metered().await?.unwrap_or_default().usage;
        let session = run_session(&self.workshop, &self.gate, &mut self.emitter, request).await;
        if session.is_err()
            && let Ok(Some(metered)) = self.gate.metered().await
        {
            attempt.usage += metered.usage.since(mark);
        }
        let session = session?;
        attempt.usage += session.usage;
        attempt.denied += session.report.denials;
        attempt.denials.extend(session.denials.iter().cloned());
        if !session.report.summary.is_empty() {
            attempt.summary.clone_from(&session.report.summary);
        }
        Ok(session)
    }

    /// Makes the candidate's commit and pins it; `None` when nothing changed.
    fn commit(
        &mut self,
        attempt: &mut Attempt,
        changes: &[Change],
    ) -> Result<Option<CommitId>, CampaignError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let repo = &self.workshop.repo;
        let champion = &self.progress.champion;
        let subject = if attempt.summary.is_empty() {
            "candidate"
        } else {
            &attempt.summary
        };
        let message = format!(
            "{subject}\n\nAutoclave-Run: {}\nAutoclave-Experiment: {}\n",
            self.run, attempt.number
        );
        let commit = repo.commit_candidate(champion, changes, &message, clock::now_seconds())?;
        let patch = repo.patch(champion, &commit)?;
        if patch.is_empty() {
            return Ok(None);
        }
        repo.pin(&self.run, attempt.number, &commit)?;
        folder::write(&attempt.folder.join("candidate.patch"), &patch)?;
        self.emitter.emit(EventKind::CandidateBuilt {
            experiment: attempt.number,
            commit: commit.clone(),
            paths: u32::try_from(changes.len()).unwrap_or(u32::MAX),
            dropped: attempt.dropped.clone(),
        });
        attempt.commit = Some(commit.clone());
        Ok(Some(commit))
    }

    /// Waits until the model's service may be asked again.
    async fn wait(&mut self, refusal: Refusal) -> Result<(), CampaignError> {
        let (void, reason) = match refusal {
            Refusal::Overloaded => (
                VoidReason::Overloaded,
                "the model's service is overloaded or out of reach",
            ),
            Refusal::UsageLimit { .. } => (VoidReason::UsageLimit, "the model's usage limit"),
        };
        let in_a_row = self.progress.voids_in_a_row(void);
        let until_ms = ask_again_at_ms(refusal, in_a_row, clock::now_ms());
        self.emitter.emit(EventKind::Waiting {
            reason: reason.into(),
            until_ms,
        });
        wait_until(until_ms, clock::now_ms, &self.cancel).await
    }
}

/// Says why there is no candidate, with what was dropped.
fn nothing_taken(dropped: &[Dropped]) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = dropped.iter().map(|one| one.path.to_string()).collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => "nothing mutable was changed".to_owned(),
        count if count > SHOWN => format!(
            "nothing mutable was changed; dropped: {shown} and {} more",
            count - SHOWN
        ),
        _ => format!("nothing mutable was changed; dropped: {shown}"),
    }
}

/// Lays the changes of a later session over those of an earlier one.
fn merge(earlier: Vec<Change>, later: Vec<Change>) -> Vec<Change> {
    let mut by_path: std::collections::BTreeMap<_, _> = earlier
        .into_iter()
        .map(|change| (change.path.clone(), change))
        .collect();
    by_path.extend(
        later
            .into_iter()
            .map(|change| (change.path.clone(), change)),
    );
    by_path.into_values().collect()
}
