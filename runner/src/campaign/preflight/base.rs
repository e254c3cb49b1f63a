//! Whether the base commit is green: `prepare`, guards and metric, and how noisy it is.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::noise::NoiseFound;
use super::null::{self, NullBase};
use super::report::{Area, CheckReport};
use super::{canary, missing, programs};
use crate::campaign::CampaignError;
use crate::campaign::bench::Role;
use crate::campaign::capture::Capture;
use crate::campaign::clock;
use crate::campaign::emitter::Emitter;
use crate::campaign::liveness::{Life, Passed};
use crate::campaign::measure::Reading;
use crate::campaign::workshop::{Base, HostFacts, Workshop};
use crate::decide::bound::{Held, judge_lines};
use crate::decide::dice::Dice;
use crate::decide::lines::Lines;
use crate::decide::noise::median_reading;
use crate::decide::plausible::Account;
use crate::decide::record::GuardBase;
use crate::decide::tests_passed;
use crate::marker::{Counting, Protocol};
use crate::model::Metric;
use crate::sandbox::Snapshot;

const GREEN: &str =
    "make the base commit green first; what needs the network belongs into `prepare`";

/// Tries the base commit in sandboxes.
///
/// # Errors
///
/// Those of the sandbox and the repository; what a command does is a finding.
pub(super) async fn check(
    mut trial: Trial<'_>,
    null_experiments: u32,
    emitter: &mut Emitter<'_>,
) -> Result<(), CampaignError> {
    let (workshop, cancel) = (trial.workshop, trial.cancel);
    let base = workshop.base().await?;
    for role in workshop.benches.roles() {
        canary::check(workshop, (*role, &base), trial.host, trial.report, cancel).await?;
    }
    programs::check(workshop, &base, trial.report, cancel).await?;
    trial.agent(&base).await?;
    let Some(base) = trial.prepare(base, emitter).await? else {
        let detail = "guards and metric were not tried, since `prepare` failed";
        trial.report.warn(Area::Baseline, "metric", detail, None);
        return Ok(());
    };
    let _turn = workshop.turn(emitter, cancel).await?;
    let guard_lines = trial.guards(&base.measured).await?;
    trial.golden(&base.measured).await?;
    let Some((built, readings)) = trial.metric(&base.measured, &guard_lines).await? else {
        return Ok(());
    };
    if null_experiments == 0 {
        return Ok(());
    }
    let base = NullBase {
        workshop,
        measured: &base.measured,
        built: &built,
        readings: &readings,
        asked: null_experiments,
    };
    null::check(base, trial.report, emitter, cancel).await
}

/// What every trial of a command needs.
pub(super) struct Trial<'a> {
    pub workshop: &'a Workshop,
    pub host: &'a HostFacts,
    pub report: &'a mut CheckReport,
    pub cancel: &'a CancellationToken,
}

impl Trial<'_> {
    /// Looks for an agent that speaks no protocol where it will run.
    async fn agent(&mut self, base: &Base) -> Result<(), CampaignError> {
        let agent = &self.workshop.marker.agent;
        let (Protocol::None, Some(program)) = (agent.protocol, agent.command.first()) else {
            return Ok(());
        };
        let words = ["sh", "-c", "command -v -- \"$1\"", "sh", program];
        let words = words.map(str::to_owned).to_vec();
        let mut output = Capture::new(4 << 10);
        let timeout = Duration::from_secs(60);
        let finished = self
            .workshop
            .run_words(
                (Role::Agent, base.visible.of(Role::Agent)),
                words,
                timeout,
                self.cancel,
                &mut output,
            )
            .await?;
        if finished.exit.is_success() {
            let detail = format!("`{program}` is found in the sandbox");
            self.report.ok(Area::Agent, "agent", detail);
        } else {
            let detail = format!("`{program}` is not found in the sandbox");
            let hint = missing::hint(program, (self.workshop, Role::Agent), self.host);
            self.report.fail(Area::Agent, "agent", detail, Some(&hint));
        }
        Ok(())
    }

    /// Returns the prepared base, or `None` when `prepare` failed.
    async fn prepare(
        &mut self,
        base: Base,
        emitter: &mut Emitter<'_>,
    ) -> Result<Option<Base>, CampaignError> {
        let Some(step) = &self.workshop.marker.prepare else {
            return Ok(Some(base));
        };
        let benches = &self.workshop.benches;
        let mut base = base;
        for role in benches.roles() {
            let name = benches.named("prepare", *role);
            let prepared = self
                .workshop
                .prepare_for(*role, base, emitter, self.cancel)
                .await;
            base = match prepared {
                Ok(base) => base,
                Err(CampaignError::Prepare(why)) => {
                    let hint = "it must succeed on the base commit";
                    self.fail((&name, *role), &why, hint);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let detail = format!("`{}` succeeded", step.command);
            self.report.ok(Area::Baseline, &name, detail);
        }
        Ok(Some(base))
    }

    /// Returns what the guards print of what is tracked.
    async fn guards(&mut self, measured: &Snapshot) -> Result<Lines, CampaignError> {
        let guards = &self.workshop.marker.guards;
        let mut lines = Lines::default();
        if guards.is_empty() && self.workshop.marker.line_guards.is_empty() {
            let hint = "without one, nothing keeps the agent from breaking what is not measured";
            let detail = "there is none";
            self.report.warn(Area::Config, "guard", detail, Some(hint));
        }
        for guard in guards {
            let result = self
                .workshop
                .run_guard(guard, None, measured, self.cancel)
                .await?;
            let name = format!("guard `{}`", guard.name);
            if let Held::Broken { why } = &result.held {
                let said = format!("{why}\n{}", result.output);
                self.fail((&name, Role::Measure), &said, GREEN);
                continue;
            }
            let value = match result.value {
                Some(value) => format!(", value {value}"),
                None => String::new(),
            };
            let remark = match &result.held {
                Held::Tolerated { remark } => format!("; {remark}"),
                Held::Kept | Held::Broken { .. } => String::new(),
            };
            let passed = match (tests_passed::words(&result.tests), guard.tests) {
                (Some(words), _) => format!(", {words}: never fewer on a candidate"),
                (None, Counting::Off) => String::new(),
                (None, Counting::Auto | Counting::Only(_)) => {
                    "; its output tells no number of passed tests".to_owned()
                }
            };
            let mut detail = format!("green on the base{value}{passed}{remark}");
            if guard.liveness {
                let green = GuardBase {
                    name: guard.name.clone(),
                    value: result.value,
                    tests: result.tests.clone(),
                };
                let passed = Passed {
                    commit: &self.workshop.base,
                    measured,
                    base: &green,
                };
                let seed = clock::dice();
                let life = self.workshop.liveness(guard, passed, seed, self.cancel);
                match life.await? {
                    Life::Alive { planted } => {
                        detail.push_str(&format!("; alive, it noticed planted fault {planted}"));
                    }
                    life @ (Life::Blind { .. } | Life::NoPlace) => {
                        let why = life.trouble().unwrap_or_default();
                        let hint = "let it test what the mutable files do, or remove `liveness`";
                        self.report.fail(Area::Baseline, &name, why, Some(hint));
                        continue;
                    }
                }
            }
            self.report.ok(Area::Baseline, &name, detail);
            lines.add(result.lines);
        }
        Ok(lines)
    }

    /// Returns the base built and its readings, or `None` when it has none.
    async fn metric(
        &mut self,
        measured: &Snapshot,
        guard_lines: &Lines,
    ) -> Result<Option<(Snapshot, Vec<Metric>)>, CampaignError> {
        let built = match self.workshop.build(measured, self.cancel).await? {
            Ok(built) => built,
            Err(why) => {
                self.fail(("build", Role::Measure), &why, GREEN);
                return Ok(None);
            }
        };
        let started = Instant::now();
        let mut lines = Lines::default();
        let mut accounts = Vec::new();
        let mut note = |value, reading: &Reading| {
            lines.add(reading.lines.clone());
            accounts.push(reading.account(value));
        };
        let seeds = Dice::new(clock::dice());
        let readings = self
            .workshop
            .base_readings((measured, &built), seeds, &mut note, self.cancel)
            .await?;
        Ok(match readings {
            Ok(readings) => {
                let seconds = started.elapsed().as_secs_f64() / readings.len() as f64;
                self.value(&readings, seconds);
                self.noise(&readings, seconds);
                self.proof(&accounts);
                self.lines(&lines, guard_lines);
                Some((built, readings))
            }
            Err((why, reading)) => {
                let said = format!("no metric: {why}\n{}", reading.output);
                self.fail(("metric", Role::Measure), &said, GREEN);
                None
            }
        })
    }

    /// Tries the golden outputs.
    async fn golden(&mut self, measured: &Snapshot) -> Result<(), CampaignError> {
        let outputs = self
            .workshop
            .golden_outputs(measured, clock::seed, self.cancel);
        match outputs.await? {
            Ok(outputs) if outputs.is_empty() => {}
            Ok(outputs) => {
                let detail = format!("{} outputs, the same twice", outputs.len());
                self.report.ok(Area::Baseline, "golden", detail);
            }
            Err(why) => self.fail(("golden", Role::Measure), &why, GREEN),
        }
        Ok(())
    }

    /// Says what the metric's number rests on.
    fn proof(&mut self, accounts: &[Account]) {
        let stopwatch = self.workshop.stopwatch();
        let is_timed = stopwatch.is_some_and(|stopwatch| stopwatch.is_of_the_command(accounts));
        let clocks = match (stopwatch, is_timed) {
            (Some(_), true) => {
                "it is the time of most of its command: each gain is held against the runner's \
                 own clocks"
            }
            (Some(_), false) => {
                "it is a time, but not that of most of its command: the runner's clocks cannot \
                 confirm a gain, and one above 90 % is measured again"
            }
            (None, _) => {
                "it is no time that falls: the runner's clocks cannot confirm a gain, and one \
                 above 90 % is measured again"
            }
        };
        if self.workshop.marker.metric.harness.is_some() {
            let detail = format!(
                "{clocks}; the number comes from `metric.harness.check`, out of the candidate's \
                 reach"
            );
            self.report.ok(Area::Baseline, "proof", detail);
            return;
        }
        let detail = format!(
            "{clocks}; the candidate's code runs in the command that prints the number, and \
             could print any"
        );
        let hint = "`metric.harness` measures and checks from outside; see docs/measuring.md, \
                    \"Against the agent\"";
        self.report.noted(Area::Baseline, "proof", detail, hint);
    }

    /// Says what guards and tracks read of what the metric's command and the guards print.
    fn lines(&mut self, metric: &Lines, guards: &Lines) {
        let marker = &self.workshop.marker;
        for result in judge_lines(&marker.line_guards, &[], metric) {
            let name = format!("guard `{}`", result.name);
            match (&result.held, result.value) {
                (Held::Broken { why }, _) => {
                    let hint = "the metric's command prints `METRIC name=value` lines for it";
                    self.report.fail(Area::Baseline, &name, why, Some(hint));
                }
                (Held::Kept | Held::Tolerated { .. }, value) => {
                    let value = value.map_or_else(String::new, |value| value.to_string());
                    let detail = format!("green on the base, value {value}");
                    self.report.ok(Area::Baseline, &name, detail);
                }
            }
        }
        let tracked = Lines::tracked(&marker.track, &[metric, guards]);
        let words = tracked
            .iter()
            .map(|one| format!("{} {}", one.name, one.value));
        let words: Vec<String> = words.collect();
        if !words.is_empty() {
            self.report.ok(
                Area::Baseline,
                "track",
                format!("on the base: {}", words.join(", ")),
            );
        }
        let is_found = |name: &&String| tracked.iter().any(|one| one.name == **name);
        let missing: Vec<String> = marker
            .track
            .iter()
            .filter(|name| !is_found(name))
            .cloned()
            .collect();
        if !missing.is_empty() {
            let detail = format!(
                "nothing prints `METRIC {}=...`",
                missing.join("=...`, `METRIC ")
            );
            let hint = "print such a line, once, in the metric's command or a guard's";
            self.report.warn(Area::Config, "track", detail, Some(hint));
        }
    }

    /// Says what the base reads, and where the configuration believes otherwise.
    fn value(&mut self, readings: &[Metric], seconds: f64) {
        let metric = &self.workshop.marker.metric;
        let value = median_reading(readings);
        let unit = metric.unit.as_deref().unwrap_or("");
        let said = format!("{value}{unit} on the base, {seconds:.1} s a reading");
        let is_reached =
            |target: Metric| value == target || metric.direction.is_better(value, target);
        if metric.target.is_some_and(is_reached) {
            let hint = "a run would stop at once; set `metric.target` further away";
            let detail = format!("{said}; `metric.target` is reached already");
            self.report.warn(Area::Config, "metric", detail, Some(hint));
        } else {
            self.report.ok(Area::Baseline, "metric", said);
        }
        if let Some(claimed) = metric.baseline
            && (claimed.get() - value.get()).abs() > 0.1 * value.get().abs()
        {
            let detail = format!("`metric.baseline` says {claimed}, measured was {value}");
            let hint = "what is measured counts; correct the number, or leave it out";
            self.report
                .warn(Area::Config, "baseline", detail, Some(hint));
        }
    }

    /// Says what the readings of the base mean for comparisons to come.
    fn noise(&mut self, readings: &[Metric], seconds: f64) {
        let found = NoiseFound::new(&self.workshop.marker.metric, readings, seconds);
        let (detail, hint) = (found.detail(), found.hint());
        match &hint {
            None => self.report.ok(Area::Baseline, "noise", detail),
            Some(hint) if found.is_too_costly() => {
                self.report
                    .warn(Area::Baseline, "noise", detail, Some(hint));
            }
            Some(hint) => self.report.noted(Area::Baseline, "noise", detail, hint),
        }
        self.report.noise = Some(found);
    }

    /// Adds a failed command of `role`; `said` is why, with what it printed on the lines after.
    ///
    /// A program that could not be run is named, with what would make it run.
    fn fail(&mut self, (name, role): (&str, Role), said: &str, hint: &str) {
        let programs = missing::programs(said);
        let Some(program) = programs.first() else {
            self.report
                .fail(Area::Baseline, name, last_lines(said), Some(hint));
            return;
        };
        let hint = missing::hint(program, (self.workshop, role), self.host);
        let detail = format!("`{program}` cannot be run in the sandbox\n{said}");
        self.report
            .fail(Area::Baseline, name, last_lines(&detail), Some(&hint));
    }
}

/// Returns the first line and the last few of what follows.
fn last_lines(text: &str) -> String {
    const KEPT: usize = 12;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    let rest = &rest[rest.len().saturating_sub(KEPT)..];
    let mut kept = vec![first];
    kept.extend(rest);
    kept.join("\n")
}
