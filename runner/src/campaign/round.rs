//! What all sides of one round of readings get alike.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::capture::Capture;
use super::measure::{EXTRACT_BYTES, PEOPLE_BYTES, Shell, describe};
use super::workshop::Workshop;
use crate::marker::MetricHarness;
use crate::sandbox::Snapshot;

/// How much an input may be.
const INPUT_BYTES: usize = 64 << 20;

/// A seed and, in the two-command form, the input that was drawn by it.
pub(super) struct Round<'a> {
    /// The base commit, not built: what the commands around the metric's run on.
    pub base: &'a Snapshot,
    seed: u32,
    /// What the metric's command gets as its standard input, or why there is nothing.
    pub input: Result<Vec<u8>, Refused>,
}

/// A command around the metric's that gave nothing.
#[derive(Debug)]
pub(super) struct Refused {
    /// For people and later briefs.
    pub why: String,
    /// What it printed, for people alone: it may tell of hidden files.
    pub output: String,
}

impl Workshop {
    /// Begins a round of readings; runs `metric.harness.input` where there is one.
    ///
    /// # Errors
    ///
    /// Those of the sandbox. That there is no input is told with the readings.
    pub(super) async fn round<'a>(
        &self,
        base: &'a Snapshot,
        seed: u32,
        cancel: &CancellationToken,
    ) -> Result<Round<'a>, CampaignError> {
        let harness = self.marker.metric.harness.as_ref();
        let input = match harness.and_then(|harness| harness.input.as_deref()) {
            None => Ok(Vec::new()),
            Some(command) => {
                let shell = Shell {
                    env: seeded(seed),
                    ..Shell::new(base, command, self.marker.metric.timeout)
                };
                self.input(shell, "`metric.harness.input`", cancel).await?
            }
        };
        Ok(Round { base, seed, input })
    }

    /// Returns all that a command called `name` prints; the inner `Err` says why there is nothing.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn input(
        &self,
        shell: Shell<'_>,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Result<Vec<u8>, Refused>, CampaignError> {
        let timeout = shell.timeout;
        let mut output = Capture::new(INPUT_BYTES);
        let finished = self.shell(shell, cancel, &mut output).await?;
        if !finished.exit.is_success() {
            let how = describe(finished.exit, timeout);
            let why = format!("{name} {how}");
            let output = output.for_people(PEOPLE_BYTES);
            return Ok(Err(Refused { why, output }));
        }
        if output.stdout.is_cut() {
            let why = format!("{name} prints more than {} MiB", INPUT_BYTES >> 20);
            let output = String::new();
            return Ok(Err(Refused { why, output }));
        }
        Ok(Ok(output.stdout.bytes().to_vec()))
    }
}

impl Round<'_> {
    /// Returns the environment that tells the seed.
    pub fn env(&self) -> BTreeMap<String, String> {
        seeded(self.seed)
    }

    /// Returns what `harness.check` prints about `output`, which took so much wall and processor
    /// time; the inner `Err` says why it judges nothing.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn check(
        &self,
        workshop: &Workshop,
        harness: &MetricHarness,
        (wall, cpu): (Duration, Option<Duration>),
        output: &Capture,
        cancel: &CancellationToken,
    ) -> Result<Result<Capture, Refused>, CampaignError> {
        if output.stdout.is_cut() {
            let most = EXTRACT_BYTES >> 20;
            let why = format!("the metric command prints more than {most} MiB");
            let output = String::new();
            return Ok(Err(Refused { why, output }));
        }
        let mut env = self.env();
        let mut tell = |name: &str, time: Duration| {
            env.insert(name.to_owned(), format!("{:.6}", time.as_secs_f64()));
        };
        tell("AUTOCLAVE_WALL_SECONDS", wall);
        if let Some(cpu) = cpu {
            tell("AUTOCLAVE_CPU_SECONDS", cpu);
        }
        let timeout = workshop.marker.metric.timeout;
        let shell = Shell {
            stdin: output.stdout.bytes().to_vec(),
            env,
            ..Shell::new(self.base, &harness.check, timeout)
        };
        let mut checked = Capture::new(EXTRACT_BYTES);
        let finished = workshop.shell(shell, cancel, &mut checked).await?;
        if finished.exit.is_success() {
            return Ok(Ok(checked));
        }
        let how = describe(finished.exit, timeout);
        let why = format!("`metric.harness.check` {how}");
        let output = checked.for_people(PEOPLE_BYTES);
        Ok(Err(Refused { why, output }))
    }
}

/// Returns an environment that tells a seed.
pub(super) fn seeded(seed: u32) -> BTreeMap<String, String> {
    BTreeMap::from([("AUTOCLAVE_SEED".to_owned(), seed.to_string())])
}
