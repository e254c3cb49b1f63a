//! The second stage: pid 1 of the sandbox.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use autoclave_enter::{Spec, Status};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, pivot_root, sethostname};

use crate::status::{Channel, During, Failure};
use crate::{command, mounts, stage};

/// Finishes the view, starts the command's stage, reaps, and reports how the command ended.
///
/// `outer` is the pid of the stage outside. Returns the code to exit with.
pub fn run(spec: &Spec, channel: &mut Channel, outer: Pid) -> u8 {
    let outcome = start(spec, channel, outer).and_then(reap);
    let sent = match outcome {
        Ok(status) => channel.send(&status),
        Err(failure) => channel.send_failure(failure),
    };
    if sent.is_ok() { 0 } else { 7 }
}

fn start(spec: &Spec, channel: &mut Channel, outer: Pid) -> Result<Pid, Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).during("tie init to the sandbox")?;
    // Still the host's /proc: getppid(2) says 0 for a parent in another pid namespace.
    let status = fs::read_to_string("/proc/self/status").during("read the parent")?;
    if !status.lines().any(|line| line == format!("PPid:\t{outer}")) {
        return Err(Failure::new("the outer stage is gone", 0));
    }
    // The stage outside has the sandbox's files open.
    stage::close_all_but(channel.file())?;
    change_root(spec)?;
    sethostname("autoclave").during("name the host")?;
    if !spec.has_host_network {
        raise_loopback()?;
    }
    // Before the command is there, which may have the same uid.
    prctl::set_dumpable(false).during("hide init")?;
    let command = stage::start("the command's stage", || command::run(spec, channel))?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .during("open /dev/null")?;
    stage::leave_streams(&null)?;
    Ok(command)
}

/// Waits for the command; everything else that dies is reaped on the way.
fn reap(command: Pid) -> Result<Status, Failure> {
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => {
                return Ok(Status::Exited { code });
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return Ok(Status::Signalled {
                    signal: signal as i32,
                });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::new("wait for the command", errno as i32)),
        }
    }
}

fn change_root(spec: &Spec) -> Result<(), Failure> {
    let root = mounts::root(spec);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(
        Some("proc"),
        &root.join("proc"),
        Some("proc"),
        flags,
        None::<&str>,
    )
    .during("mount /proc")?;
    chdir(&root).during("enter the new root")?;
    // The old root lands on top of the new one and is then detached; see pivot_root(2).
    pivot_root(".", ".").during("change the root")?;
    umount2(".", MntFlags::MNT_DETACH).during("detach the host's files")?;
    chdir("/").during("enter the new root")
}

/// Sets the loopback interface up with one rtnetlink(7) message.
fn raise_loopback() -> Result<(), Failure> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    const LOOPBACK_INDEX: i32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .during("open netlink")?;
    sendto(
        netlink.as_raw_fd(),
        &message,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )
    .during("raise the loopback interface")?;
    Ok(())
}
