//! The first stage: on the host's side of the sandbox, alive until the runner has its files.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use autoclave_enter::{Files, Spec, Status};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getgid, getppid, getuid, pause};

use crate::status::{Channel, During, Failure};
use crate::{alone, init, input, mounts, stage};

/// Builds the sandbox that standard input describes, and holds it until killed.
pub fn run() -> ExitCode {
    let Ok(spec) = input::description::<Spec>() else {
        return ExitCode::from(3);
    };
    let Ok(mut channel) = Channel::open(&spec.status) else {
        return ExitCode::from(5);
    };
    if let Files::Unmounted(copy) = &spec.files {
        return alone::run(&spec, copy, &mut channel);
    }
    match hold(&spec, &mut channel) {
        // Open until the runner has read what it wants of them.
        Ok(_files) => loop {
            pause();
        },
        Err(failure) => {
            // The runner also sees that the channel closes without proof.
            let sent = channel.send_failure(failure);
            ExitCode::from(if sent.is_ok() { 6 } else { 7 })
        }
    }
}

/// Returns the sandbox's tmpfs when nothing runs in it any more.
fn hold(spec: &Spec, channel: &mut Channel) -> Result<File, Failure> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .during("open /dev/null")?;
    join_cgroup(spec)?;
    separate(spec)?;
    // After the change of namespaces, which may clear it.
    prctl::set_pdeathsig(Signal::SIGKILL).during("tie the sandbox to the runner")?;
    if getppid() != Pid::from_raw(spec.runner_pid) {
        return Err(Failure::new("the runner is gone", 0));
    }
    let files = mounts::build(spec)?;
    let outer = Pid::this();
    let init = stage::start("the sandbox's init", || init::run(spec, channel, outer))?;
    stage::leave_streams(&null)?;
    channel
        .send(&Status::Built {
            init: init.as_raw(),
            files: files.as_raw_fd(),
        })
        .during("report")?;
    // Left as a zombie: its pid cannot name anyone else while the runner may signal it. The kernel
    // ends the wait for a pid 1 only when everything in its namespace is gone.
    waitid(Id::Pid(init), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .during("wait for the sandbox's init")?;
    channel.send(&Status::Gone).during("report")?;
    Ok(files)
}

pub fn join_cgroup(spec: &Spec) -> Result<(), Failure> {
    for file in &spec.cgroup_joins {
        fs::write(file, "0").during(&format!("join the cgroup {}", file.display()))?;
    }
    Ok(())
}

/// Leaves the host's namespaces.
fn separate(spec: &Spec) -> Result<(), Failure> {
    let (uid, gid) = (getuid(), getgid());
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !spec.has_host_network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    if spec.is_user_namespace {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).during("make namespaces")?;
    if spec.is_user_namespace {
        write_map("/proc/self/setgroups", "deny")?;
        write_map("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
        write_map("/proc/self/gid_map", &format!("{gid} {gid} 1"))?;
    }
    Ok(())
}

fn write_map(file: &str, text: &str) -> Result<(), Failure> {
    fs::write(Path::new(file), text).during(&format!("write {file}"))
}

/// Opens a directory for later use by other processes.
pub fn open_directory(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_CLOEXEC)
        .open(path)
}
