//! What a sandboxed command may do outside of the workspace. Coarser: what is there is not known.

use std::path::{Path, PathBuf};

use super::{AccessParts, Backend, Decision, Layer, Operation, Outcome, Rule};
use crate::{HostPolicy, Identity, Level};

/// What of the machine answers depend on, beside the plan.
#[derive(Debug, Clone, Copy)]
pub struct HostSide<'a> {
    pub policy: &'a HostPolicy,
    /// The home of whoever runs autoclave; what `~/` in a policy means.
    pub home: Option<&'a Path>,
    /// Whether the kernel lets only who may write a file make hard links to it; see
    /// proc_sys_fs(5), `protected_hardlinks`.
    pub protects_hard_links: bool,
}

/// Places that every sandbox has of its own, writable.
const OWN: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/home/agent"];
/// Folders of the system's programs.
const SYSTEM: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
];
/// What an image has, whoever made it.
const OF_IMAGES: [&str; 2] = ["/etc", "/var"];
/// What belongs to root on every machine, besides the programs.
const OF_ROOT: [&str; 4] = ["/etc", "/dev", "/proc", "/sys"];
/// The devices of a sandbox; the last three are written to without leaving anything.
const DEVICES: [&str; 6] = ["random", "urandom", "tty", "null", "zero", "full"];

/// Decides about an absolute path that is not in the workspace.
pub(super) fn decide(parts: &AccessParts<'_>, path: &Path, operation: Operation) -> Decision {
    if let Some(own) = OWN.iter().find(|own| path.starts_with(own)) {
        return own_place(parts, path, Path::new(own), operation);
    }
    if path.starts_with("/dev") {
        return device(parts, path, operation);
    }
    if ["/proc", "/sys"]
        .iter()
        .any(|place| path.starts_with(place))
    {
        return shown(parts, path, Rule::Kernel, operation);
    }
    let host = parts.host;
    let policy = || host.policy.name.clone();
    if let Some(denied) = covering(&host.policy.deny, path, host.home) {
        let rule = Rule::PolicyDeny {
            policy: policy(),
            path: denied,
        };
        return unseen(parts, path, rule, operation);
    }
    let view = parts
        .plan
        .views
        .iter()
        .find(|view| path.starts_with(&view.target));
    if let Some(view) = view {
        let rule = match covering(&host.policy.read, path, host.home) {
            Some(path) => Rule::PolicyRead {
                policy: policy(),
                path,
            },
            None => Rule::Shown(view.target.clone()),
        };
        return shown(parts, path, rule, operation);
    }
    let of_system = SYSTEM.iter().find(|place| path.starts_with(place));
    let is_images = of_system.is_some() || OF_IMAGES.iter().any(|place| path.starts_with(place));
    match (parts.backend, of_system) {
        (Backend::Container, _) if is_images => shown(parts, path, Rule::Image, operation),
        (Backend::Process, Some(place)) => {
            shown(parts, path, Rule::System(PathBuf::from(place)), operation)
        }
        (Backend::Process, None) if path.starts_with("/etc") => {
            shown(parts, path, Rule::Etc, operation)
        }
        _ => unseen(parts, path, Rule::NotShown(policy()), operation),
    }
}

/// Returns whether a command can reach a host of the network; `model` is where the gateway sends
/// what it lets through, if it is on.
pub fn connect(level: Level, host: &str, model: Option<&str>) -> Decision {
    match model {
        Some(model) if model.eq_ignore_ascii_case(host) => {
            Decision::allowed(Rule::Model(host.to_owned()), Layer::Gateway, None)
        }
        _ => Decision::refused(
            Rule::NoNetwork,
            match level {
                Level::Sealed => Layer::NetworkNamespace,
                Level::Landlock => Layer::Seccomp,
            },
        ),
    }
}

fn own_place(parts: &AccessParts<'_>, path: &Path, own: &Path, operation: Operation) -> Decision {
    let is_shared = own == Path::new("/dev/shm") && parts.plan.level == Level::Landlock;
    if is_shared {
        return unseen(parts, path, Rule::Device, operation);
    }
    let is_place = path == own;
    let rule = Rule::Own(own.to_owned());
    match operation {
        Operation::Read | Operation::List | Operation::Execute => {
            Decision::allowed(rule, view(parts), None)
        }
        // The place itself stays where it is.
        Operation::RemoveDirectory | Operation::RenameAway | Operation::RenameOver if is_place => {
            Decision::refused(rule, view(parts))
        }
        _ => Decision::allowed(rule, guard(parts), Some(Outcome::ThrownAway)),
    }
}

fn device(parts: &AccessParts<'_>, path: &Path, operation: Operation) -> Decision {
    let name = path.strip_prefix("/dev").ok().and_then(Path::to_str);
    let position = DEVICES.iter().position(|device| name == Some(device));
    match (position, operation) {
        (Some(_), Operation::Read) => Decision::allowed(Rule::Device, view(parts), None),
        (Some(3..), Operation::Write | Operation::Append) => {
            Decision::allowed(Rule::Device, guard(parts), Some(Outcome::ThrownAway))
        }
        (Some(_), _) => changed_outside(parts, path, Rule::Device, operation),
        (None, _) => unseen(parts, path, Rule::Device, operation),
    }
}

/// Decides about what a sandbox sees and may not change.
fn shown(parts: &AccessParts<'_>, path: &Path, rule: Rule, operation: Operation) -> Decision {
    if operation.changes() {
        changed_outside(parts, path, rule, operation)
    } else {
        Decision::allowed(rule, view(parts), None)
    }
}

/// Decides about what a sandbox does not see.
fn unseen(parts: &AccessParts<'_>, path: &Path, rule: Rule, operation: Operation) -> Decision {
    match parts.plan.level {
        Level::Sealed => Decision::refused(rule, Layer::MountNamespace),
        Level::Landlock if operation.changes() => changed_outside(parts, path, rule, operation),
        Level::Landlock => Decision::refused(rule, Layer::Landlock),
    }
}

/// Decides about a change outside of all that is the sandbox's own.
fn changed_outside(
    parts: &AccessParts<'_>,
    path: &Path,
    rule: Rule,
    operation: Operation,
) -> Decision {
    let is_metadata = matches!(operation, Operation::Chmod | Operation::SetTimes);
    let is_of_root = SYSTEM
        .iter()
        .chain(&OF_ROOT)
        .any(|place| path.starts_with(place));
    match (parts.plan.level, parts.backend, parts.plan.identity) {
        // A user's own files can be given other modes and times: nothing asks Landlock.
        (Level::Landlock, _, Identity::SameUser) if is_metadata && !is_of_root => {
            Decision::allowed(rule, Layer::Ungoverned, None)
        }
        (Level::Landlock, _, _) if is_metadata => Decision::refused(rule, Layer::Ownership),
        (Level::Landlock, _, _) => Decision::refused(rule, Layer::Landlock),
        (Level::Sealed, Backend::Container, _) if rule == Rule::Image => {
            Decision::refused(rule, Layer::Ownership)
        }
        (Level::Sealed, _, _) => Decision::refused(rule, Layer::ReadOnlyMount),
    }
}

fn view(parts: &AccessParts<'_>) -> Layer {
    match parts.plan.level {
        Level::Sealed => Layer::MountNamespace,
        Level::Landlock => Layer::Landlock,
    }
}

fn guard(parts: &AccessParts<'_>) -> Layer {
    match parts.backend {
        Backend::Process => Layer::Landlock,
        Backend::Container => Layer::Ownership,
    }
}

/// Returns the one of `places` that holds `path`, as the policy writes it.
fn covering(places: &[PathBuf], path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let holds = |place: &&PathBuf| match (place.strip_prefix("~"), home) {
        (Ok(beneath), Some(home)) => path.starts_with(home.join(beneath)),
        (Ok(_), None) => false,
        (Err(_), _) => path.starts_with(place),
    };
    places.iter().find(holds).cloned()
}
