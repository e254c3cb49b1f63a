//! What is in force on a host, told to people.

use autoclave_policies::HostCapabilities;

use super::mode::Mode;
use crate::sandbox::Layer;

/// Returns one line for each layer, in the order of the design's table.
pub fn layers(host: &HostCapabilities, mode: Mode) -> Vec<Layer> {
    let abi = host.landlock_abi;
    [
        ("identity", identity(host, mode).to_owned()),
        ("view", view(host, mode)),
        ("paths", format!("Landlock {abi}, fully enforced")),
        ("syscalls", syscalls(mode).to_owned()),
        ("network", network(mode).to_owned()),
        ("processes", processes(mode).to_owned()),
        ("limits", limits(host, mode)),
    ]
    .map(|(name, detail)| Layer {
        name: name.to_owned(),
        detail,
    })
    .to_vec()
}

fn identity(host: &HostCapabilities, mode: Mode) -> &'static str {
    match (host.second_uid, mode) {
        (Some(_), _) => "a uid of its own, no groups, no capabilities",
        (None, Mode::Overlay | Mode::Copy) => "the user's uid in a user namespace, no capabilities",
        (None, Mode::Alone) => {
            "the user's own uid: modes and times of the user's other files can be changed"
        }
    }
}

fn view(host: &HostCapabilities, mode: Mode) -> String {
    let why = |failure: Option<&str>| failure.unwrap_or("unknown").to_owned();
    match mode {
        Mode::Overlay => "mount namespace, read-only system, overlay".to_owned(),
        Mode::Copy => format!(
            "mount namespace, read-only system, copy in memory (no overlay: {})",
            why(host.overlay.failure())
        ),
        Mode::Alone => format!(
            "none (no namespaces: {}): a private copy; names outside can be looked up, and what \
             runs can be listed",
            why(host.namespaces.failure())
        ),
    }
}

fn syscalls(mode: Mode) -> &'static str {
    match mode {
        Mode::Overlay | Mode::Copy => "seccomp filter",
        Mode::Alone => "seccomp filter, also of every network socket",
    }
}

fn network(mode: Mode) -> &'static str {
    match mode {
        Mode::Overlay | Mode::Copy => "empty network namespace",
        Mode::Alone => {
            "no network sockets, no TCP; an execution with the gateway can reach every unix \
             socket that its uid may"
        }
    }
}

fn processes(mode: Mode) -> &'static str {
    match mode {
        Mode::Overlay | Mode::Copy => "pid namespace: all die with it",
        Mode::Alone => "a subreaper that kills until none is left; no signals to others",
    }
}

fn limits(host: &HostCapabilities, mode: Mode) -> String {
    let memory = if host.cgroup {
        "cgroup for memory, processor and processes"
    } else {
        "rlimits: memory for each process alone, processes by uid, the processor not at all"
    };
    let disk = match mode {
        Mode::Overlay | Mode::Copy => "tmpfs size for disk",
        Mode::Alone => "size of each file alone for disk",
    };
    format!("wall clock, {memory}, {disk}")
}
