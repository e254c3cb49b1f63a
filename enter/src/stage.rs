//! How one stage starts the next, and what it keeps to itself.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use fork::Fork;
use nix::errno::Errno;
use nix::unistd::{Pid, close, dup2_stderr, dup2_stdin, dup2_stdout};

use crate::status::{During, Failure};

/// Runs `stage` as a child that exits with what it returns.
///
/// A copy of this process, not a re-run of its binary: that would cost a millisecond a stage. The
/// helper has one thread and `stage` is all that the copy does.
pub fn start(name: &str, stage: impl FnOnce() -> u8) -> Result<Pid, Failure> {
    match fork::fork().during(&format!("start {name}"))? {
        Fork::Child => std::process::exit(i32::from(stage())),
        Fork::Parent(pid) => Ok(Pid::from_raw(pid)),
    }
}

/// Lets go of the command's streams, so that their end is its end.
pub fn leave_streams(null: &File) -> Result<(), Failure> {
    dup2_stdin(null).during("close stdin")?;
    dup2_stdout(null).during("close stdout")?;
    dup2_stderr(null).during("close stderr")
}

/// Closes every descriptor but the three streams and `kept`.
pub fn close_all_but(kept: &File) -> Result<(), Failure> {
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd")
        .during("list descriptors")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && *number != kept.as_raw_fd())
        .collect();
    for number in numbers {
        match close(number) {
            // The listing's own descriptor is already closed.
            Ok(()) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(Failure::new("close a descriptor", errno as i32)),
        }
    }
    Ok(())
}
