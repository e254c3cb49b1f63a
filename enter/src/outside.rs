//! The first stage: on the host's side of the sandbox, alive until the runner has its files.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use autoclave_enter::{Spec, Status};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getgid, getppid, getuid, pause};

use crate::mounts;
use crate::status::{Channel, During, Failure};

/// Builds the sandbox that the file at `spec` describes, and holds it until killed.
pub fn run(spec: &str) -> ExitCode {
    let Ok(spec_file) = File::open(spec) else {
        return ExitCode::from(3);
    };
    let Ok(spec) = serde_json::from_reader::<_, Spec>(&spec_file) else {
        return ExitCode::from(4);
    };
    let Ok(mut channel) = Channel::open(&spec.status) else {
        return ExitCode::from(5);
    };
    match hold(&spec, &spec_file, &mut channel) {
        Ok(()) => loop {
            pause();
        },
        Err(failure) => {
            // The runner also sees that the channel closes without proof.
            let sent = channel.send_failure(failure);
            ExitCode::from(if sent.is_ok() { 6 } else { 7 })
        }
    }
}

fn hold(spec: &Spec, spec_file: &File, channel: &mut Channel) -> Result<(), Failure> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .during("open /dev/null")?;
    for file in &spec.cgroup_joins {
        fs::write(file, "0").during(&format!("join the cgroup {}", file.display()))?;
    }
    separate(spec)?;
    // After the change of namespaces, which may clear it.
    prctl::set_pdeathsig(Signal::SIGKILL).during("tie the sandbox to the runner")?;
    if getppid() != Pid::from_raw(spec.runner_pid) {
        return Err(Failure::new("the runner is gone", 0));
    }
    let files = mounts::build(spec)?;
    if spec.is_user_namespace {
        keep_capabilities()?;
    }
    let init = Command::new("/proc/self/exe")
        .arg("init")
        .arg(inheritable(spec_file)?)
        .arg(inheritable(channel.file())?)
        .arg(std::process::id().to_string())
        .env_clear()
        .spawn()
        .during("start the sandbox's init")?;
    // From here on only the command holds its streams, so that their end is its end.
    dup2_stdin(&null).during("close stdin")?;
    dup2_stdout(&null).during("close stdout")?;
    dup2_stderr(&null).during("close stderr")?;
    let init = Pid::from_raw(init.id().cast_signed());
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
    loop {
        pause();
    }
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

/// Lets the namespace's capabilities survive the re-run: an ordinary uid loses them otherwise.
fn keep_capabilities() -> Result<(), Failure> {
    let permitted = caps::read(None, caps::CapSet::Permitted)
        .map_err(|_| Failure::new("read capabilities", 0))?;
    caps::set(None, caps::CapSet::Inheritable, &permitted)
        .and_then(|()| caps::set(None, caps::CapSet::Ambient, &permitted))
        .map_err(|_| Failure::new("keep the namespace's capabilities", 0))
}

/// Lets the next stages inherit `file`; returns its number, under which they reopen it.
fn inheritable(file: &File) -> Result<String, Failure> {
    fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).during("hand on a descriptor")?;
    Ok(file.as_raw_fd().to_string())
}

/// Opens a directory for later use by other processes.
pub fn open_directory(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_CLOEXEC)
        .open(path)
}
