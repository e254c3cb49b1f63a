//! The audit file: one JSON line a request, never a body or a key.
//!
//! Users read it: `docs/gateway.md` documents the fields, which are only ever added to.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::limits::AUDIT_PATIENCE;
use crate::model::Cost;

/// Bytes after which refused requests are no longer written, so that asking does not fill the disk.
const REFUSED_UNTIL_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of lines not written yet after which refused requests are dropped, for the same reason.
const REFUSED_UNTIL_HELD: usize = 1024 * 1024;
/// Pause before a reader that was busy is tried again.
const BUSY_RETRY: Duration = Duration::from_millis(5);
/// Characters of a path or model name, which the caller chose.
const MAX_SHOWN: usize = 200;

/// One request.
#[derive(Debug, Serialize)]
pub struct AuditLine<'a> {
    /// When it came; milliseconds since 1970.
    pub at_ms: i64,
    pub method: &'a str,
    pub path: &'a str,
    pub model: Option<&'a str>,
    /// The status answered; none if the caller left before.
    pub status: Option<u16>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_usd: Cost,
    pub ms: u64,
    /// Why it was not passed on.
    pub refused: Option<&'a str>,
}

/// Where audit lines go.
#[derive(Debug)]
pub enum AuditTo {
    /// Appended to; made for its owner only.
    File(PathBuf),
    /// Somebody who writes them down; does not block.
    Stream(UnixStream),
}

/// An open audit file. Requests end at any time and on any task, hence the lock.
pub struct Audit(Mutex<Log>);

struct Log {
    out: Box<dyn Write + Send>,
    written: u64,
    /// What could not be written yet; of refused requests only so much.
    backlog: Vec<u8>,
}

impl Audit {
    /// Opens what lines are appended to.
    pub fn open(to: AuditTo) -> io::Result<Self> {
        let (out, written): (Box<dyn Write + Send>, u64) = match to {
            AuditTo::Stream(stream) => (Box::new(stream), 0),
            AuditTo::File(path) => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(path)?;
                let written = file.metadata()?.len();
                (Box::new(file), written)
            }
        };
        Ok(Self(Mutex::new(Log {
            out,
            written,
            backlog: Vec::new(),
        })))
    }

    /// Writes what could not be written before. A reader that is merely busy gets some time.
    ///
    /// # Errors
    ///
    /// When it still cannot: then no request may be passed on.
    pub async fn catch_up(&self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            let drained = self.log().drain();
            match drained {
                Err(cause)
                    if cause.kind() == io::ErrorKind::WouldBlock
                        && start.elapsed() < AUDIT_PATIENCE =>
                {
                    sleep(BUSY_RETRY).await;
                }
                drained => return drained,
            }
        }
    }

    /// Appends a line; one that cannot be written is kept for [`catch_up`](Self::catch_up).
    pub fn write(&self, line: &AuditLine<'_>) -> io::Result<()> {
        let mut log = self.log();
        let is_full = log.backlog.len() > REFUSED_UNTIL_HELD || log.written > REFUSED_UNTIL_BYTES;
        if line.refused.is_some() && is_full {
            return Ok(());
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        log.backlog.append(&mut text);
        log.drain()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn drain(&mut self) -> io::Result<()> {
        drain(&mut self.backlog, &mut self.out, &mut self.written)
    }
}

/// Writes as much of `backlog` as there is room for and removes it, so that no line is torn for
/// good when the disk is full in the middle of it.
fn drain(backlog: &mut Vec<u8>, out: &mut impl Write, written: &mut u64) -> io::Result<()> {
    while !backlog.is_empty() {
        match out.write(backlog) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                backlog.drain(..count);
                *written += count as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// Returns as much of a caller's text as an audit line holds.
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_found_no_room_is_written_on_later() {
        let (mut backlog, mut written) = (b"{\"a\":1}\n".to_vec(), 0);
        let mut small = [0; 3];
        let full = drain(&mut backlog, &mut small.as_mut_slice(), &mut written);
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::WriteZero);
        let mut rest = Vec::new();
        drain(&mut backlog, &mut rest, &mut written).unwrap();
        assert_eq!(small.as_slice(), b"{\"a");
        assert_eq!(rest, b"\":1}\n");
        assert_eq!((backlog.len(), written), (0, 8));
    }
}
