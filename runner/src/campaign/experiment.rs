//! One experiment: brief, agent, candidate, guards, metric, verdict.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::CampaignError;
use super::clock;
use super::compare::Sides;
use super::folder;
use super::run::Campaign;
use super::session::{Session, SessionRequest, run_session};
use super::workshop::Side;
use crate::agent::AgentOutcome;
use crate::decide::brief::{BriefFacts, brief, rework_brief};
use crate::decide::judge::PairedRule;
use crate::decide::progress::Strategy;
use crate::decide::record::{ExperimentRecord, Record};
use crate::event::EventKind;
use crate::model::{
    Change, CommitId, DiscardReason, Dropped, ExperimentNumber, Metric, Usage, Verdict, VoidReason,
};
use crate::sandbox::{ChangeLimits, Snapshot};

/// The best kept commit so far, ready to be measured against.
#[derive(Debug, Clone)]
pub(super) struct Champion {
    pub side: Side,
    /// `side.measured` after `metric.build`.
    pub built: Snapshot,
}

/// What an experiment has come to so far.
struct Attempt {
    number: ExperimentNumber,
    folder: PathBuf,
    usage: Usage,
    denied: u32,
    summary: String,
    commit: Option<CommitId>,
    dropped: Vec<Dropped>,
}

/// The end of an attempt.
struct Ending {
    verdict: Verdict,
    value: Option<Metric>,
    gain: Option<f64>,
    pairs: u32,
    detail: String,
    /// The candidate as the next champion; only with [`Verdict::Keep`].
    champion: Option<Champion>,
    /// When the model's service may be asked again; milliseconds since 1970.
    wait_until_ms: Option<i64>,
    /// Why the run cannot go on after this experiment.
    fatal: Option<CampaignError>,
}

impl Ending {
    fn new(verdict: Verdict, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            verdict,
            value: None,
            gain: None,
            pairs: 0,
            detail,
            champion: None,
            wait_until_ms: None,
            fatal: None,
        }
    }

    fn discard(reason: DiscardReason, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Discard(reason), detail)
    }
}

/// What became of the guards.
enum Gated {
    Passed,
    Failed {
        guard: String,
        detail: String,
        output: String,
        rework: u32,
    },
}

impl Campaign<'_> {
    /// Runs one experiment to its verdict and writes it down.
    pub async fn run_experiment(
        &mut self,
        number: ExperimentNumber,
        strategy: Strategy,
    ) -> Result<(), CampaignError> {
        let started = Instant::now();
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
            usage: Usage::default(),
            denied: 0,
            summary: String::new(),
            commit: None,
            dropped: Vec::new(),
        };
        let ending = self.attempt(&mut attempt, strategy).await?;
        let seconds = started.elapsed().as_secs_f64();
        let Attempt {
            usage,
            denied,
            summary,
            commit,
            dropped,
            ..
        } = attempt;
        self.record(Record::ExperimentDecided(ExperimentRecord {
            n: number,
            verdict: ending.verdict,
            commit: commit.clone(),
            value: ending.value,
            gain: ending.gain,
            pairs: ending.pairs,
            usage,
            seconds,
            denied,
            dropped,
            summary: summary.clone(),
            detail: ending.detail.clone(),
        }))?;
        if let Some(champion) = ending.champion {
            self.champion = Some(champion);
        }
        self.announce(EventKind::Decided {
            experiment: number,
            verdict: ending.verdict,
            commit,
            value: ending.value,
            gain: ending.gain,
            pairs: ending.pairs,
            cost_usd: usage.cost_usd,
            seconds,
            summary,
            detail: ending.detail,
        })?;
        match ending.fatal {
            Some(error) => Err(error),
            None => self.wait(ending.wait_until_ms).await,
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
        let mut start = champion.side.agent.clone();
        let mut resume: Option<String> = None;
        let mut changes: Vec<Change> = Vec::new();
        let mut reworks = 0;
        loop {
            let session = self
                .session(attempt, &start, &text, resume.as_deref())
                .await?;
            if let Some(ending) = stopped_by(&session) {
                return Ok(ending);
            }
            let seen = session
                .finished
                .remains
                .changes(self.workshop.accept(), ChangeLimits::default())
                .await?;
            changes = merge(changes, seen.accepted);
            attempt.dropped.extend(seen.dropped);
            if let AgentOutcome::Failed { message } = &session.report.outcome {
                return Ok(Ending::discard(DiscardReason::AgentFailed, message.clone()));
            }
            let Some(commit) = self.commit(attempt, &changes)? else {
                return Ok(Ending::discard(
                    DiscardReason::NoChange,
                    "nothing mutable was changed",
                ));
            };
            let candidate = self.workshop.side_of(&self.base, &commit).await?;
            match self.guards(attempt.number, &candidate.measured).await? {
                Gated::Passed => return self.judge(attempt, &champion, candidate).await,
                Gated::Failed {
                    guard,
                    detail,
                    output,
                    rework,
                } => {
                    let name = format!("guard-{guard}-{reworks}.txt");
                    folder::write(&attempt.folder.join(name), output.as_bytes())?;
                    if reworks >= rework {
                        let detail = format!("guard `{guard}` {detail}");
                        return Ok(Ending::discard(DiscardReason::GuardFailed, detail));
                    }
                    reworks += 1;
                    self.emitter.emit(EventKind::Rework {
                        experiment: attempt.number,
                        guard: guard.clone(),
                        attempt: reworks,
                        of: rework,
                    });
                    text = rework_brief(&guard, &output, reworks);
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
            denied_hint: None,
            in_place: &self.workshop.plan.in_place,
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
            cancel: &self.cancel,
        };
        let session = run_session(&self.workshop, &self.gate, &mut self.emitter, request).await?;
        attempt.usage += session.usage;
        attempt.denied += session.report.denials;
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

    /// Runs the guards in the order written, up to the first that fails.
    async fn guards(
        &mut self,
        experiment: ExperimentNumber,
        measured: &Snapshot,
    ) -> Result<Gated, CampaignError> {
        let bases = &self
            .progress
            .baseline
            .as_ref()
            .expect("measured first")
            .guards;
        for guard in &self.workshop.marker.guards {
            let base = bases
                .iter()
                .find(|base| base.name == guard.name)
                .and_then(|base| base.value);
            self.emitter.emit(EventKind::GuardStarted {
                experiment: Some(experiment),
                guard: guard.name.clone(),
            });
            let result = self
                .workshop
                .run_guard(guard, base, measured, &self.cancel)
                .await?;
            self.emitter.emit(EventKind::GuardFinished {
                experiment: Some(experiment),
                guard: guard.name.clone(),
                passed: result.passed,
                value: result.value,
                detail: result.detail.clone(),
            });
            if !result.passed {
                return Ok(Gated::Failed {
                    guard: guard.name.clone(),
                    detail: result.detail,
                    output: result.output,
                    rework: guard.rework_attempts,
                });
            }
        }
        Ok(Gated::Passed)
    }

    async fn judge(
        &mut self,
        attempt: &Attempt,
        champion: &Champion,
        candidate: Side,
    ) -> Result<Ending, CampaignError> {
        let built = match self
            .workshop
            .build(&candidate.measured, &self.cancel)
            .await?
        {
            Ok(built) => built,
            Err(why) => return Ok(Ending::discard(DiscardReason::NoMetric, why)),
        };
        let noise = self
            .progress
            .baseline
            .as_ref()
            .expect("measured first")
            .noise;
        let sides = Sides {
            champion: &champion.built,
            candidate: &built,
        };
        let rule = PairedRule::new(&self.workshop.marker.metric, noise);
        let Self {
            workshop,
            emitter,
            cancel,
            ..
        } = self;
        let compared = workshop
            .compare(sides, rule, attempt.number, emitter, cancel)
            .await?;
        write_metric(&attempt.folder, &compared.output)?;
        let keep = compared.verdict == Verdict::Keep;
        Ok(Ending {
            verdict: compared.verdict,
            value: compared.value,
            gain: compared.gain,
            pairs: compared.pairs,
            detail: compared.detail,
            champion: keep.then_some(Champion {
                side: candidate,
                built,
            }),
            wait_until_ms: None,
            fatal: None,
        })
    }

    fn champion_value(&self) -> Metric {
        self.progress
            .champion_value
            .expect("the baseline is measured before any experiment")
    }

    /// Waits until the model's service may be asked again.
    async fn wait(&mut self, until_ms: Option<i64>) -> Result<(), CampaignError> {
        let Some(until_ms) = until_ms else {
            return Ok(());
        };
        self.emitter.emit(EventKind::Waiting {
            reason: "the model's service asks for it".into(),
            until_ms,
        });
        let rest = u64::try_from(until_ms - clock::now_ms()).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(rest)) => Ok(()),
            () = self.cancel.cancelled() => Err(CampaignError::Interrupted),
        }
    }
}

fn write_metric(folder: &Path, output: &str) -> Result<(), CampaignError> {
    folder::write(&folder.join("metric.txt"), output.as_bytes())
}

/// Returns the ending of an experiment whose session was stopped from outside, if it was.
fn stopped_by(session: &Session) -> Option<Ending> {
    const ONE_MINUTE_MS: i64 = 60 * 1000;
    const FIVE_MINUTES_MS: i64 = 5 * ONE_MINUTE_MS;
    match &session.report.outcome {
        AgentOutcome::Finished | AgentOutcome::Failed { .. } => None,
        AgentOutcome::UsageLimit { reset_ms } => {
            let until = reset_ms.unwrap_or_else(|| clock::now_ms() + FIVE_MINUTES_MS);
            let mut ending = Ending::new(
                Verdict::Void(VoidReason::UsageLimit),
                "the model's usage limit",
            );
            ending.wait_until_ms = Some(until);
            Some(ending)
        }
        AgentOutcome::Unauthorized { message } => {
            let mut ending =
                Ending::new(Verdict::Void(VoidReason::Infrastructure), message.clone());
            ending.fatal = Some(CampaignError::Unauthorized(message.clone()));
            Some(ending)
        }
        AgentOutcome::Overloaded { message } => {
            let mut ending =
                Ending::new(Verdict::Void(VoidReason::Infrastructure), message.clone());
            ending.wait_until_ms = Some(clock::now_ms() + ONE_MINUTE_MS);
            Some(ending)
        }
        AgentOutcome::TimedOut => Some(Ending::discard(
            DiscardReason::TimedOut,
            "the agent used up its time",
        )),
        AgentOutcome::BudgetExceeded => Some(Ending::new(
            Verdict::Void(VoidReason::Cancelled),
            "the money of the run is spent",
        )),
        AgentOutcome::Cancelled => Some(Ending::new(
            Verdict::Void(VoidReason::Cancelled),
            "cancelled",
        )),
        AgentOutcome::NotStarted { errno } => Some(Ending::new(
            Verdict::Void(VoidReason::Infrastructure),
            format!(
                "the agent could not be started: {}",
                std::io::Error::from_raw_os_error(*errno)
            ),
        )),
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
