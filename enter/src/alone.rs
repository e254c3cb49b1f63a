//! The only stage beside the command's where there are no namespaces: copies, reaps, kills.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;

use autoclave_enter::{Spec, Status};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::outside::{join_cgroup, open_directory};
use crate::status::{Channel, During, Failure};
use crate::{command, copies, stage};

/// The runner wants everything that this stage started to end.
const END_ALL: Signal = Signal::SIGUSR1;
/// The runner wants this stage to end, too, or has died.
const LEAVE: Signal = Signal::SIGTERM;

/// Starts the command that `spec` describes on a copy of its files in `copy`, and stays until
/// told to leave. Everything started meanwhile is gone by then.
pub fn run(spec: &Spec, copy: &Path, channel: &mut Channel) -> ExitCode {
    let sent = match hold(spec, copy, channel) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => channel.send_failure(failure),
    };
    ExitCode::from(if sent.is_ok() { 6 } else { 7 })
}

fn hold(spec: &Spec, copy: &Path, channel: &mut Channel) -> Result<(), Failure> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .during("open /dev/null")?;
    let signals: SigSet = [END_ALL, LEAVE, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block().during("wait for signals")?;
    prctl::set_pdeathsig(LEAVE).during("tie the sandbox to the runner")?;
    if getppid() != Pid::from_raw(spec.runner_pid) {
        return Err(Failure::new("the runner is gone", 0));
    }
    // What the command's processes leave behind when they end becomes a child of this one.
    prctl::set_child_subreaper(true).during("adopt orphans")?;
    let layers = spec.layers.iter().map(std::path::PathBuf::as_path);
    copies::merge(layers, &spec.opaque, copy)?;
    let files = open_directory(copy).during("open the copy")?;
    join_cgroup(spec)?;
    channel
        .send(&Status::Built {
            init: std::process::id().cast_signed(),
            files: files.as_raw_fd(),
        })
        .during("report")?;
    // Before the command is there, which may have the same uid.
    prctl::set_dumpable(false).during("hide the outer stage")?;
    let command = stage::start("the command's stage", || {
        if SigSet::empty().thread_set_mask().is_err() {
            return 7;
        }
        command::run(spec, channel)
    })?;
    let followed = stage::leave_streams(&null).and_then(|()| follow(command, &signals, channel));
    // Whatever went wrong: nothing is left running.
    end_all()?;
    let mut asked = followed?;
    channel.send(&Status::Gone).during("report")?;
    while asked != Some(LEAVE) {
        asked = Some(signals.wait().during("wait for a signal")?);
    }
    Ok(())
}

/// Reaps until the command has ended, which is reported, or a signal says to stop.
fn follow(
    command: Pid,
    signals: &SigSet,
    channel: &mut Channel,
) -> Result<Option<Signal>, Failure> {
    loop {
        match signals.wait().during("wait for a signal")? {
            Signal::SIGCHLD => {
                if let Some(status) = reap(command)? {
                    channel.send(&status).during("report")?;
                    return Ok(None);
                }
            }
            asked => return Ok(Some(asked)),
        }
    }
}

/// Takes in all that has ended; returns how the command did, if it is among them.
fn reap(command: Pid) -> Result<Option<Status>, Failure> {
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => {
                return Ok(Some(Status::Exited { code }));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                let signal = signal as i32;
                return Ok(Some(Status::Signalled { signal }));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new("wait for the command", errno as i32)),
        }
    }
}

/// Kills every descendant until there is none: the dead start nothing, and what they had started
/// becomes a child of this process.
fn end_all() -> Result<(), Failure> {
    loop {
        for pid in descendants().during("list processes")? {
            // One that has just ended is no failure; numbers go round once in millions.
            match kill(pid, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(Failure::new("kill the command", errno as i32)),
            }
        }
        match waitpid(None::<Pid>, None) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new("wait for the end", errno as i32)),
        }
        while let Ok(ended) = waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG))
            && ended != WaitStatus::StillAlive
        {}
    }
}

/// Returns the processes whose line of parents leads to this one.
fn descendants() -> std::io::Result<Vec<Pid>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that ended meanwhile has no file any more.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The parent is the second field after the name; see proc_pid_stat(5).
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|parent| parent.parse::<i32>().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut unseen = vec![std::process::id().cast_signed()];
    while let Some(parent) = unseen.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            unseen.push(child);
        }
    }
    Ok(found)
}
