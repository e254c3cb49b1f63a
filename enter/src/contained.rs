//! The first process of a container: completes its files, proves it, runs the command, reaps.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use autoclave_enter::{Contained, Status, Write, WriteKind};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command;
use crate::input::{self, Input};
use crate::status::{During, Failure};
use crate::{disk, memory};

/// Does all that [`Contained`] says and reports on standard error.
pub fn run() -> ExitCode {
    let mut nonce = String::new();
    let outcome = contain(&mut nonce);
    let status = match outcome {
        Ok(status) => status,
        Err(failure) => failure.into_status(),
    };
    // Both streams end with the same words, which nobody else can write any more: output without
    // them is not all of it.
    let is_told = send(&nonce, &status)
        .and_then(|()| used().map_or(Ok(()), |used| send(&nonce, &used)))
        .and_then(|()| send(&nonce, &Status::Gone))
        .and_then(|()| write(&mut io::stdout(), &nonce, &Status::Gone));
    ExitCode::from(if is_told.is_ok() { 0 } else { 7 })
}

fn contain(nonce: &mut String) -> Result<Status, Failure> {
    let spec: Contained = input::description()?;
    nonce.clone_from(&spec.nonce);
    // The command has the same uid: it must not read the nonce here.
    prctl::set_dumpable(false).during("become undumpable")?;
    for path in &spec.removals {
        remove(&spec.directory, path)?;
    }
    for write in &spec.writes {
        put(&spec.directory, write)?;
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0).during("forbid core dumps")?;
    setrlimit(Resource::RLIMIT_FSIZE, spec.disk_bytes, spec.disk_bytes)
        .during("limit the size of files")?;
    disk::check().during("watch the disk")?;
    if let Some(socket) = &spec.gateway {
        UnixStream::connect(socket)
            .during("reach the gateway's socket, which is not there as shared")?;
    }
    // What the engine alone has put in force.
    let proof = command::prove_contained(spec.has_network)?;
    command::filter(&spec.seccomp)?;
    send(&spec.nonce, &Status::Enforced(Box::new(proof))).during("report")?;
    input::wait_for_start()?;
    let mut words = spec.argv.iter().map(|word| OsStr::from_bytes(word));
    let program = words.next().unwrap_or_default();
    let env = spec
        .env
        .iter()
        .map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value)));
    let started = Command::new(program)
        .args(words)
        .env_clear()
        .envs(env)
        .current_dir(&spec.directory)
        .process_group(0)
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
            return Ok(Status::NotStarted { errno });
        }
    };
    let _watcher = disk::watch(spec.disk_bytes);
    let ended = wait_for(Pid::from_raw(child.id().cast_signed()))?;
    end_all()?;
    if memory::has_run_out() {
        send(&spec.nonce, &Status::OutOfMemory).during("report")?;
    }
    if disk::is_full() {
        send(&spec.nonce, &Status::DiskFull).during("report")?;
    }
    Ok(ended)
}

/// Waits for the command; everything else that dies is reaped on the way.
fn wait_for(command: Pid) -> Result<Status, Failure> {
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => {
                return Ok(Status::Exited { code });
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                let signal = signal as i32;
                return Ok(Status::Signalled { signal });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new("wait for the command", errno as i32)),
        }
    }
}

/// Kills what the command left running, and waits until it is gone.
fn end_all() -> Result<(), Failure> {
    loop {
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(Failure::new("kill what was left", errno as i32)),
        }
        match waitpid(None::<Pid>, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => return Err(Failure::new("wait for what was left", errno as i32)),
        }
    }
}

/// Returns what everything used that has ended: as the first process this one reaps whatever its
/// own parent did not. Children of a process that ignores SIGCHLD are not counted by the kernel;
/// see getrusage(2).
fn used() -> Option<Status> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let time = usage.user_time() + usage.system_time();
    let cpu_microseconds = time.num_microseconds().try_into().ok()?;
    Some(Status::Used { cpu_microseconds })
}

fn remove(workspace: &Path, path: &[u8]) -> Result<(), Failure> {
    let path = workspace.join(OsStr::from_bytes(path));
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.during(&format!("remove {}", path.display())),
    }
}

fn put(workspace: &Path, write: &Write) -> Result<(), Failure> {
    let path = workspace.join(OsStr::from_bytes(&write.path));
    let what = format!("write {}", path.display());
    let parent = match write.kind {
        WriteKind::Directory => Some(path.clone()),
        WriteKind::File { .. } | WriteKind::Link { .. } => path.parent().map(PathBuf::from),
    };
    if let Some(parent) = parent {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .during(&what)?;
    }
    match &write.kind {
        WriteKind::Directory => Ok(()),
        WriteKind::File {
            bytes,
            is_executable,
        } => {
            clear(&path).during(&what)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .during(&what)?;
            let copied = io::copy(&mut Input.take(*bytes), &mut file).during(&what)?;
            if copied != *bytes {
                return Err(Failure::new("read the contents of files", 0));
            }
            let mode = if *is_executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(mode)).during(&what)
        }
        WriteKind::Link { target } => {
            clear(&path).during(&what)?;
            symlink(OsStr::from_bytes(target), &path).during(&what)
        }
    }
}

/// Makes room for a file: what is there, of whatever kind, goes.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes one status line to standard error.
fn send(nonce: &str, status: &Status) -> io::Result<()> {
    write(&mut io::stderr(), nonce, status)
}

/// Writes one status line: a byte that starts no text, the nonce, JSON.
fn write<S: io::Write + AsFd>(stream: &mut S, nonce: &str, status: &Status) -> io::Result<()> {
    let mut line = format!("\x1e{nonce} ").into_bytes();
    serde_json::to_writer(&mut line, status)?;
    line.push(b'\n');
    // Standard streams are shared with the command, which may have made them non-blocking.
    fcntl(&stream, FcntlArg::F_SETFL(OFlag::empty()))?;
    stream.write_all(&line)?;
    stream.flush()
}
