//! One reading of a metric or guard, each in a fresh sandbox.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::Role;
use super::capture::Capture;
use super::workshop::Workshop;
use crate::decide::extract;
use crate::marker::{Extract, GuardSpec};
use crate::model::{Direction, Metric};
use crate::sandbox::{Execution, Exit, Finished, Snapshot};

/// How much of a harness's output an extract filter sees: the last 16 MiB.
const EXTRACT_BYTES: usize = 16 << 20;
/// How much of an output is kept for people.
const PEOPLE_BYTES: usize = 64 << 10;

/// What one run of a metric command gave.
#[derive(Debug)]
pub struct Reading {
    /// The number, or why there is none.
    pub value: Result<Metric, String>,
    pub exit: Exit,
    pub wall: Duration,
    /// What it printed, for people.
    pub output: String,
}

/// What one run of a guard gave.
#[derive(Debug)]
pub struct GuardResult {
    pub passed: bool,
    pub value: Option<Metric>,
    /// Why it failed, or that it passed; a fragment.
    pub detail: String,
    pub output: String,
    pub exit: Exit,
}

impl Workshop {
    /// Measures with a shell command on `snapshot`, without network, in a sandbox of its own.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn shell(
        &self,
        snapshot: &Snapshot,
        command: &str,
        stdin: Vec<u8>,
        timeout: Duration,
        cancel: &CancellationToken,
        output: &mut Capture,
    ) -> Result<Finished, CampaignError> {
        let argv = ["sh", "-c", command].map(Into::into).to_vec();
        let execution = Execution {
            stdin,
            cancel: cancel.clone(),
            ..Execution::offline(snapshot, &self.bench(Role::Measure).plan, argv, timeout)
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

    async fn to_its_end(
        &self,
        role: Role,
        execution: Execution<'_>,
        output: &mut Capture,
    ) -> Result<Finished, CampaignError> {
        let finished = self.execute(role, execution, output).await?;
        if finished.exit == Exit::Cancelled {
            return Err(CampaignError::Interrupted);
        }
        Ok(finished)
    }

    /// Takes the readings of the base that tell its value and noise; `note` sees each.
    ///
    /// # Errors
    ///
    /// Those of the sandbox. The inner `Err` is the first reading without a number, and why.
    pub async fn base_readings(
        &self,
        built: &Snapshot,
        note: &mut (dyn FnMut(Metric, &Reading) + Send),
        cancel: &CancellationToken,
    ) -> Result<Result<Vec<Metric>, (String, Reading)>, CampaignError> {
        let mut readings: Vec<Metric> = Vec::new();
        // Three equal readings are taken for a deterministic metric; noise needs a few more.
        while readings.len() < 3
            || (readings.len() < 8 && readings.iter().any(|r| *r != readings[0]))
        {
            let reading = self.read_metric(built, cancel).await?;
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
        let finished = self
            .shell(snapshot, command, Vec::new(), timeout, cancel, &mut output)
            .await?;
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

    /// Takes one reading of the metric on `snapshot`.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn read_metric(
        &self,
        snapshot: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<Reading, CampaignError> {
        let metric = &self.marker.metric;
        let mut output = Capture::new(EXTRACT_BYTES);
        let finished = self
            .shell(
                snapshot,
                &metric.command,
                Vec::new(),
                metric.timeout,
                cancel,
                &mut output,
            )
            .await?;
        let (exit, wall) = (finished.exit, finished.wall);
        drop(finished);
        let value = if exit.is_success() {
            self.extract(&metric.extract, snapshot, &output, cancel)
                .await?
        } else {
            Err(format!(
                "the metric command {}",
                describe(exit, metric.timeout)
            ))
        };
        Ok(Reading {
            value,
            exit,
            wall,
            output: output.for_people(PEOPLE_BYTES),
        })
    }

    /// Runs one guard on `snapshot`; `base` is its value on the base commit.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn run_guard(
        &self,
        guard: &GuardSpec,
        base: Option<Metric>,
        snapshot: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<GuardResult, CampaignError> {
        let mut output = Capture::new(EXTRACT_BYTES);
        let finished = self
            .shell(
                snapshot,
                &guard.command,
                Vec::new(),
                guard.timeout,
                cancel,
                &mut output,
            )
            .await?;
        let exit = finished.exit;
        drop(finished);
        let people = output.for_people(PEOPLE_BYTES);
        let result = |passed, value, detail| GuardResult {
            passed,
            value,
            detail,
            output: people,
            exit,
        };
        if !matches!(exit, Exit::Code(_)) || (guard.extract.is_none() && !exit.is_success()) {
            return Ok(result(false, None, describe(exit, guard.timeout)));
        }
        let Some(extract) = &guard.extract else {
            return Ok(result(true, None, "passed".into()));
        };
        Ok(
            match self.extract(extract, snapshot, &output, cancel).await? {
                Err(why) => result(false, None, why),
                Ok(value) => match guard.threshold.or(base) {
                    Some(bound) if guard.direction.is_better(bound, value) => {
                        let side = match guard.direction {
                            Direction::Higher => "below",
                            Direction::Lower => "above",
                        };
                        result(false, Some(value), format!("{value} is {side} {bound}"))
                    }
                    _ => result(true, Some(value), "passed".into()),
                },
            },
        )
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
                let finished = self
                    .shell(
                        snapshot,
                        filter,
                        printed.to_vec(),
                        timeout,
                        cancel,
                        &mut filtered,
                    )
                    .await?;
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
