//! A whole sandbox, written down for the helper.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autoclave_enter::{Files, Landlock, Rlimits, Spec};
use autoclave_policies::{Grant, Identity};
use nix::unistd::{getegid, geteuid};

use super::cgroup::Cgroup;
use super::ground::Ground;
use super::layer::{self, Layer};
use super::mode::Mode;
use super::slot::Slot;
use super::{Shared, unmounted};
use crate::sandbox::{Execution, HOME, Network, OPEN_FILES, OWN_ENV, SandboxError, WORKSPACE};

/// What of the host a sandbox is made of.
pub struct Parts<'a> {
    pub slot: &'a Slot,
    pub layers: &'a [Arc<Layer>],
    pub ground: Ground,
}

/// Writes down the whole sandbox for the helper.
pub fn describe(
    shared: &Shared,
    parts: Parts<'_>,
    execution: &Execution<'_>,
    cgroup: Option<&Cgroup>,
) -> Result<Spec, SandboxError> {
    let plan = execution.plan;
    let (uid, gid) = ids(plan.identity);
    let is_root = geteuid().is_root();
    if is_root == (plan.identity == Identity::SameUser) {
        return Err(SandboxError::CannotEnforce {
            rule: "identity".to_owned(),
            why: "root needs a second uid for the sandbox, and only root can give one".to_owned(),
        });
    }
    let layers = parts.layers.iter().map(|layer| layer.path().to_owned());
    let own = OWN_ENV.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut env = BTreeMap::from(own);
    env.extend(plan.env.clone());
    env.extend(execution.env.clone());
    let limits = &plan.limits;
    let denied = match shared.mode {
        Mode::Overlay | Mode::Copy => Vec::new(),
        Mode::Alone => unmounted::denied(&execution.network),
    };
    Ok(Spec {
        runner_pid: nix::unistd::getpid().as_raw(),
        status: parts.slot.status(),
        is_user_namespace: plan.identity == Identity::SameUser,
        uid,
        gid,
        mount_point: parts.slot.mount_point(),
        disk_bytes: limits.disk_bytes,
        layers: layers.chain(parts.ground.layers).collect(),
        files: match shared.mode {
            Mode::Overlay => Files::Overlay,
            Mode::Copy | Mode::Alone => Files::Copy,
        },
        opaque: layer::opaque().to_owned(),
        binds: parts.ground.binds,
        has_host_network: execution.network == Network::Host,
        cgroup_joins: cgroup.map(Cgroup::joins).unwrap_or_default(),
        landlock: landlock(execution, shared.host.landlock_abi.cast_signed()),
        seccomp: super::seccomp::programs(&denied).map_err(SandboxError::Backend)?,
        rlimits: Rlimits {
            memory_bytes: cgroup.is_none().then_some(limits.memory_bytes),
            processes: cgroup.is_none().then_some(u64::from(limits.pids)),
            file_bytes: limits.disk_bytes,
            open_files: OPEN_FILES.into(),
        },
        secret_canary: shared.secret_canary(),
        argv: execution
            .argv
            .iter()
            .map(|word| word.clone().into_vec())
            .collect(),
        env: env
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect(),
        directory: PathBuf::from(WORKSPACE),
    })
}

fn landlock(execution: &Execution<'_>, abi: i32) -> Landlock {
    let workspace = Path::new(WORKSPACE);
    let mut trees = ["/tmp", "/dev/shm", HOME].map(PathBuf::from).to_vec();
    trees.push(workspace.join(".git"));
    let mut files = Vec::new();
    for grant in &execution.plan.grants {
        match grant {
            Grant::Tree { path, .. } | Grant::Open { path: Some(path) } => {
                trees.push(workspace.join(path.as_path()));
            }
            Grant::Open { path: None } => trees.push(workspace.to_owned()),
            Grant::File { path } => files.push(workspace.join(path.as_path())),
        }
    }
    Landlock {
        abi,
        readable: vec![PathBuf::from("/")],
        trees,
        files,
        has_terminals: true,
        denies_tcp: false,
    }
}

/// Returns the uid and gid of the command.
pub fn ids(identity: Identity) -> (u32, u32) {
    match identity {
        Identity::SecondUid { uid, gid } => (uid, gid),
        Identity::SameUser => (geteuid().as_raw(), getegid().as_raw()),
    }
}
