//! The channel on which stages tell the runner how far they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use autoclave_enter::Status;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// A stage's end of the status channel.
pub struct Channel(File);

/// What a stage could not do.
pub struct Failure {
    step: String,
    errno: i32,
}

impl Channel {
    /// Opens the fifo at `path`, which the runner reads.
    ///
    /// A runner that has died reads nothing: then this fails (ENXIO, see fifo(7)) instead of
    /// waiting for another reader for ever.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(path)?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok(Self(file))
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    /// Writes one line; shorter than `PIPE_BUF`, so that lines of several stages do not mix.
    pub fn send(&mut self, status: &Status) -> io::Result<()> {
        let mut line = serde_json::to_string(status)?;
        line.push('\n');
        self.0.write_all(line.as_bytes())
    }

    pub fn send_failure(&mut self, failure: Failure) -> io::Result<()> {
        self.send(&failure.into_status())
    }
}

/// Names the step that an error stopped.
pub trait During<T> {
    fn during(self, step: &str) -> Result<T, Failure>;
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, step: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, errno as i32))
    }
}

impl<T> During<T> for io::Result<T> {
    fn during(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, error.raw_os_error().unwrap_or(Errno::EIO as i32)))
    }
}

impl Failure {
    pub fn new(step: &str, errno: i32) -> Self {
        let step = step.chars().take(800).collect();
        Self { step, errno }
    }

    pub fn into_status(self) -> Status {
        Status::Failed {
            step: self.step,
            errno: self.errno,
        }
    }
}
