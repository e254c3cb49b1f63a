//! A whole run: opens or resumes it, and does what the ledger says is next.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::clock;
use super::emitter::Emitter;
use super::experiment::Champion;
use super::folder::{RunFolder, list_runs, remove_stillborn};
use super::gate::{Gate, GateFiles, ModelService};
use super::measure::Reading;
use super::resume::{Start, choose, fold, lock_marker};
use super::workshop::{Base, HostFacts, Workshop};
use crate::decide::progress::{Baseline, Budget, NextStep, Progress};
use crate::decide::record::{GuardBase, Record, VERSION};
use crate::decide::{ideas, noise};
use crate::event::{EventKind, Reporter};
use crate::ledger::{self, Ledger};
use crate::marker::Marker;
use crate::model::{Cost, FinishReason, RunId};
use crate::repo::Repo;
use crate::sandbox::Snapshot;

/// What a run is asked to do.
#[derive(Debug)]
pub struct RunRequest {
    pub marker: Marker,
    /// Experiments at most, instead of the marker's own number.
    pub experiments: Option<u32>,
    /// The commit to start from; `None` is HEAD. Of no effect when a run is resumed.
    pub base: Option<String>,
    /// Starts afresh even where an unfinished run of the marker could go on.
    pub fresh: bool,
    /// `None` only for agents that speak no protocol.
    pub service: Option<ModelService>,
    /// What to tell the user about the configuration.
    pub warnings: Vec<String>,
    pub host: HostFacts,
    pub cancel: CancellationToken,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunOutcome {
    pub run: RunId,
    pub reason: FinishReason,
    pub kept: u32,
    pub progress: Progress,
}

/// A run in progress: everything the loop acts with.
pub(super) struct Campaign<'r> {
    pub workshop: Workshop,
    pub gate: Gate,
    pub emitter: Emitter<'r>,
    pub folder: RunFolder,
    pub cancel: CancellationToken,
    pub run: RunId,
    pub progress: Progress,
    pub base: Base,
    /// Made when first needed; replaced by each keep.
    pub champion: Option<Champion>,
    max_experiments: u32,
    ledger: Ledger,
}

/// Runs a marker's loop until nothing is left to do.
///
/// # Errors
///
/// Those of [`CampaignError`]. A run that stops with an error can be resumed.
pub async fn run(
    repo: Repo,
    request: RunRequest,
    reporter: &mut dyn Reporter,
) -> Result<RunOutcome, CampaignError> {
    let cancel = request.cancel.clone();
    let ended = open_and_go(repo, request, reporter).await;
    ended.map_err(|error| error.unless_cancelled(&cancel))
}

async fn open_and_go(
    repo: Repo,
    request: RunRequest,
    reporter: &mut dyn Reporter,
) -> Result<RunOutcome, CampaignError> {
    let runs_dir = repo.runs_dir();
    repo.ignore_runs()?;
    let lock = lock_marker(&runs_dir, &request.marker.name)?;
    remove_stillborn(&runs_dir, &request.marker.name)?;
    let start = if request.fresh {
        Start::Afresh { left: None }
    } else {
        choose(&runs_dir, &request.marker)?
    };
    let asked = request.base.as_deref();
    let (run, base) = match &start {
        Start::Resume { run, base } | Start::Reopen { run, base } => (run.clone(), base.clone()),
        Start::Afresh { .. } => {
            let run = new_id(&runs_dir, &request.marker.name).await?;
            (run, repo.resolve(asked)?)
        }
    };
    let mut warnings = Vec::new();
    if let Start::Afresh { left: Some(left) } = &start {
        warnings.push(format!(
            "run {left} was not finished and stays as it is: the marker has changed since"
        ));
    }
    if asked.is_some() && repo.resolve(asked)? != base {
        warnings.push(format!(
            "the unfinished run goes on from its own base {}; --new starts afresh from another",
            base.short()
        ));
    }
    // Everything that can refuse does so before the run's folder exists.
    let workshop = Workshop::open(repo, request.marker, base, &request.host).await?;
    workshop.check_target()?;
    if let Some(service) = &request.service {
        let views = workshop.plan.views.iter().map(|view| view.source.as_path());
        service.refuse_visible(views.chain([workshop.repo.work_dir()]))?;
    }
    let folder = RunFolder::new(&runs_dir, &run);
    let marker = &workshop.marker;
    let max_experiments = request.experiments.unwrap_or(marker.limits.max_experiments);
    folder.create()?;
    let found = match &start {
        Start::Afresh { .. } => Err(lock),
        Start::Resume { .. } | Start::Reopen { .. } => Ok(Ledger::open(&folder.ledger(), lock)?),
    };
    let spent = match &found {
        Ok(opened) => fold(&run, &opened.records)?.spent,
        Err(_) => Cost::ZERO,
    };
    let files = GateFiles {
        folder: workshop.berth.folder().join("gateway"),
        audit: folder.audit(),
    };
    let money_left = marker.limits.max_cost_usd.map(|most| most.minus(spent));
    let gate = Gate::open(
        &marker.agent,
        workshop.is_container(),
        request.service,
        money_left,
        &request.host,
        files,
    )
    .await?;
    let is_found = found.is_ok();
    let (ledger, records) = match found {
        Ok(opened) => {
            if opened.torn_bytes > 0 {
                warnings.push(format!(
                    "the ledger ended in {} bytes of an unfinished line, which are dropped",
                    opened.torn_bytes
                ));
            }
            (opened.ledger, opened.records)
        }
        Err(lock) => {
            // JSON is YAML; with every default written out, it is what the run goes by.
            folder.write("marker.yaml", &pretty(marker))?;
            folder.write("plan.json", &pretty(&workshop.plan))?;
            let opening = Record::RunOpened {
                v: VERSION,
                run: run.clone(),
                marker: marker.name.clone(),
                marker_digest: marker.digest(),
                base: workshop.base.clone(),
                direction: marker.metric.direction,
                seed: clock::seed(),
            };
            let ledger = Ledger::create(&folder.ledger(), lock, &opening)?;
            (ledger, vec![opening])
        }
    };
    let progress = fold(&run, &records)?;
    let mut emitter = Emitter::append(&folder.events(), reporter)?;
    let enforcement = workshop.sandbox.enforcement();
    emitter.emit(EventKind::RunStarted {
        run: run.clone(),
        marker: marker.name.clone(),
        base: workshop.base.clone(),
        backend: enforcement.backend,
        level: enforcement.level,
        resumed: is_found,
    });
    let warnings = request.warnings.into_iter().chain(warnings);
    for warning in warnings.chain(workshop.warnings()) {
        emitter.warn(warning);
    }
    emitter.catch_up(&progress);
    let base = workshop.base().await?;
    let base = workshop
        .prepare(base, &mut emitter, &request.cancel)
        .await?;
    let mut campaign = Campaign {
        workshop,
        gate,
        emitter,
        folder,
        cancel: request.cancel,
        run,
        progress,
        base,
        champion: None,
        max_experiments,
        ledger,
    };
    campaign.repair()?;
    if matches!(start, Start::Reopen { .. }) {
        campaign.record(Record::RunReopened)?;
    }
    let ended = campaign.go().await;
    let Campaign {
        gate,
        progress,
        run,
        workshop,
        base,
        champion,
        ..
    } = campaign;
    gate.close().await;
    drop((base, champion));
    workshop.sandbox.close().await;
    let reason = ended?;
    let kept = progress.kept();
    Ok(RunOutcome {
        run,
        reason,
        kept,
        progress,
    })
}

/// Returns an id that sorts after those of the marker's earlier runs: the newest is found by name.
async fn new_id(runs_dir: &Path, marker: &str) -> Result<RunId, CampaignError> {
    let runs = list_runs(runs_dir)?;
    let newest = runs.iter().find(|run| run.marker() == Some(marker));
    let salt = (clock::dice() & 0xffff) as u16;
    let mut run = RunId::new(marker, &clock::stamp(), salt);
    // Only another run of the same second can be in the way, or a clock that was set back.
    for _ in 0..12 {
        if newest.is_none_or(|newest| *newest < run) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        run = RunId::new(marker, &clock::stamp(), salt);
    }
    Ok(run)
}

fn pretty(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("markers and plans are plain data")
}

impl Campaign<'_> {
    /// Writes one line of the ledger: this is the decision, everything else follows from it.
    pub fn record(&mut self, record: Record) -> Result<(), CampaignError> {
        self.ledger.append(&record)?;
        tracing::debug!(?record, "recorded");
        let next = self.progress.clone().then(record);
        self.progress = next.map_err(|why| CampaignError::BrokenRun {
            run: self.run.to_string(),
            problem: why.to_owned(),
        })?;
        self.folder.write(
            "results.tsv",
            ledger::results_tsv(&self.progress).as_bytes(),
        )?;
        self.folder.write(
            "ideas.md",
            ideas::ideas(&self.progress.experiments).as_bytes(),
        )
    }

    /// Moves the champion's branch to where the ledger says it is.
    pub fn repair(&mut self) -> Result<(), CampaignError> {
        if self.progress.champion != self.progress.base {
            let marker = &self.workshop.marker.name;
            self.workshop
                .repo
                .move_champion(marker, &self.progress.champion)?;
        }
        Ok(())
    }

    async fn go(&mut self) -> Result<FinishReason, CampaignError> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(CampaignError::Interrupted);
            }
            let step = self.progress.next_step(&self.budget());
            tracing::info!(?step, "next");
            match step {
                NextStep::MeasureBaseline => self.measure_baseline().await?,
                NextStep::RunExperiment { number, strategy } => {
                    self.run_experiment(number, strategy).await?;
                }
                NextStep::Finish(reason) => {
                    if self.progress.closed.is_none() {
                        self.record(Record::RunClosed { reason })?;
                    }
                    self.emitter.emit(EventKind::RunFinished {
                        run: self.run.clone(),
                        reason,
                        kept: self.progress.kept(),
                        experiments: self.progress.counted(),
                        champion: self.progress.champion.clone(),
                        champion_value: self
                            .progress
                            .champion_value
                            .expect("measured before it finished"),
                    });
                    return Ok(reason);
                }
            }
        }
    }

    pub fn budget(&self) -> Budget {
        let Marker { limits, metric, .. } = &self.workshop.marker;
        Budget {
            max_experiments: self.max_experiments,
            max_cost: limits.max_cost_usd,
            target: metric.target,
            direction: metric.direction,
            stop_after_no_gain: limits.stop_after_no_gain,
            refine_after: limits.refine_after,
            pivot_after: limits.pivot_after,
            pivots_before_outside: limits.pivots_before_outside,
            pivots_before_stop: limits.pivots_before_stop,
        }
    }

    /// Runs the guards on the base commit, then reads its metric until the noise is known.
    async fn measure_baseline(&mut self) -> Result<(), CampaignError> {
        let Self {
            workshop,
            emitter,
            base,
            cancel,
            ..
        } = self;
        let (record, built) = workshop.baseline(&base.measured, emitter, cancel).await?;
        self.champion = Some(Champion {
            commit: self.workshop.base.clone(),
            agent: self.base.agent.clone(),
            built,
        });
        self.record(Record::BaselineMeasured {
            value: record.value,
            noise: record.noise,
            readings: record.readings,
            guards: record.guards,
        })
    }

    /// Returns the champion ready to be measured, making it on first use.
    pub async fn ready_champion(&mut self) -> Result<(), CampaignError> {
        let commit = &self.progress.champion;
        if self.champion.as_ref().is_some_and(|c| c.commit == *commit) {
            return Ok(());
        }
        let measured = self.workshop.measured(&self.base, commit).await?;
        let built = self
            .workshop
            .build(&measured, &self.cancel)
            .await?
            .map_err(CampaignError::BaselineNotGreen)?;
        self.crown(built).await
    }

    /// Makes the ledger's champion the one that experiments start from; `built` is its.
    pub async fn crown(&mut self, built: Snapshot) -> Result<(), CampaignError> {
        let commit = self.progress.champion.clone();
        let agent = self.workshop.agents(&mut self.base, &commit).await?;
        self.champion = Some(Champion {
            commit,
            agent,
            built,
        });
        Ok(())
    }
}

impl Workshop {
    /// Runs `prepare` on the base snapshots; its result is what everything starts from.
    pub(super) async fn prepare(
        &self,
        mut base: Base,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Base, CampaignError> {
        let Some(step) = &self.marker.prepare else {
            return Ok(base);
        };
        emitter.emit(EventKind::Preparing {
            command: step.command.clone(),
        });
        let mut output = super::capture::Capture::new(64 << 10);
        let execution = crate::sandbox::Execution {
            snapshot: &base.agent,
            plan: &self.plan,
            argv: ["sh", "-c", &step.command].map(Into::into).to_vec(),
            env: std::collections::BTreeMap::new(),
            stdin: Vec::new(),
            network: crate::sandbox::Network::Host,
            views: Vec::new(),
            timeout: step.timeout,
            cancel: cancel.clone(),
        };
        let finished = self.execute(execution, &mut output).await?;
        if !finished.exit.is_success() {
            let how = super::measure::describe(finished.exit, step.timeout);
            return Err(CampaignError::Prepare(format!(
                "it {how}\n{}",
                output.for_people(8 << 10)
            )));
        }
        emitter.emit(EventKind::Prepared {
            seconds: finished.wall.as_secs_f64(),
        });
        base.agent = finished.remains.into_snapshot().await?;
        base.measured = self.with_hidden(&base.agent).await?;
        Ok(base)
    }

    /// Measures the base commit: guards green, then 3 to 8 readings of the metric.
    ///
    /// # Errors
    ///
    /// [`CampaignError::BaselineNotGreen`] when a guard fails or the metric gives no number.
    pub(super) async fn baseline(
        &self,
        measured: &Snapshot,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Baseline, Snapshot), CampaignError> {
        let mut guards = Vec::new();
        for guard in &self.marker.guards {
            emitter.emit(EventKind::GuardStarted {
                experiment: None,
                guard: guard.name.clone(),
            });
            let result = self.run_guard(guard, None, measured, cancel).await?;
            emitter.emit(EventKind::GuardFinished {
                experiment: None,
                guard: guard.name.clone(),
                passed: result.passed,
                value: result.value,
                detail: result.detail.clone(),
            });
            if !result.passed {
                return Err(CampaignError::BaselineNotGreen(format!(
                    "guard `{}` {}\n{}",
                    guard.name, result.detail, result.output
                )));
            }
            guards.push(GuardBase {
                name: guard.name.clone(),
                value: result.value,
            });
        }
        let built = self
            .build(measured, cancel)
            .await?
            .map_err(CampaignError::BaselineNotGreen)?;
        let mut note = |value, reading: &Reading| {
            emitter.emit(EventKind::BaselineReading {
                value,
                seconds: reading.wall.as_secs_f64(),
            });
        };
        let readings = self
            .base_readings(&built, &mut note, cancel)
            .await?
            .map_err(|(why, reading)| {
                CampaignError::BaselineNotGreen(format!("no metric: {why}\n{}", reading.output))
            })?;
        let noise = noise::noise(&readings);
        let value = noise::median_reading(&readings);
        let count = u32::try_from(readings.len()).expect("at most 8");
        emitter.emit(EventKind::BaselineMeasured {
            value,
            noise,
            readings: count,
        });
        if let Some(claimed) = self.marker.metric.baseline
            && (claimed.get() - value.get()).abs() > 0.1 * value.get().abs()
        {
            emitter.warn(format!(
                "`metric.baseline` says {claimed}, measured was {value}"
            ));
        }
        Ok((
            Baseline {
                value,
                noise,
                readings,
                guards,
            },
            built,
        ))
    }
}
