//! A whole run: opens or resumes it, and does what the ledger says is next.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::Role;
use super::clock;
use super::emitter::Emitter;
use super::error::chain;
use super::experiment::Champion;
use super::folder::{RunFolder, list_runs, remove_stillborn};
use super::gate::{Gate, GateFiles, ModelService};
use super::resume::{Start, choose, fold, lock_marker};
use super::spending::lost;
use super::wait::wait_until;
use super::workshop::{Base, HostFacts, Workshop};
use crate::decide::ideas;
use crate::decide::patience::try_again_at_ms;
use crate::decide::progress::{Budget, NextStep, Progress};
use crate::decide::record::{Record, VERSION};
use crate::event::{EventKind, MeasuredIn, Reporter};
use crate::ledger::{self, Ledger};
use crate::marker::{Marker, RulePlaces};
use crate::model::{Cost, FinishReason, RunId, Usage};
use crate::repo::Repo;
use crate::sandbox::{Enforcement, SandboxError, Snapshot};

/// What a run is asked to do.
#[derive(Debug)]
pub struct RunRequest {
    pub marker: Marker,
    /// Where the marker's rules are written.
    pub places: RulePlaces,
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
    pub places: RulePlaces,
    pub base: Base,
    /// Made when first needed; replaced by each keep.
    pub champion: Option<Champion>,
    max_experiments: u32,
    ledger: Ledger,
    /// What killed sessions cost, until an experiment takes it on.
    pub lost: Usage,
    /// Of the engine, without a step that was done in between.
    faults: u32,
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
    let ended = Box::pin(open_and_go(repo, request, reporter)).await;
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
    let mut start = if request.fresh {
        Start::Afresh { left: None }
    } else {
        choose(&runs_dir, &request.marker)?
    };
    let asked = request.base.as_deref();
    let base = match start.unfinished() {
        Some(unfinished) => unfinished.base.clone(),
        None => repo.resolve(asked)?,
    };
    let mut warnings = Vec::new();
    if let Start::Afresh { left: Some(left) } = &start {
        warnings.push(format!(
            "run {left} was not finished and stays as it is: the marker has changed since"
        ));
    }
    // Everything that can refuse does so before the run's folder exists.
    let mut workshop = Workshop::open(repo, request.marker, base, &request.host).await?;
    if let Some(unfinished) = start.unfinished()
        && let Some(why) = unfinished.is_elsewhere(workshop.image())
    {
        let left = &unfinished.run;
        warnings.push(format!(
            "run {left} was not finished and stays as it is: {why}"
        ));
        start = Start::Afresh { left: None };
        workshop.close().await;
        let Workshop { repo, marker, .. } = workshop;
        let base = repo.resolve(asked)?;
        workshop = Workshop::open(repo, marker, base, &request.host).await?;
    }
    let run = match start.unfinished() {
        Some(unfinished) => unfinished.run.clone(),
        None => new_id(&runs_dir, &workshop.marker.name)?,
    };
    if asked.is_some() && workshop.repo.resolve(asked)? != workshop.base {
        warnings.push(format!(
            "the unfinished run goes on from its own base {}; --new starts afresh from another",
            workshop.base.short()
        ));
    }
    workshop.check_target()?;
    if let Some(service) = &request.service {
        service.refuse_visible(workshop.shown())?;
    }
    let folder = RunFolder::new(&runs_dir, &run);
    let marker = &workshop.marker;
    let max_experiments = request.experiments.unwrap_or(marker.limits.max_experiments);
    folder.create()?;
    let found = match &start {
        Start::Afresh { .. } => Err(lock),
        Start::Resume(_) | Start::Reopen(_) => Ok(Ledger::open(&folder.ledger(), lock)?),
    };
    let (spent, lost) = match &found {
        Ok(opened) => {
            let progress = fold(&run, &opened.records)?;
            let lost = lost(&folder.audit(), &progress)?;
            (progress.spent + lost.cost_usd, lost)
        }
        Err(_) => (Cost::ZERO, Usage::default()),
    };
    let files = GateFiles {
        folder: workshop.berth.folder().join("gateway"),
        audit: folder.audit(),
    };
    let money_left = marker.limits.max_cost_usd.map(|most| most.minus(spent));
    let gate = Gate::open(
        &marker.agent,
        workshop.bench(Role::Agent).kind,
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
            folder.write("plan.json", &pretty(&workshop.plans()))?;
            let opening = Record::RunOpened {
                v: VERSION,
                run: run.clone(),
                marker: marker.name.clone(),
                marker_digest: marker.digest(),
                base: workshop.base.clone(),
                direction: marker.metric.direction,
                seed: clock::seed(),
                image: workshop.image().map(|image| image.id.clone()),
            };
            let ledger = Ledger::create(&folder.ledger(), lock, &opening)?;
            (ledger, vec![opening])
        }
    };
    workshop.repo.pin_base(&run, &workshop.base)?;
    if lost.cost_usd > Cost::ZERO {
        warnings.push(format!(
            "{:.2} USD that a killed session had used up count towards the next experiment",
            lost.cost_usd.dollars()
        ));
    }
    let progress = fold(&run, &records)?;
    let mut emitter = Emitter::append(&folder.events(), reporter)?;
    let enforcement = workshop.bench(Role::Agent).sandbox.enforcement();
    let measured_in = workshop.benches.parted().map(|bench| {
        let Enforcement { backend, level, .. } = bench.sandbox.enforcement();
        MeasuredIn { backend, level }
    });
    emitter.emit(EventKind::RunStarted {
        run: run.clone(),
        marker: marker.name.clone(),
        base: workshop.base.clone(),
        backend: enforcement.backend,
        level: enforcement.level,
        measured_in,
        resumed: is_found,
    });
    let warnings = request.warnings.into_iter().chain(warnings);
    let warnings = warnings.chain(enforcement.warnings);
    for warning in warnings.chain(workshop.warnings()) {
        emitter.warn(warning);
    }
    emitter.catch_up(&progress);
    let base = match workshop.ready_base(&mut emitter, &request.cancel).await {
        Ok(base) => base,
        Err(error) => {
            gate.close().await;
            workshop.close().await;
            return Err(error);
        }
    };
    let mut campaign = Campaign {
        workshop,
        gate,
        emitter,
        folder,
        cancel: request.cancel,
        run,
        progress,
        places: request.places,
        base,
        champion: None,
        max_experiments,
        ledger,
        lost,
        faults: 0,
    };
    campaign.repair()?;
    campaign.write_tables()?;
    if matches!(start, Start::Reopen(_)) {
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
    workshop.close().await;
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
fn new_id(runs_dir: &Path, marker: &str) -> Result<RunId, CampaignError> {
    let runs = list_runs(runs_dir)?;
    let newest = runs.iter().find(|run| run.marker() == Some(marker));
    let salt = (clock::dice() & 0xffff) as u16;
    let stamp = clock::stamp_after(newest.and_then(RunId::stamp));
    Ok(RunId::new(marker, &stamp, salt))
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
        self.write_tables()
    }

    /// Writes what people read of the ledger, which is the only one that is synced.
    fn write_tables(&self) -> Result<(), CampaignError> {
        let table = ledger::results_tsv(&self.progress);
        self.folder.write("results.tsv", table.as_bytes())?;
        let ideas = ideas::ideas(&self.progress.experiments);
        self.folder.write("ideas.md", ideas.as_bytes())
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
            let done = match step {
                NextStep::MeasureBaseline => self.measure_baseline().await,
                NextStep::RunExperiment { number, strategy } => {
                    self.run_experiment(number, strategy).await
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
            };
            match done {
                Ok(()) => self.faults = 0,
                Err(CampaignError::Sandbox(error)) if error.is_fault() => {
                    self.recover(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the engine works again, and makes anew what was there.
    ///
    /// # Errors
    ///
    /// The fault, where it lasts, or where nothing has worked yet: then somebody is there to mend
    /// it. Those of making the base anew.
    async fn recover(&mut self, mut fault: SandboxError) -> Result<(), CampaignError> {
        let step = self.progress.next_step(&self.budget());
        if matches!(step, NextStep::Finish(_)) {
            return Ok(());
        }
        loop {
            self.faults += 1;
            let until_ms = try_again_at_ms(self.faults, clock::now_ms());
            let is_hopeful = self.workshop.has_worked() && !self.cancel.is_cancelled();
            let Some(until_ms) = until_ms.filter(|_| is_hopeful) else {
                return Err(fault.into());
            };
            self.emitter.emit(EventKind::Waiting {
                reason: chain(&fault),
                until_ms,
            });
            wait_until(until_ms, clock::now_ms, &self.cancel).await?;
            // An engine that was restarted or cleaned up may have lost any of it.
            match self.remake().await {
                Err(CampaignError::Sandbox(error)) if error.is_fault() => fault = error,
                remade => return remade,
            }
        }
    }

    async fn remake(&mut self) -> Result<(), CampaignError> {
        let ready = self.workshop.ready_base(&mut self.emitter, &self.cancel);
        self.base = ready.await?;
        self.champion = None;
        Ok(())
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
            progress,
            ..
        } = self;
        let seed = progress.seed;
        let _turn = workshop.turn(emitter, cancel).await?;
        let (record, built) = workshop
            .baseline(&base.measured, seed, emitter, cancel)
            .await?;
        self.champion = Some(Champion {
            commit: self.workshop.base.clone(),
            agent: self.base.visible.of(Role::Agent).clone(),
            built,
        });
        self.record(Record::BaselineMeasured {
            value: record.value,
            noise: record.noise,
            readings: record.readings,
            guards: record.guards,
            tracks: record.tracks,
            golden: record.golden,
        })
    }

    /// Returns the champion ready to be measured, making it on first use.
    pub async fn ready_champion(&mut self) -> Result<(), CampaignError> {
        let commit = &self.progress.champion;
        if self.champion.as_ref().is_some_and(|c| c.commit == *commit) {
            return Ok(());
        }
        let measured = self.workshop.measured(&self.base, commit).await?;
        let _turn = self.workshop.turn(&mut self.emitter, &self.cancel).await?;
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
    /// Makes the base snapshots and prepares them.
    pub(super) async fn ready_base(
        &self,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Base, CampaignError> {
        let base = self.base().await?;
        self.prepare(base, emitter, cancel).await
    }

    /// Runs `prepare` on the base snapshots, once in each backend, whose C library and programs its
    /// result is made for; it is what everything starts from.
    pub(super) async fn prepare(
        &self,
        mut base: Base,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Base, CampaignError> {
        for role in self.benches.roles() {
            base = self.prepare_for(*role, base, emitter, cancel).await?;
        }
        Ok(base)
    }

    /// Runs `prepare` on the base snapshot of `role` alone.
    pub(super) async fn prepare_for(
        &self,
        role: Role,
        mut base: Base,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Base, CampaignError> {
        let Some(step) = &self.marker.prepare else {
            return Ok(base);
        };
        let bench = self.bench(role);
        let backend = self.benches.parted().map(|_| bench.kind.word().to_owned());
        emitter.emit(EventKind::Preparing {
            command: step.command.clone(),
            backend: backend.clone(),
        });
        let mut output = super::capture::Capture::new(64 << 10);
        let execution = crate::sandbox::Execution {
            snapshot: base.visible.of(role),
            plan: &bench.plan,
            argv: ["sh", "-c", &step.command].map(Into::into).to_vec(),
            env: std::collections::BTreeMap::new(),
            stdin: Vec::new(),
            network: crate::sandbox::Network::Host,
            views: Vec::new(),
            timeout: step.timeout,
            cancel: cancel.clone(),
        };
        let finished = self.to_its_end(role, execution, &mut output).await?;
        if !finished.exit.is_success() {
            let how = super::measure::describe(finished.exit, step.timeout);
            let place = match backend {
                Some(backend) => format!(" in the {backend} backend"),
                None => String::new(),
            };
            return Err(CampaignError::Prepare(format!(
                "it {how}{place}\n{}",
                output.for_people(8 << 10)
            )));
        }
        emitter.emit(EventKind::Prepared {
            seconds: finished.wall.as_secs_f64(),
            backend,
        });
        let prepared = finished.remains.into_snapshot().await?;
        base.visible.put(role, prepared);
        base.measured = self.with_hidden(&base.visible).await?;
        Ok(base)
    }
}
