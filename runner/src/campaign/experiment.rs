//! One experiment: brief, agent, candidate, guards, metric, verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::CampaignError;
use super::bench::Role;
use super::clock;
use super::compare::{Contest, Pair, purpose};
use super::doubt::Doubted;
use super::emitter::decided;
use super::error::chain;
use super::folder;
use super::golden::{Difference, GOLDEN};
use super::liveness::{Life, Passed};
use super::run::Campaign;
use super::session::{Session, SessionRequest, run_session};
use super::wait::wait_until;
use crate::agent::AgentOutcome;
use crate::decide::bound::{Held, judge_lines};
use crate::decide::brief::{BriefFacts, brief, hidden_rework_brief, rework_brief};
use crate::decide::dice::Dice;
use crate::decide::judge::PairedRule;
use crate::decide::lines::Lines;
use crate::decide::patience::{Refusal, ask_again_at_ms};
use crate::decide::plausible::Doubt;
use crate::decide::progress::Strategy;
use crate::decide::record::{ExperimentRecord, Record};
use crate::event::{Clocks, EventKind, PairClocks};
use crate::gateway::Gateway;
use crate::model::{
    Change, CommitId, DiscardReason, Dropped, ExperimentNumber, FinishReason, Metric, Usage,
    Verdict, VoidReason,
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
const HIDDEN_FAILED: &str = "a hidden guard failed";

/// What an experiment has come to so far.
struct Attempt {
    number: ExperimentNumber,
    folder: PathBuf,
    usage: Usage,
    denied: u32,
    denials: Vec<String>,
    summary: String,
    commit: Option<CommitId>,
    dropped: Vec<Dropped>,
    /// What guards remarked about the newest candidate.
    remarks: Vec<String>,
    /// What its guards and its measurements printed of what is tracked.
    guard_lines: Lines,
    metric_lines: Lines,
}

/// The end of an attempt.
struct Ending {
    verdict: Verdict,
    value: Option<Metric>,
    gain: Option<f64>,
    pairs: u32,
    spread: Option<f64>,
    measuring_seconds: f64,
    detail: String,
    /// The candidate, built; only with [`Verdict::Keep`].
    kept: Option<Snapshot>,
    /// Why the next experiment has to wait.
    refusal: Option<Refusal>,
    /// The run ends with this experiment.
    finish: Option<FinishReason>,
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
            spread: None,
            measuring_seconds: 0.0,
            detail,
            kept: None,
            refusal: None,
            finish: None,
            fatal: None,
        }
    }

    fn void(reason: VoidReason, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Void(reason), detail)
    }

    /// Ends the experiment and, with `error`, the run.
    fn fatal(reason: VoidReason, error: CampaignError) -> Self {
        Self {
            fatal: Some(error),
            ..Self::void(reason, "")
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
        /// The agent may not know which, nor what it printed.
        is_hidden: bool,
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
            usage: Usage::default(),
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
            cancel: &self.cancel,
        };
        let mark = self.gate.gateway().map(Gateway::mark).unwrap_or_default();
        let session = run_session(&self.workshop, &self.gate, &mut self.emitter, request).await;
        if let (Err(_), Some(gateway)) = (&session, self.gate.gateway()) {
            attempt.usage += gateway.usage_since(mark);
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

    /// Runs the guards in the order written, up to the first that fails.
    async fn guards(
        &mut self,
        attempt: &mut Attempt,
        measured: &Snapshot,
    ) -> Result<Gated, CampaignError> {
        attempt.remarks.clear();
        attempt.guard_lines = Lines::default();
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        for guard in &self.workshop.marker.guards {
            let base = baseline.guard(&guard.name);
            self.emitter.emit(EventKind::GuardStarted {
                experiment: Some(attempt.number),
                guard: guard.name.clone(),
            });
            let result = self
                .workshop
                .run_guard(guard, base, measured, &self.cancel)
                .await?;
            self.emitter.emit(EventKind::GuardFinished {
                experiment: Some(attempt.number),
                guard: guard.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: result.tests,
            });
            attempt.guard_lines.add(result.lines);
            match result.held {
                Held::Kept => {}
                Held::Tolerated { remark } => {
                    attempt
                        .remarks
                        .push(format!("guard `{}`: {remark}", guard.name));
                }
                Held::Broken { why } => {
                    return Ok(Gated::Failed {
                        guard: guard.name.clone(),
                        is_hidden: guard.hidden,
                        detail: why,
                        output: result.output,
                        rework: guard.rework_attempts,
                    });
                }
            }
        }
        Ok(Gated::Passed)
    }

    async fn judge(
        &mut self,
        attempt: &mut Attempt,
        champion: &Champion,
        candidate: Snapshot,
    ) -> Result<Ending, CampaignError> {
        let built = match self.workshop.build(&candidate, &self.cancel).await? {
            Ok(built) => built,
            Err(why) => return Ok(Ending::discard(DiscardReason::NoMetric, why)),
        };
        let noise = self.progress.noise().expect("measured first");
        let contest = Contest {
            champion: &champion.built,
            candidate: &built,
            rule: PairedRule::new(&self.workshop.marker.metric, noise),
            expected: self.champion_value(),
            base: &self.base.measured,
            dice: self.dice(attempt.number),
        };
        let Self {
            workshop,
            emitter,
            cancel,
            ..
        } = self;
        let mut pairs = String::from(PAIRS_HEADER);
        let mut note = |pair: Pair| {
            pairs.push_str(&row(&pair));
            emitter.emit(pair.measured(attempt.number));
        };
        let compared = workshop.compare(contest, &mut note, cancel).await?;
        if let Some(clocks) = compared.broken_off {
            pairs.push_str(&broken_off(compared.pairs + 1, &clocks));
        }
        folder::write(&attempt.folder.join("pairs.tsv"), pairs.as_bytes())?;
        write_metric(&attempt.folder, &compared.output)?;
        attempt.metric_lines = compared.lines;
        let (mut verdict, mut detail) = (compared.verdict, compared.detail);
        if verdict == Verdict::Keep
            && let Err(why) = self.line_guards(attempt)
        {
            (verdict, detail) = (Verdict::Discard(DiscardReason::GuardFailed), why);
        }
        let gain = compared.gain.unwrap_or_default();
        if verdict == Verdict::Keep
            && let Some(doubt) = Doubt::of(self.workshop.stopwatch(), &compared.accounts, gain)
        {
            let told;
            (verdict, told) = self.doubt(attempt, doubt, champion, &candidate).await?;
            detail = match verdict {
                Verdict::Keep => format!("{told}; {detail}"),
                Verdict::Discard(_) | Verdict::Void(_) => told,
            };
        }
        // Last, since it takes the guard several times.
        if verdict == Verdict::Keep
            && let Some(why) = self.blind_guard(attempt, &candidate).await?
        {
            (verdict, detail) = (Verdict::Discard(DiscardReason::GuardFailed), why);
        }
        let keep = verdict == Verdict::Keep;
        Ok(Ending {
            verdict,
            value: compared.value,
            gain: compared.gain,
            pairs: compared.pairs,
            spread: compared.spread,
            measuring_seconds: compared.seconds,
            detail,
            kept: keep.then_some(built),
            refusal: None,
            finish: None,
            fatal: None,
        })
    }

    /// Measures once more what is hard to believe, and tells what that says.
    async fn doubt(
        &mut self,
        attempt: &Attempt,
        doubt: Doubt,
        champion: &Champion,
        candidate: &Snapshot,
    ) -> Result<(Verdict, String), CampaignError> {
        self.emitter.warn(format!(
            "experiment {} is measured again, since it is hard to believe: {doubt}",
            attempt.number
        ));
        let commit = &champion.commit;
        let champion = self.workshop.measured(&self.base, commit).await?;
        let doubted = Doubted {
            doubt,
            champion: &champion,
            candidate,
            base: &self.base.measured,
            dice: self.dice(attempt.number),
        };
        self.workshop.measure_again(doubted, &self.cancel).await
    }

    /// Returns which guard with `liveness` does not notice faults in the candidate, if one does
    /// not.
    async fn blind_guard(
        &mut self,
        attempt: &mut Attempt,
        candidate: &Snapshot,
    ) -> Result<Option<String>, CampaignError> {
        let commit = attempt.commit.as_ref().expect("it was measured");
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        let mut dice = self.dice(attempt.number).apart(purpose::FAULTS);
        let guards = self.workshop.marker.guards.iter();
        for guard in guards.filter(|guard| guard.liveness) {
            let passed = Passed {
                commit,
                measured: candidate,
                base: baseline.guard(&guard.name).expect("measured first"),
            };
            let seed = u64::from(dice.number());
            let life = self.workshop.liveness(guard, passed, seed, &self.cancel);
            let why = match life.await? {
                Life::Alive { .. } => continue,
                Life::Blind { faults } => format!("no longer notices planted faults: {faults}"),
                Life::NoPlace => "no longer notices planted faults: there is no code left that \
                                  one could be planted in"
                    .to_owned(),
            };
            let why = format!("guard `{}` {why}", guard.name);
            if guard.hidden {
                attempt.remarks.push(format!("hidden {why}"));
                return Ok(Some(HIDDEN_FAILED.to_owned()));
            }
            return Ok(Some(why));
        }
        Ok(None)
    }

    /// Returns what else than the base's the candidate prints on `golden` inputs, if it does.
    async fn golden(
        &mut self,
        attempt: &mut Attempt,
        candidate: &Snapshot,
    ) -> Result<Option<String>, CampaignError> {
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        if self.workshop.marker.golden.is_none() {
            return Ok(None);
        }
        self.emitter.emit(EventKind::GuardStarted {
            experiment: Some(attempt.number),
            guard: GOLDEN.to_owned(),
        });
        let sides = (&self.base.measured, candidate);
        let difference = self
            .workshop
            .golden_difference(sides, &baseline.golden, &self.cancel)
            .await?;
        let told = difference.as_ref().map(Difference::told);
        self.emitter.emit(EventKind::GuardFinished {
            experiment: Some(attempt.number),
            guard: GOLDEN.to_owned(),
            passed: told.is_none(),
            value: None,
            detail: told.clone().unwrap_or_else(|| "passed".to_owned()),
            tests: Vec::new(),
        });
        let (Some(told), Some(difference)) = (told, difference) else {
            return Ok(None);
        };
        if difference.is_hidden {
            // The detail goes into later briefs, the remark does not.
            attempt.remarks.push(told);
            let detail = format!("{GOLDEN}: the output for a hidden input differs");
            return Ok(Some(detail));
        }
        Ok(Some(told))
    }

    /// Returns what all random choices of an experiment are drawn from.
    fn dice(&self, number: ExperimentNumber) -> Dice {
        Dice::of_experiment(self.progress.seed, number.get())
    }

    /// Holds what a candidate's measurements printed against the guards on it.
    ///
    /// # Errors
    ///
    /// Why the first of them failed, for people and later briefs.
    fn line_guards(&mut self, attempt: &mut Attempt) -> Result<(), String> {
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        let guards = &self.workshop.marker.line_guards;
        for result in judge_lines(guards, &baseline.guards, &attempt.metric_lines) {
            self.emitter.emit(EventKind::GuardFinished {
                experiment: Some(attempt.number),
                guard: result.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: Vec::new(),
            });
            match result.held {
                Held::Kept => {}
                Held::Tolerated { remark } => {
                    let remark = format!("guard `{}`: {remark}", result.name);
                    attempt.remarks.push(remark);
                }
                Held::Broken { why } => return Err(format!("guard `{}` {why}", result.name)),
            }
        }
        Ok(())
    }

    fn champion_value(&self) -> Metric {
        self.progress
            .champion_value
            .expect("the baseline is measured before any experiment")
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

    /// Returns the ending of an experiment whose session was stopped from outside, if it was.
    fn stopped_by(&self, session: &Session) -> Option<Ending> {
        match &session.report.outcome {
            AgentOutcome::Finished | AgentOutcome::Failed { .. } => None,
            AgentOutcome::UsageLimit { reset_ms } => Some(Ending {
                refusal: Some(Refusal::UsageLimit {
                    reset_ms: *reset_ms,
                }),
                ..Ending::void(VoidReason::UsageLimit, "the model's usage limit")
            }),
            AgentOutcome::Overloaded { message } => Some(Ending {
                refusal: Some(Refusal::Overloaded),
                ..Ending::void(VoidReason::Overloaded, message.clone())
            }),
            AgentOutcome::Unauthorized { message } => Some(Ending {
                detail: message.clone(),
                ..Ending::fatal(
                    VoidReason::Infrastructure,
                    CampaignError::Unauthorized(message.clone()),
                )
            }),
            AgentOutcome::TimedOut => Some(Ending::discard(
                DiscardReason::TimedOut,
                "the agent used up its time",
            )),
            AgentOutcome::BudgetExceeded => Some(Ending {
                finish: Some(FinishReason::MaxCost),
                ..Ending::void(VoidReason::Cancelled, "the money of the run is spent")
            }),
            AgentOutcome::Cancelled => Some(Ending::void(VoidReason::Cancelled, "cancelled")),
            AgentOutcome::NotStarted { errno } => {
                let cause = std::io::Error::from_raw_os_error(*errno);
                let command = self.workshop.marker.agent.command.join(" ");
                Some(Ending {
                    detail: format!("the agent could not be started: {cause}"),
                    ..Ending::fatal(
                        VoidReason::Infrastructure,
                        CampaignError::AgentNotStarted { command, cause },
                    )
                })
            }
        }
    }
}

const PAIRS_HEADER: &str = "pair\tfirst\tchampion\tcandidate\tgain\tevidence\tthreshold\tagainst\tagainst_threshold\tseconds\t\
    champion_wall\tchampion_cpu\tchampion_exit\tcandidate_wall\tcandidate_cpu\tcandidate_exit\n";

/// Returns a pair as a line of `pairs.tsv`.
fn row(pair: &Pair) -> String {
    let first = if pair.candidate_first {
        "candidate"
    } else {
        "champion"
    };
    let ((evidence, threshold), (against, against_threshold)) = (pair.evidence, pair.against);
    format!(
        "{}\t{first}\t{}\t{}\t{:.6}\t{evidence:.4}\t{threshold:.4}\t{against:.4}\t\
         {against_threshold:.4}\t{:.3}\t{}\n",
        pair.number,
        pair.champion,
        pair.candidate,
        pair.gain,
        pair.seconds,
        clocks(&pair.clocks)
    )
}

/// Returns a pair without two numbers as a line of `pairs.tsv`.
fn broken_off(number: u32, seen: &PairClocks) -> String {
    format!("{number}{}\t{}\n", "\t".repeat(9), clocks(seen))
}

fn clocks(pair: &PairClocks) -> String {
    let told = |clocks: &Clocks| {
        let cpu = clocks.cpu_seconds.map(|cpu| format!("{cpu:.6}"));
        let exit = clocks.exit_code.map(|code| code.to_string());
        format!(
            "{:.6}\t{}\t{}",
            clocks.wall_seconds,
            cpu.unwrap_or_default(),
            exit.unwrap_or_default()
        )
    };
    format!("{}\t{}", told(&pair.champion), told(&pair.candidate))
}

fn write_metric(folder: &Path, output: &str) -> Result<(), CampaignError> {
    folder::write(&folder.join("metric.txt"), output.as_bytes())
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
