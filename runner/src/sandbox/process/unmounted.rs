//! What a command gets where nothing can be mounted: a copy, and rules about the host's own paths.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use autoclave_enter::{Files, Landlock, Spec};
use autoclave_policies::{
    Sockets, SyscallRule, denied_among_host_processes, denied_without_network_namespace,
};

use super::etc;
use super::layer::{During, make_directory};
use super::places::Places;
use crate::sandbox::{Execution, GATEWAY_SOCKET, HOME, Network, SandboxError, WORKSPACE};

/// Readable beside the system's programs and configuration. Processes' memory and environment
/// stay closed: Landlock lets nobody trace what is outside.
const READABLE: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
];

/// Where programs look for a directory for temporary files; /tmp itself is closed.
const TEMPORARY: &[&str] = &["TMPDIR", "TMP", "TEMP", "CLAUDE_CODE_TMPDIR"];

/// Rewrites `spec`, which describes a sandbox with mounts, into one without: files in a copy in
/// `folder`, paths in arguments and environment as the host knows them.
pub fn adapt(
    spec: &mut Spec,
    folder: &Path,
    execution: &Execution<'_>,
) -> Result<(), SandboxError> {
    let copy = folder.join("copy");
    make_directory(&copy).during("make", &copy)?;
    let tmp = folder.join("tmp");
    make_directory(&tmp).during("make", &tmp)?;
    if nix::unistd::geteuid().is_root() {
        chown(&tmp, Some(spec.uid), Some(spec.gid)).during("give away", &tmp)?;
    }
    let inside = |path: &str| copy.join(path.trim_start_matches('/'));
    let views = || execution.plan.views.iter().chain(&execution.views);
    let gateway = match &execution.network {
        Network::Gateway { folder } => Some(folder),
        Network::None | Network::Host => None,
    };
    let places = Places::new(
        [
            (PathBuf::from(WORKSPACE), inside(WORKSPACE)),
            (PathBuf::from(HOME), inside(HOME)),
            (PathBuf::from("/tmp"), tmp.clone()),
        ]
        .into_iter()
        .chain(gateway.and_then(|folder| {
            let inside = Path::new(GATEWAY_SOCKET).parent()?;
            Some((inside.to_owned(), folder.clone()))
        }))
        .chain(views().map(|view| (view.target.clone(), view.source.clone()))),
    );
    let translate = |bytes: &[u8]| places.translate(OsStr::from_bytes(bytes)).into_vec();
    for word in &mut spec.argv {
        *word = translate(word);
    }
    for (_, value) in &mut spec.env {
        *value = translate(value);
    }
    let mut set = |name: &str, value: &Path| {
        spec.env.retain(|(found, _)| found != name.as_bytes());
        let value = OsString::from(value).into_vec();
        spec.env.push((name.as_bytes().to_vec(), value));
    };
    set("HOME", &inside(HOME));
    for name in TEMPORARY {
        set(name, &tmp);
    }
    let granted = |path: &PathBuf| PathBuf::from(places.translate(path.as_os_str()));
    spec.landlock = Landlock {
        abi: spec.landlock.abi,
        readable: READABLE
            .iter()
            .map(PathBuf::from)
            .chain(etc::host_paths())
            .chain(views().map(|view| view.source.clone()))
            .chain([copy.clone(), tmp.clone()])
            .collect(),
        trees: spec
            .landlock
            .trees
            .iter()
            // Shared with the host's processes.
            .filter(|path| *path != Path::new("/dev/shm"))
            .map(granted)
            .collect(),
        files: spec.landlock.files.iter().map(granted).collect(),
        has_terminals: false,
        denies_tcp: !spec.has_host_network,
    };
    spec.rlimits.processes = spec
        .rlimits
        .processes
        .map(|limit| limit.saturating_add(threads_of(spec.uid)));
    spec.directory = inside(WORKSPACE);
    spec.binds.clear();
    spec.is_user_namespace = false;
    spec.files = Files::Unmounted(copy);
    Ok(())
}

/// Returns what the command may not do beside what no command may, list by list.
pub fn denied(network: &Network) -> Vec<&'static [SyscallRule]> {
    let sockets = match network {
        Network::None => Some(Sockets::Pairs),
        Network::Gateway { .. } => Some(Sockets::Unix),
        Network::Host => None,
    };
    let sockets = sockets.map(denied_without_network_namespace);
    [denied_among_host_processes()]
        .into_iter()
        .chain(sockets)
        .collect()
}

/// Counts what the user already runs: `RLIMIT_NPROC` is about all of it, see getrlimit(2).
fn threads_of(uid: u32) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == uid))
        .filter_map(|entry| fs::read_dir(entry.path().join("task")).ok())
        .map(|tasks| tasks.count() as u64)
        .sum()
}
