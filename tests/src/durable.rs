//! Kills a program just before a chosen change to the disk, by following its system calls.
//!
//! The program under test is the real one, without a line of code for this. ptrace(2) stops it at
//! the entry of every system call; those that change files under a folder are the steps. A program
//! that is killed at the entry of a call has not made it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a followed program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    /// By us, before the step that was chosen.
    Killed,
}

/// A program that is stopped at each of its steps.
pub struct Followed {
    child: Child,
    pid: Pid,
    root: PathBuf,
}

impl Followed {
    /// Starts `program`, which is followed where it changes files under `root`. `dress` gives it its
    /// arguments and surroundings.
    pub fn start(program: &Path, root: &Path, dress: impl FnOnce(Command) -> Command) -> Self {
        // Stops itself, so that it is followed from its first instruction.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
            .arg(program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = dress(shell).spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).unwrap();
        kill(pid, Signal::SIGCONT).unwrap();
        Self {
            child,
            pid,
            root: root.to_owned(),
        }
    }

    /// Lets it run to its end. `is_last` is told each step it is about to make; it is killed before
    /// the first for which that is true.
    pub fn until(mut self, mut is_last: impl FnMut(&str) -> bool) -> Ended {
        let mut is_entry = true;
        loop {
            let signal = match waitpid(self.pid, None).unwrap() {
                WaitStatus::Exited(_, code) => return Ended::Exited(code),
                WaitStatus::Signaled(..) => return Ended::Killed,
                WaitStatus::PtraceSyscall(_) => {
                    if is_entry
                        && let Some(step) = self.step()
                        && is_last(&step)
                    {
                        kill(self.pid, Signal::SIGKILL).unwrap();
                        self.child.wait().unwrap();
                        return Ended::Killed;
                    }
                    is_entry = !is_entry;
                    None
                }
                WaitStatus::Stopped(_, signal) => Some(signal),
                _ => None,
            };
            ptrace::syscall(self.pid, signal).unwrap();
        }
    }

    /// Returns the step that the system call about to be made is; `None` when it changes nothing
    /// under the root.
    fn step(&self) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/syscall", self.pid)).ok()?;
        let mut words = text.split_whitespace();
        let number: i64 = words.next()?.parse().ok()?;
        let arguments: Vec<u64> = words
            .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .collect();
        let argument = |n: usize| arguments.get(n).copied().unwrap_or(0);
        let (verb, path) = match number {
            libc::SYS_openat if writes(argument(2)) => {
                ("create", self.at(argument(0), argument(1)))
            }
            libc::SYS_mkdirat => ("make", self.at(argument(0), argument(1))),
            libc::SYS_unlinkat => ("remove", self.at(argument(0), argument(1))),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                ("rename to", self.at(argument(2), argument(3)))
            }
            libc::SYS_linkat => ("link", self.at(argument(2), argument(3))),
            libc::SYS_fsync | libc::SYS_fdatasync => ("sync", self.descriptor(argument(0))),
            libc::SYS_ftruncate => ("cut", self.descriptor(argument(0))),
            libc::SYS_write => ("write", self.descriptor(argument(0))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open if writes(argument(1)) => ("create", self.text(argument(0))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => ("make", self.text(argument(0))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink | libc::SYS_rmdir => ("remove", self.text(argument(0))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => ("rename to", self.text(argument(1))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link => ("link", self.text(argument(1))),
            _ => return None,
        };
        let path = path.ok()?;
        let path = path.strip_prefix(&self.root).ok()?;
        Some(format!("{verb} {}", path.display()))
    }

    fn at(&self, directory: u64, name: u64) -> io::Result<PathBuf> {
        let name = self.text(name)?;
        if name.is_absolute() {
            return Ok(name);
        }
        // AT_FDCWD, seen as 32 or 64 bits.
        let folder = if low(directory) == libc::AT_FDCWD {
            std::fs::read_link(format!("/proc/{}/cwd", self.pid))?
        } else {
            self.descriptor(directory)?
        };
        Ok(folder.join(name))
    }

    fn descriptor(&self, number: u64) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/{}/fd/{}", self.pid, low(number)))
    }

    /// Reads a path out of the program's memory.
    fn text(&self, address: u64) -> io::Result<PathBuf> {
        let memory = File::open(format!("/proc/{}/mem", self.pid))?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 64];
        loop {
            let read = memory.read_at(&mut chunk, address + bytes.len() as u64)?;
            match chunk[..read].iter().position(|byte| *byte == 0) {
                Some(end) => {
                    bytes.extend_from_slice(&chunk[..end]);
                    return Ok(PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()));
                }
                None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => bytes.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// Returns an argument that is an `int`: of the register, only the low half means anything.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is not part of it"
)]
fn low(argument: u64) -> i32 {
    (argument as u32).cast_signed()
}

fn writes(flags: u64) -> bool {
    let changing = libc::O_CREAT | libc::O_TRUNC;
    low(flags) & changing != 0
}
