//! The developers' log: `runner.log` in the folder of the run.
//!
//! Only autoclave's own lines go there, so that no library can write a request or a key into it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use autoclave_runner::campaign::RunFolder;
use autoclave_runner::event::{Event, EventKind, Reporter};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// Names the level: error, warn, info, debug or trace.
const VARIABLE: &str = "AUTOCLAVE_LOG";
/// What is kept of the time before the run's folder is known.
const MOST_HELD: usize = 1 << 20;

/// Where the lines go. Shared by the subscriber, which lives as long as the process, and by the one
/// who learns the run's folder.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Sink>>);

#[derive(Debug)]
enum Sink {
    Held(Vec<u8>),
    File(File),
}

impl Log {
    /// Starts to take what the libraries log, holding it until there is a file.
    ///
    /// # Errors
    ///
    /// [`Exit::Usage`] when `AUTOCLAVE_LOG` is no level.
    pub fn start() -> Result<Self, Failure> {
        let level = match std::env::var(VARIABLE) {
            Err(_) => LevelFilter::INFO,
            Ok(word) => word.parse().map_err(|_| {
                Failure::new(Exit::Usage, format!("{VARIABLE}: `{word}` is no level"))
                    .hint("It is one of: off, error, warn, info, debug, trace.")
            })?,
        };
        let log = Self(Arc::new(Mutex::new(Sink::Held(Vec::new()))));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(log.clone())
            .with_filter(Targets::new().with_target("autoclave", level));
        // A second log of the same process, as in tests, stays empty.
        drop(tracing_subscriber::registry().with(lines).try_init());
        Ok(log)
    }

    /// Goes on in the file at `path`, with what was held so far.
    fn go_on_in(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(path)?;
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Sink::Held(bytes) = &*sink {
            file.write_all(bytes)?;
        }
        *sink = Sink::File(file);
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Held(held) if held.len() < MOST_HELD => held.write(bytes),
            Sink::Held(_) => Ok(bytes.len()),
            Sink::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reporter that also tells the log where the run's folder is.
pub struct Logged {
    pub reporter: Box<dyn Reporter>,
    pub log: Log,
    pub runs_dir: PathBuf,
}

impl Reporter for Logged {
    fn event(&mut self, event: &Event) {
        if let EventKind::RunStarted { run, .. } = &event.kind {
            let path = RunFolder::new(&self.runs_dir, run).log();
            if let Err(cause) = self.log.go_on_in(&path) {
                // A log that cannot be written stops no run.
                tracing::debug!(%cause, "no log");
            }
        }
        self.reporter.event(event);
    }
}
