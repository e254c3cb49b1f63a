//! The audit file: one JSON line a request, never a body or a key.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::model::Cost;

/// Bytes after which refused requests are no longer written, so that asking does not fill the disk.
const REFUSED_UNTIL_BYTES: u64 = 64 * 1024 * 1024;
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

/// An open audit file. Requests end at any time and on any task, hence the lock.
#[derive(Debug)]
pub struct Audit(Mutex<Log>);

#[derive(Debug)]
struct Log {
    file: File,
    written: u64,
}

impl Audit {
    /// Opens the file to append; it is made for its owner only.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let written = file.metadata()?.len();
        Ok(Self(Mutex::new(Log { file, written })))
    }

    /// Appends a line.
    pub fn write(&self, line: &AuditLine<'_>) -> io::Result<()> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.refused.is_some() && log.written > REFUSED_UNTIL_BYTES {
            return Ok(());
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        log.file.write_all(&text)?;
        log.written += text.len() as u64;
        Ok(())
    }
}

/// Returns as much of a caller's text as an audit line holds.
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
