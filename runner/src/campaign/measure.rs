//! One reading of a metric or guard, each in a fresh sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::Role;
use super::capture::Capture;
use super::round::Round;
use super::workshop::Workshop;
use crate::decide::bound::{Bound, Held};
use crate::decide::dice::Dice;
use crate::decide::lines::Lines;
use crate::decide::plausible::Account;
use crate::decide::record::GuardBase;
use crate::decide::{extract, tests_passed};
use crate::event::Clocks;
use crate::marker::{Counting, Extract, GuardSpec};
use crate::model::{Metric, TestsPassed};
use crate::sandbox::{Execution, Exit, Finished, OutputSink, Snapshot};

/// How much of a harness's output an extract filter sees: the last 16 MiB.
pub(super) const EXTRACT_BYTES: usize = 16 << 20;
/// How much of an output is kept for people.
pub(super) const PEOPLE_BYTES: usize = 64 << 10;

/// What one run of a metric command gave.
#[derive(Debug)]
pub struct Reading {
    /// The number, or why there is none.
    pub value: Result<Metric, String>,
    pub exit: Exit,
    pub wall: Duration,
    /// Processor time; `None` where nobody could tell.
    pub cpu: Option<Duration>,
    /// The `METRIC name=value` lines that guards and tracks read.
    pub lines: Lines,
    /// What it printed, for people.
    pub output: String,
}

impl Reading {
    /// Returns what the runner saw of the metric command.
    pub fn clocks(&self) -> Clocks {
        Clocks {
            wall_seconds: self.wall.as_secs_f64(),
            cpu_seconds: self.cpu.map(|cpu| cpu.as_secs_f64()),
            exit_code: match self.exit {
                Exit::Code(code) => Some(code),
                Exit::Signal(_)
                | Exit::TimedOut
                | Exit::Cancelled
                | Exit::OutOfMemory
                | Exit::NotStarted { .. } => None,
            },
        }
    }

    /// Returns its number beside the runner's clocks; where nobody knows the processor time, the
    /// wall time stands for it.
    pub fn account(&self, reported: Metric) -> Account {
        Account {
            reported,
            wall: self.wall,
            cpu: self.cpu.unwrap_or(self.wall),
        }
    }
}

/// A shell command, and all that it gets.
pub(super) struct Shell<'a> {
    pub snapshot: &'a Snapshot,
    pub command: &'a str,
    pub stdin: Vec<u8>,
    pub env: BTreeMap<String, String>,
    pub timeout: Duration,
}

impl<'a> Shell<'a> {
    /// Returns a command that gets no input.
    pub fn new(snapshot: &'a Snapshot, command: &'a str, timeout: Duration) -> Self {
        Self {
            snapshot,
            command,
            stdin: Vec::new(),
            env: BTreeMap::new(),
            timeout,
        }
    }
}

/// What one run of a guard gave.
#[derive(Debug)]
pub struct GuardResult {
    pub held: Held,
    pub value: Option<Metric>,
    /// How many tests passed, where its output tells.
    pub tests: Vec<TestsPassed>,
    /// What it prints of what is tracked.
    pub lines: Lines,
    pub output: String,
}

impl Workshop {
    /// Measures with a shell command, without network, in a sandbox of its own.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn shell(
        &self,
        shell: Shell<'_>,
        cancel: &CancellationToken,
        output: &mut dyn OutputSink,
    ) -> Result<Finished, CampaignError> {
        let argv = ["sh", "-c", shell.command].map(Into::into).to_vec();
        let plan = &self.bench(Role::Measure).plan;
        let execution = Execution {
            stdin: shell.stdin,
            env: shell.env,
            cancel: cancel.clone(),
            ..Execution::offline(shell.snapshot, plan, argv, shell.timeout)
        };
        self.to_its_end(Role::Measure, execution, output).await
    }

    /// Runs a program with its arguments for `role` on its `snapshot`, otherwise as [`Self::shell`].
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn run_words(
        &self,
        (role, snapshot): (Role, &Snapshot),
        words: Vec<String>,
        timeout: Duration,
        cancel: &CancellationToken,
        output: &mut Capture,
    ) -> Result<Finished, CampaignError> {
        let argv = words.into_iter().map(Into::into).collect();
        let execution = Execution {
            cancel: cancel.clone(),
            ..Execution::offline(snapshot, &self.bench(role).plan, argv, timeout)
        };
        self.to_its_end(role, execution, output).await
    }

    /// Runs one execution, which is cut short only by an error.
    ///
    /// # Errors
    ///
    /// Those of the sandbox; [`CampaignError::Interrupted`] when it was cancelled.
    pub(super) async fn to_its_end(
        &self,
        role: Role,
        execution: Execution<'_>,
        output: &mut dyn OutputSink,
    ) -> Result<Finished, CampaignError> {
        let finished = self.execute(role, execution, output).await?;
        if finished.exit == Exit::Cancelled {
            return Err(CampaignError::Interrupted);
        }
        Ok(finished)
    }

    /// Takes the readings of the base that tell its value and noise, each by a seed of its own;
    /// `note` sees each. `measured` is the base before it was built.
    ///
    /// # Errors
    ///
    /// Those of the sandbox. The inner `Err` is the first reading without a number, and why.
    pub async fn base_readings(
        &self,
        (measured, built): (&Snapshot, &Snapshot),
        mut seeds: Dice,
        note: &mut (dyn FnMut(Metric, &Reading) + Send),
        cancel: &CancellationToken,
    ) -> Result<Result<Vec<Metric>, (String, Reading)>, CampaignError> {
        let mut readings: Vec<Metric> = Vec::new();
        // Three equal readings are taken for a deterministic metric; noise needs a few more.
        while readings.len() < 3
            || (readings.len() < 8 && readings.iter().any(|r| *r != readings[0]))
        {
            let round = self.round(measured, seeds.number(), cancel).await?;
            let reading = self.read_metric(built, &round, cancel).await?;
            match &reading.value {
                Ok(value) => {
                    note(*value, &reading);
                    readings.push(*value);
                }
                Err(why) => return Ok(Err((why.clone(), reading))),
            }
        }
        Ok(Ok(readings))
    }

    /// Builds a side for its measurements: `metric.build` once, its result is a snapshot.
    ///
    /// # Errors
    ///
    /// Those of the sandbox. A failing build is the inner `Err`, with its output for people.
    pub async fn build(
        &self,
        snapshot: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<Result<Snapshot, String>, CampaignError> {
        let Some(command) = &self.marker.metric.build else {
            return Ok(Ok(snapshot.clone()));
        };
        let mut output = Capture::new(PEOPLE_BYTES);
        let timeout = self.marker.metric.timeout;
        let shell = Shell::new(snapshot, command, timeout);
        let finished = self.shell(shell, cancel, &mut output).await?;
        if finished.exit.is_success() {
            Ok(Ok(finished.remains.into_snapshot().await?))
        } else {
            let output = output.for_people(PEOPLE_BYTES);
            Ok(Err(format!(
                "`metric.build` {}\n{output}",
                describe(finished.exit, timeout)
            )))
        }
    }

    /// Takes one reading of the metric on `built`, as `round` says.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn read_metric(
        &self,
        built: &Snapshot,
        round: &Round<'_>,
        cancel: &CancellationToken,
    ) -> Result<Reading, CampaignError> {
        let metric = &self.marker.metric;
        let input = match &round.input {
            Ok(input) => input.clone(),
            Err(refused) => {
                return Ok(Reading {
                    value: Err(refused.why.clone()),
                    exit: Exit::Code(0),
                    wall: Duration::ZERO,
                    cpu: None,
                    lines: Lines::default(),
                    output: refused.output.clone(),
                });
            }
        };
        let mut output = Capture::new(EXTRACT_BYTES);
        let shell = Shell {
            stdin: input,
            env: match &metric.harness {
                None => round.env(),
                // What is not known cannot be prepared for.
                Some(_) => BTreeMap::new(),
            },
            ..Shell::new(built, &metric.command, metric.timeout)
        };
        let finished = self.shell(shell, cancel, &mut output).await?;
        let (exit, wall, cpu) = (finished.exit, finished.wall, finished.cpu);
        // Nothing of the candidate is left when its output is judged.
        drop(finished);
        let mut told = output.for_people(PEOPLE_BYTES);
        let printed = if !exit.is_success() {
            let how = describe(exit, metric.timeout);
            Err(format!("the metric command {how}"))
        } else if let Some(harness) = &metric.harness {
            let checked = round.check(self, harness, (wall, cpu), &output, cancel);
            match checked.await? {
                Ok(checked) => {
                    told.push_str(&checked.for_people(PEOPLE_BYTES));
                    Ok((checked, round.base))
                }
                Err(refused) => {
                    told.push_str(&refused.output);
                    Err(refused.why)
                }
            }
        } else {
            Ok((output, built))
        };
        let (value, lines) = match printed {
            Err(why) => (Err(why), Lines::default()),
            Ok((printed, snapshot)) => (
                self.extract(&metric.extract, snapshot, &printed, cancel)
                    .await?,
                Lines::read(self.marker.lines(), printed.stdout.bytes()),
            ),
        };
        Ok(Reading {
            value,
            exit,
            wall,
            cpu,
            lines,
            output: told,
        })
    }

    /// Runs one guard on `snapshot`; `base` is what it gave on the base commit.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn run_guard(
        &self,
        guard: &GuardSpec,
        base: Option<&GuardBase>,
        snapshot: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<GuardResult, CampaignError> {
        let mut output = Capture::new(EXTRACT_BYTES);
        let shell = Shell::new(snapshot, &guard.command, guard.timeout);
        let finished = self.shell(shell, cancel, &mut output).await?;
        let exit = finished.exit;
        drop(finished);
        let printed = [output.stdout.bytes(), output.stderr.bytes()];
        let tests = tests_passed::count(guard.tests, &printed);
        let mut value = None;
        let held = if let Some(why) = refusal(guard, base, exit, &tests) {
            Held::Broken { why }
        } else if let Some(extract) = &guard.extract {
            match self.extract(extract, snapshot, &output, cancel).await? {
                Err(why) => Held::Broken { why },
                Ok(number) => {
                    value = Some(number);
                    let bound = guard.threshold.or(base.and_then(|base| base.value));
                    let bound = bound.map(|value| Bound {
                        value,
                        direction: guard.direction,
                        strictness: guard.strictness,
                    });
                    bound.map_or(Held::Kept, |bound| bound.judge(number))
                }
            }
        } else {
            Held::Kept
        };
        let tracked = self.marker.track.iter().map(String::as_str);
        Ok(GuardResult {
            held,
            value,
            tests,
            lines: Lines::read(tracked, output.stdout.bytes()),
            output: output.for_people(PEOPLE_BYTES),
        })
    }

    /// Makes a number of what a command printed; the inner `Err` says why there is none.
    async fn extract(
        &self,
        extract: &Extract,
        snapshot: &Snapshot,
        output: &Capture,
        cancel: &CancellationToken,
    ) -> Result<Result<Metric, String>, CampaignError> {
        let printed = output.stdout.bytes();
        Ok(match extract {
            Extract::Regex(pattern) => {
                extract::regex_number(pattern, printed).map_err(|why| why.to_string())
            }
            Extract::MetricLines { name } => {
                extract::metric_lines(name, printed).map_err(|why| why.to_string())
            }
            Extract::Filter(filter) => {
                let mut filtered = Capture::new(PEOPLE_BYTES);
                let timeout = Duration::from_secs(60);
                let shell = Shell {
                    stdin: printed.to_vec(),
                    ..Shell::new(snapshot, filter, timeout)
                };
                let finished = self.shell(shell, cancel, &mut filtered).await?;
                let number = if finished.exit.is_success() {
                    extract::number(filtered.stdout.bytes()).map_err(|why| why.to_string())
                } else {
                    Err(format!("`extract` {}", describe(finished.exit, timeout)))
                };
                number.map_err(|why| match filtered.stderr.last_line() {
                    Some(line) => format!("{why}; it said: {line}"),
                    None => why,
                })
            }
        })
    }
}

/// Returns why a guard fails whatever number it prints: how it ended, or tests that do not pass.
fn refusal(
    guard: &GuardSpec,
    base: Option<&GuardBase>,
    exit: Exit,
    tests: &[TestsPassed],
) -> Option<String> {
    if !matches!(exit, Exit::Code(_)) || (guard.extract.is_none() && !exit.is_success()) {
        return Some(describe(exit, guard.timeout));
    }
    match (guard.tests, base) {
        (Counting::Only(format), None) if tests.is_empty() => Some(format!(
            "tells of no passed tests, and `tests: {}` wants their number",
            format.word()
        )),
        (Counting::Off, _) | (Counting::Auto | Counting::Only(_), None) => None,
        (Counting::Auto | Counting::Only(_), Some(base)) => {
            tests_passed::keeps_up(&base.tests, tests).err()
        }
    }
}

/// Says how a command ended, as a fragment that follows its name.
pub(super) fn describe(exit: Exit, timeout: Duration) -> String {
    match exit {
        Exit::Code(127) => "exited with 127: a command in it was not found in the sandbox".into(),
        Exit::Code(code) => format!("exited with {code}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::TimedOut => format!("did not end within {} s", timeout.as_secs()),
        Exit::Cancelled => "was cancelled".into(),
        Exit::OutOfMemory => "ran out of memory".into(),
        Exit::NotStarted { errno } => {
            format!(
                "could not be started: {}",
                std::io::Error::from_raw_os_error(errno)
            )
        }
    }
}
