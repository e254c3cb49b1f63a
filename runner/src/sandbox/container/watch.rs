//! The talk with a running container, from its start to the last of its output.

use std::pin::Pin;
use std::time::{Duration, Instant};

use autoclave_enter::Status;
use bollard::container::LogOutput;
use bollard::query_parameters::{KillContainerOptionsBuilder, StatsOptionsBuilder};
use futures::future::{BoxFuture, OptionFuture};
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant as Deadline, sleep_until};
use tracing::debug_span;

use super::status::{Piece, StatusSplitter, parse};
use super::{Asking, Shared, broken, proof};
use crate::sandbox::{Execution, Exit, Network, OutputSink, SandboxError, Stream as Of};

/// How long a container may take from its start to its proof, or from its end to the last word.
pub const PATIENCE: Duration = Duration::from_secs(60);

type Attached = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Follows a running container.
pub struct Watch<'a> {
    shared: &'a Shared,
    container: &'a str,
    execution: &'a Execution<'a>,
    identity: (u32, u32),
    stdout: Ear,
    stderr: Ear,
    /// Lets the command start, once.
    start: Option<oneshot::Sender<()>>,
    /// When that was: the proof came just before.
    started: Option<Instant>,
    /// When the helper told how it ended, or the output did.
    ended: Option<Instant>,
    /// How it ended, as the helper tells.
    exit: Option<Exit>,
    /// Why it was killed from here.
    killed: Option<Exit>,
    /// Processor time: what the helper reports in the end, or the engine before it is killed.
    pub cpu: Option<Duration>,
    pub was_disk_full: bool,
    /// The kernel has killed something for memory, as the helper saw.
    pub is_out_of_memory: bool,
    /// What is waited for; entering the next phase ends it.
    phase: tracing::Span,
}

impl<'a> Watch<'a> {
    pub fn new(
        shared: &'a Shared,
        container: &'a str,
        execution: &'a Execution<'a>,
        identity: (u32, u32),
        nonce: &str,
        start: oneshot::Sender<()>,
    ) -> Self {
        Self {
            shared,
            container,
            execution,
            identity,
            stdout: Ear::new(nonce),
            stderr: Ear::new(nonce),
            start: Some(start),
            started: None,
            ended: None,
            exit: None,
            killed: None,
            cpu: None,
            was_disk_full: false,
            is_out_of_memory: false,
            phase: debug_span!("prove"),
        }
    }

    /// Returns how long the command ran, if it was started.
    pub fn wall(&self) -> Option<Duration> {
        let started = self.started?;
        Some(self.ended.unwrap_or_else(Instant::now) - started)
    }

    /// Says whether the helper's last words came on both streams: nothing of the output is missing,
    /// and nothing of the container is left but the helper itself.
    pub fn is_whole(&self) -> bool {
        self.stdout.is_whole && self.stderr.is_whole
    }

    /// Returns how the command ended, as far as that is certain: what the helper says counts only
    /// with all of the output. `None` where the stream broke off, or the helper died.
    pub fn told(&self) -> Option<Exit> {
        self.exit.filter(|_| self.is_whole()).or(self.killed)
    }

    /// Feeds and drains the container until it has ended and all output is read.
    pub async fn until_gone(
        &mut self,
        mut attached: Attached,
        feeding: impl Future<Output = std::io::Result<()>>,
        output: &mut dyn OutputSink,
    ) -> Result<(), SandboxError> {
        tokio::pin!(feeding);
        let mut is_fed = false;
        let mut deadline = Deadline::now() + PATIENCE;
        // An engine kills nobody whose output it cannot get rid of: both go on at once.
        let mut killing: Option<BoxFuture<'a, Result<Option<Duration>, SandboxError>>> = None;
        loop {
            let was_started = self.started.is_some();
            tokio::select! {
                piece = attached.next() => match piece {
                    Some(Ok(LogOutput::StdErr { message })) => {
                        let statuses = self.stderr.hear(Of::Stderr, &message, output)?;
                        statuses.into_iter().try_for_each(|status| self.note(status))?;
                    }
                    Some(Ok(LogOutput::StdOut { message })) => {
                        // Of the helper's words, only the last are on this stream.
                        self.stdout.hear(Of::Stdout, &message, output)?;
                    }
                    Some(Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. })) => {}
                    Some(Err(cause)) => return Err(cause).asking("read a container's output"),
                    None => break,
                },
                fed = &mut feeding, if !is_fed => {
                    is_fed = true;
                    if let Err(error) = fed {
                        // A command may end without reading its input.
                        tracing::debug!(%error, "not all input was taken");
                    }
                }
                () = sleep_until(deadline) => {
                    if self.killed.is_some() || self.started.is_none() {
                        return Err(broken("follow a container", "it does not answer"));
                    }
                    self.killed = Some(Exit::TimedOut);
                    killing = Some(kill(self.shared, self.container).boxed());
                    deadline = Deadline::now() + PATIENCE;
                }
                () = self.execution.cancel.cancelled(), if self.killed.is_none() => {
                    self.killed = Some(Exit::Cancelled);
                    killing = Some(kill(self.shared, self.container).boxed());
                    deadline = Deadline::now() + PATIENCE;
                }
                killed = OptionFuture::from(killing.as_mut()), if killing.is_some() => {
                    self.cpu = killed.transpose()?.flatten();
                    killing = None;
                }
            }
            if !was_started && self.started.is_some() && self.killed.is_none() {
                deadline = Deadline::now() + self.execution.timeout;
            }
        }
        if let Some(killing) = killing {
            self.cpu = killing.await?;
        }
        self.ended.get_or_insert_with(Instant::now);
        self.phase = tracing::Span::none();
        self.stdout.finish(Of::Stdout, output);
        self.stderr.finish(Of::Stderr, output);
        Ok(())
    }

    fn note(&mut self, status: Status) -> Result<(), SandboxError> {
        match status {
            Status::Enforced(proof) => {
                let has_network = self.execution.network == Network::Host;
                proof::check(&proof, self.identity, has_network)
                    .map_err(SandboxError::NotProven)?;
                if let Some(start) = self.start.take()
                    && start.send(()).is_err()
                {
                    tracing::debug!("the input had broken before");
                }
                self.started = Some(Instant::now());
                self.phase = debug_span!("command");
            }
            // Without proof, nothing that is said of a command counts.
            Status::Exited { .. } | Status::Signalled { .. } | Status::NotStarted { .. }
                if self.started.is_none() =>
            {
                let why = "it ended without proof".to_owned();
                return Err(SandboxError::NotProven(why));
            }
            Status::Exited { code } => self.end(Exit::Code(code)),
            Status::Signalled { signal } => self.end(Exit::Signal(signal)),
            Status::NotStarted { errno } => self.end(Exit::NotStarted { errno }),
            Status::Failed { step, errno } => {
                let cause = nix::errno::Errno::from_raw(errno);
                if cause == nix::errno::Errno::ENOSPC {
                    return Err(broken("start a command", "the engine's disk is full"));
                }
                return Err(SandboxError::NotProven(format!(
                    "could not {step}: {cause}"
                )));
            }
            Status::DiskFull => self.was_disk_full = true,
            Status::OutOfMemory => self.is_out_of_memory = true,
            Status::Used { cpu_microseconds } => {
                self.cpu = Some(Duration::from_micros(cpu_microseconds));
            }
            Status::Built { .. } | Status::Gone => {}
        }
        Ok(())
    }

    fn end(&mut self, exit: Exit) {
        self.exit = Some(exit);
        self.ended = Some(Instant::now());
        self.phase = debug_span!("last output");
    }
}

/// Kills a container and returns the processor time that it had used until then. The helper, which
/// would tell, is killed with all the rest.
async fn kill(shared: &Shared, container: &str) -> Result<Option<Duration>, SandboxError> {
    let cpu = cpu_until_now(shared, container).await;
    let options = KillContainerOptionsBuilder::new().signal("KILL").build();
    match shared.docker.kill_container(container, Some(options)).await {
        // It ended by itself in the same moment.
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        })
        | Ok(()) => Ok(cpu),
        Err(cause) => Err(cause).asking("kill a container"),
    }
}

/// One stream of a container's output.
struct Ear {
    splitter: StatusSplitter,
    /// The helper's last words came: nothing of the stream is missing.
    is_whole: bool,
}

impl Ear {
    fn new(nonce: &str) -> Self {
        Self {
            splitter: StatusSplitter::new(nonce),
            is_whole: false,
        }
    }

    /// Passes on what the command wrote; returns what the helper reports.
    fn hear(
        &mut self,
        of: Of,
        bytes: &[u8],
        output: &mut dyn OutputSink,
    ) -> Result<Vec<Status>, SandboxError> {
        let mut statuses = Vec::new();
        for piece in self.splitter.push(bytes) {
            match piece {
                Piece::Output(bytes) => output.write(of, &bytes),
                Piece::Status(json) => {
                    let status = parse(&json).ok_or_else(|| {
                        SandboxError::NotProven("an unreadable status".to_owned())
                    })?;
                    self.is_whole |= matches!(status, Status::Gone);
                    statuses.push(status);
                }
            }
        }
        Ok(statuses)
    }

    fn finish(&mut self, of: Of, output: &mut dyn OutputSink) {
        let rest = std::mem::replace(&mut self.splitter, StatusSplitter::new("")).finish();
        if !rest.is_empty() {
            output.write(of, &rest);
        }
    }
}

/// Returns the processor time of a running container, helper included; `None` where the engine does
/// not say so in time.
async fn cpu_until_now(shared: &Shared, container: &str) -> Option<Duration> {
    const WORTH_WAITING: Duration = Duration::from_secs(2);
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true);
    let mut stats = Box::pin(shared.docker.stats(container, Some(options.build())));
    let told = tokio::time::timeout(WORTH_WAITING, stats.next()).await;
    let usage = told.ok()??.ok()?.cpu_stats?.cpu_usage?;
    Some(Duration::from_nanos(usage.total_usage?))
}
