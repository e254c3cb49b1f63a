//! What the kernel offers: namespaces, mounts, identities, IPC, interfaces that reach around.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::case::Control::ByRoot;
use crate::case::Outcome::Denied;
use crate::case::{Case, Group};
use crate::place::{Place, Surroundings};
use crate::row::{CONTAINERS, LANDLOCK, Row};
use crate::victim::victim;

crate::on_each_row!(crate::kernel::GROUP);

pub const GROUP: Group = Group {
    name: "kernel",
    cases: CASES,
    surroundings,
};

/// Beside the victim's IPC: a copy of the program that belongs to root and has the setuid bit, in the
/// folder that sandboxes are shown (`setuid`); and a file that moves processes (`cgroup`).
fn surroundings(place: &Place) -> Surroundings {
    let setuid = place.shown.join("setuid");
    // By another process: what this one has open for writing, nobody may be able to start.
    let copied = Command::new("cp")
        .arg(place.workspace.join("attack"))
        .arg(&setuid)
        .status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&setuid, Permissions::from_mode(0o4755)).unwrap();
    let mut surroundings = victim(place);
    let path = setuid.to_str().unwrap().to_owned();
    surroundings.words.push(("setuid", path));
    // Wherever this machine has its cgroups, of either version.
    let cgroup = ["", "unified/", "pids/"]
        .map(|kind| format!("/sys/fs/cgroup/{kind}cgroup.procs"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    surroundings
        .words
        .push(("cgroup", cgroup.expect("cgroups")));
    surroundings
}

/// What everybody may do on an ordinary machine, and no sandbox lets.
const fn free(name: &'static str, attack: &'static str, argument: &'static str) -> Case {
    Case::denied(name, attack, argument, "EPERM")
}

/// What takes root's rights, and whatever is left of them inside.
const fn roots(name: &'static str, attack: &'static str, argument: &'static str) -> Case {
    free(name, attack, argument).control(ByRoot)
}

const fn clone3(name: &'static str, argument: &'static str) -> Case {
    Case::denied(name, "clone3", argument, "ENOSYS").control(ByRoot)
}

/// IPC with somebody outside, who has left it open to everybody.
const fn ipc(name: &'static str, attack: &'static str, argument: &'static str) -> Case {
    Case::denied(name, attack, argument, "ENOENT").on(LANDLOCK, Denied("EPERM"))
}

/// A file that is the machine's, not the command's.
const fn machine(name: &'static str, path: &'static str) -> Case {
    Case::denied(name, "open_to_write", path, "EACCES").control(ByRoot)
}

/// A device, or the like, that no sandbox has.
const fn device(name: &'static str, path: &'static str) -> Case {
    Case::denied(name, "open_to_write", path, "ENOENT")
        .control(ByRoot)
        .on(LANDLOCK, Denied("EACCES"))
}

const CASES: &[Case] = &[
    free("unshare: users", "unshare", "user"),
    roots("unshare: mounts", "unshare", "mnt"),
    roots("unshare: cgroups", "unshare", "cgroup"),
    roots("unshare: names of the host", "unshare", "uts"),
    roots("unshare: IPC", "unshare", "ipc"),
    roots("unshare: processes", "unshare", "pid"),
    roots("unshare: network", "unshare", "net"),
    roots("unshare: clocks", "unshare", "time"),
    free("clone: users", "clone", "user"),
    roots("clone: mounts", "clone", "mnt"),
    roots("clone: cgroups", "clone", "cgroup"),
    roots("clone: names of the host", "clone", "uts"),
    roots("clone: IPC", "clone", "ipc"),
    roots("clone: processes", "clone", "pid"),
    roots("clone: network", "clone", "net"),
    clone3("clone3: users", "user"),
    clone3("clone3: mounts", "mnt"),
    clone3("clone3: cgroups", "cgroup"),
    clone3("clone3: names of the host", "uts"),
    clone3("clone3: IPC", "ipc"),
    clone3("clone3: processes", "pid"),
    clone3("clone3: network", "net"),
    clone3("clone3: clocks", "time"),
    roots("enter a network namespace", "setns", "net"),
    roots("enter a namespace of IPC", "setns", "ipc"),
    // Mounts. Where nothing confines it, each is tried in a mount namespace of its own.
    free("mount a tmpfs", "mount_tmpfs", "{tmp}"),
    free(
        "mount a folder over another",
        "mount_bind",
        "{workspace}/open {tmp}",
    ),
    free("unmount", "unmount", "{tmp}"),
    free("pivot_root", "pivot_root", "{tmp}"),
    free("chroot", "chroot", "{tmp}"),
    free("mount by descriptors", "mount_by_descriptors", "{tmp}"),
    free("clone a mount", "clone_mount", "{workspace}/open"),
    free("change a mount", "change_mount", "{tmp}"),
    free("configure a mount anew", "reconfigure_mount", "{tmp}"),
    free(
        "watch files by handles",
        "watch_files",
        "{workspace}/README.md",
    ),
    // Interfaces that reach around, or are often broken.
    Case::denied("io_uring", "use_ring", "", "ENOSYS"),
    roots("bpf", "use_bpf", ""),
    roots("perf events", "use_perf", ""),
    free("userfaultfd", "use_faults", ""),
    free("keyrings", "use_keyring", ""),
    free("a new key", "add_key", "{nonce}"),
    free("ask for a key", "ask_for_key", "{nonce}"),
    free("no randomized addresses", "change_personality", ""),
    roots("type into a terminal", "type_into_terminal", "x").on(LANDLOCK, Denied("EACCES")),
    Case::denied("the 32-bit interface", "legacy_interface", "", "SIGSYS"),
    Case::denied("the x32 interface", "filtered", "x32:getpid", "EPERM")
        .on(CONTAINERS, Denied("SIGSYS")),
    Case::denied(
        "a socket by the x32 interface",
        "filtered",
        "x32:socket 40 1 0",
        "EPERM",
    )
    .on(CONTAINERS, Denied("SIGSYS")),
    Case::denied(
        "a call that only the x32 interface has",
        "filtered",
        "x32:ptrace 0",
        "EPERM",
    )
    .on(CONTAINERS, Denied("SIGSYS")),
    // Becoming somebody else.
    roots("root's uid", "become_user", "0").on(&[Row::SealedAsUser], Denied("EINVAL")),
    roots("root's gid", "become_group", "0").on(&[Row::SealedAsUser], Denied("EINVAL")),
    roots("root's groups", "become_groups", "0"),
    roots("CAP_SYS_ADMIN", "gain_capability", "21"),
    roots("CAP_DAC_OVERRIDE", "gain_capability", "1"),
    free("a program with the setuid bit", "run_setuid", "{setuid}"),
    // IPC with the host.
    ipc("System V memory", "shared_memory", "{key}"),
    ipc("System V semaphores", "semaphores", "{key}"),
    ipc("System V messages", "messages", "{key}"),
    ipc("a POSIX message queue", "message_queue", "{queue}"),
    ipc("remove a POSIX message queue", "remove_queue", "{queue}"),
    ipc("POSIX memory", "named_memory", "{queue}").on(LANDLOCK, Denied("EACCES")),
    // The machine.
    free("rename the host", "rename_host", "other"),
    roots("adjust the clock", "adjust_clock", ""),
    machine("core_pattern", "/proc/sys/kernel/core_pattern"),
    machine(
        "the randomization of addresses",
        "/proc/sys/kernel/randomize_va_space",
    ),
    machine(
        "what everybody may overcommit",
        "/proc/sys/vm/overcommit_memory",
    ),
    machine("forwarding of packets", "/proc/sys/net/ipv4/ip_forward"),
    machine("the caches of files", "/proc/sys/vm/drop_caches"),
    machine("whom the memory killer spares", "/proc/1/oom_score_adj"),
    device("cgroups", "{cgroup}"),
    device("uevents", "/sys/devices/system/cpu/uevent").on(CONTAINERS, Denied("EROFS EACCES")),
    device("the console", "/dev/console"),
    device("the kernel's messages", "/dev/kmsg"),
    device("file systems in user space", "/dev/fuse"),
    device("loop devices", "/dev/loop-control"),
    device("the first terminal", "/dev/tty0"),
];
