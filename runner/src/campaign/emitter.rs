//! The one ordered stream of events: to `events.jsonl` and to the reporter.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use super::CampaignError;
use crate::event::{Event, EventKind, Reporter};

/// Numbers events, writes them down, and shows them.
pub struct Emitter<'r> {
    file: Option<File>,
    reporter: &'r mut dyn Reporter,
    seq: u64,
}

impl<'r> Emitter<'r> {
    /// Appends to the events at `path`, going on with their numbers.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Folder`] when the file cannot be opened or read.
    pub fn append(path: &Path, reporter: &'r mut dyn Reporter) -> Result<Self, CampaignError> {
        let folder_error = |cause| CampaignError::Folder {
            path: path.to_owned(),
            cause,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(folder_error)?;
        let mut seq = 0;
        let mut line = Vec::new();
        let mut reader = BufReader::new(&mut file);
        while reader.read_until(b'\n', &mut line).map_err(folder_error)? > 0 {
            seq += u64::from(line.ends_with(b"\n"));
            let torn = !line.ends_with(b"\n");
            line.clear();
            if torn {
                file.write_all(b"\n").map_err(folder_error)?;
                break;
            }
        }
        Ok(Self {
            file: Some(file),
            reporter,
            seq,
        })
    }

    /// Shows events without writing them down, for work outside a run.
    pub fn unrecorded(reporter: &'r mut dyn Reporter) -> Self {
        Self {
            file: None,
            reporter,
            seq: 0,
        }
    }

    /// Emits one event. A failure to write it down is logged: the ledger is the truth, not this.
    pub fn emit(&mut self, kind: EventKind) {
        self.seq += 1;
        let at_ms = super::clock::now_ms();
        let event = Event {
            v: 1,
            seq: self.seq,
            at_ms,
            kind,
        };
        if let Some(file) = &mut self.file {
            let line = serde_json::to_vec(&event).map_err(std::io::Error::from);
            let written = line.and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            if let Err(cause) = written {
                tracing::error!(%cause, "could not write an event");
                self.file = None;
            }
        }
        self.reporter.event(&event);
    }

    pub fn warn(&mut self, message: impl Into<String>) {
        self.emit(EventKind::Warning {
            message: message.into(),
        });
    }
}
