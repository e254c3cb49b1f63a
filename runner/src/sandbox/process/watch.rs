//! The talk with the helper, from what it is to build to the end of the command.

use std::path::Path;
use std::time::Duration;

use autoclave_enter::{Proof, START, Spec, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant as Deadline, sleep_until};

use super::layer::During;
use super::proof;
use crate::sandbox::{Execution, Exit, OutputSink, SandboxError, Stream};

/// How long a sandbox may take from its start to its proof, or from its end to the last word.
const PATIENCE: Duration = Duration::from_secs(60);
const CHUNK: usize = 64 << 10;

/// Where the inside of a proven sandbox is found.
pub struct Inside {
    pub init: Pid,
    pub files: i32,
}

pub type StatusLines = Lines<BufReader<pipe::Receiver>>;

/// Tells the helper what to build, waits until the sandbox has proven itself, and lets the command
/// start; `None` when cancelled before that.
pub async fn prove(
    child: &mut Child,
    stdin: &mut Option<ChildStdin>,
    status: &mut StatusLines,
    spec: &Spec,
    execution: &Execution<'_>,
) -> Result<Option<Inside>, SandboxError> {
    let deadline = Deadline::now() + PATIENCE;
    let text = framed(spec)?;
    let mut untold = text.as_slice();
    let mut inside = None;
    let mut proof: Option<Box<Proof>> = None;
    loop {
        let line = tokio::select! {
            biased;
            line = status.next_line() => parse(line)?,
            n = write(stdin, untold), if !untold.is_empty() => {
                // 0 from a helper that reads no more: what it says, or how it ends, is next.
                untold = if n == 0 { &[] } else { &untold[n..] };
                continue;
            }
            exit = child.wait() => {
                let exit = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
                return Err(SandboxError::NotProven(format!("its outer stage ended: {exit}")));
            }
            () = sleep_until(deadline) => {
                return Err(SandboxError::NotProven("it did not answer".to_owned()));
            }
            () = execution.cancel.cancelled() => {
                return Ok(None);
            }
        };
        match line {
            Status::Built { init, files } => {
                let init = Pid::from_raw(init);
                inside = Some((init, files));
            }
            Status::Enforced(found) => proof = Some(found),
            Status::Failed { step, errno } => return Err(failed(&step, errno)),
            Status::Gone
            | Status::Used { .. }
            | Status::DiskFull
            | Status::OutOfMemory
            | Status::NotStarted { .. }
            | Status::Exited { .. }
            | Status::Signalled { .. } => {
                return Err(SandboxError::NotProven(
                    "it ended before its command started".to_owned(),
                ));
            }
        }
        if let (Some((init, files)), Some(found)) = (inside, &proof) {
            proof::check(found, spec).map_err(SandboxError::NotProven)?;
            // One byte into a pipe that the helper has emptied: this does not wait.
            if write(stdin, &[START]).await == 0 {
                return Err(SandboxError::NotProven("its input closed".to_owned()));
            }
            return Ok(Some(Inside { init, files }));
        }
    }
}

/// Returns the description as the helper reads it: its length in eight bytes, then itself. What
/// follows in standard input is the command's.
fn framed(spec: &Spec) -> Result<Vec<u8>, SandboxError> {
    let text =
        serde_json::to_vec(spec).map_err(|error| SandboxError::Backend(error.to_string()))?;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes();
    Ok([length.as_slice(), &text].concat())
}

fn parse(line: std::io::Result<Option<String>>) -> Result<Status, SandboxError> {
    let line = line
        .during("read", Path::new("status"))?
        .ok_or_else(|| SandboxError::NotProven("the status channel closed".to_owned()))?;
    serde_json::from_str(&line)
        .map_err(|_| SandboxError::NotProven(format!("unreadable status `{line}`")))
}

fn failed(step: &str, errno: i32) -> SandboxError {
    let cause = match errno {
        0 => String::new(),
        errno => format!(": {}", nix::errno::Errno::from_raw(errno)),
    };
    SandboxError::NotProven(format!("could not {step}{cause}"))
}

pub type Streams = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

/// Follows a running command.
pub struct Watch<'a> {
    pub execution: &'a Execution<'a>,
    pub init: Pid,
    /// What makes `init` end all.
    pub end: Signal,
    pub status: StatusLines,
}

impl Watch<'_> {
    /// Feeds and drains the command until nothing of it runs and all output is read.
    pub async fn until_gone(
        mut self,
        child: &mut Child,
        (mut stdin, mut stdout, mut stderr): Streams,
        output: &mut dyn OutputSink,
    ) -> Result<Exit, SandboxError> {
        let mut unwritten = self.execution.stdin.as_slice();
        let mut out = vec![0; CHUNK];
        let mut err = vec![0; CHUNK];
        let deadline = Deadline::now() + self.execution.timeout;
        let mut exit = None;
        let mut killed = None;
        let mut is_gone = false;
        while !is_gone || stdout.is_some() || stderr.is_some() {
            if unwritten.is_empty() {
                stdin = None;
            }
            let last_word = deadline + PATIENCE;
            tokio::select! {
                n = read(&mut stdout, &mut out), if stdout.is_some() => match n {
                    0 => stdout = None,
                    n => output.write(Stream::Stdout, &out[..n]),
                },
                n = read(&mut stderr, &mut err), if stderr.is_some() => match n {
                    0 => stderr = None,
                    n => output.write(Stream::Stderr, &err[..n]),
                },
                n = write(&mut stdin, unwritten), if stdin.is_some() => match n {
                    0 => stdin = None,
                    n => unwritten = &unwritten[n..],
                },
                line = self.status.next_line(), if !is_gone => match parse(line)? {
                    Status::Gone => is_gone = true,
                    Status::Exited { code } => exit = exit.or(Some(Exit::Code(code))),
                    Status::Signalled { signal } => exit = exit.or(Some(Exit::Signal(signal))),
                    Status::NotStarted { errno } => exit = Some(Exit::NotStarted { errno }),
                    Status::Failed { step, errno } => return Err(failed(&step, errno)),
                    Status::Built { .. }
                    | Status::Enforced(_)
                    | Status::Used { .. }
                    | Status::DiskFull
                    | Status::OutOfMemory => {}
                },
                ended = child.wait(), if !is_gone => {
                    let ended = ended.map_or_else(|error| error.to_string(), |e| e.to_string());
                    return Err(SandboxError::Backend(format!("the sandbox broke: {ended}")));
                }
                () = sleep_until(deadline), if killed.is_none() && !is_gone => {
                    killed = Some(Exit::TimedOut);
                    self.kill();
                }
                () = self.execution.cancel.cancelled(), if killed.is_none() && !is_gone => {
                    killed = Some(Exit::Cancelled);
                    self.kill();
                }
                () = sleep_until(last_word) => {
                    return Err(SandboxError::Backend("a killed sandbox does not end".to_owned()));
                }
            }
        }
        // Init reports how the command ended; if it could not, it was killed itself.
        Ok(exit
            .or(killed)
            .unwrap_or(Exit::Signal(Signal::SIGKILL as i32)))
    }

    /// Kills pid 1 of the sandbox, and so everything in it, or tells its stand-in to. Its pid stays
    /// its own, see `enter/src/outside.rs` and `enter/src/alone.rs`.
    fn kill(&self) {
        if let Err(error) = kill(self.init, self.end) {
            tracing::debug!(%error, "the sandbox had already ended");
        }
    }
}

/// Reads what there is; 0 at the end, which a broken pipe is too.
async fn read(from: &mut Option<impl AsyncReadExt + Unpin>, buffer: &mut [u8]) -> usize {
    match from {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Writes what fits; 0 where nobody reads any more.
async fn write(to: &mut Option<impl AsyncWriteExt + Unpin>, bytes: &[u8]) -> usize {
    match to {
        Some(pipe) => pipe.write(bytes).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
