//! What a sandboxed command may do outside of the workspace. Coarser: what is there is not known.

use std::path::{Path, PathBuf};

use super::nodes::{COPY, Node};
use super::suits::suits;
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

/// The home of every sandbox.
const HOME: &str = "/home/agent";
/// Places that every sandbox has of its own, writable.
const OWN: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", HOME];
/// Folders of the system's programs.
const SYSTEM: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
];
/// What an image has, whoever made it.
const OF_IMAGES: [&str; 2] = ["/etc", "/var"];
/// The devices of a sandbox; the last three are written to without leaving anything.
const DEVICES: [&str; 6] = ["random", "urandom", "tty", "null", "zero", "full"];

/// Decides about an absolute path that is not in the workspace, as sandboxes name it.
pub(super) fn decide(parts: &AccessParts<'_>, path: &Path, operation: Operation) -> Decision {
    if let Some(own) = OWN.iter().find(|own| path.starts_with(own)) {
        return own_place(parts, path, Path::new(own), operation);
    }
    decide_led(parts, path, operation)
}

/// Decides about where a link leads. Without a view of its own, a sandbox's places have other names:
/// a link then leads to the host's.
pub(super) fn decide_led(parts: &AccessParts<'_>, path: &Path, operation: Operation) -> Decision {
    let is_own_root = match parts.plan.level {
        Level::Sealed => path == Path::new("/"),
        Level::Landlock => path.starts_with(COPY),
    };
    if is_own_root {
        return if operation.changes() {
            changed_as_made(parts, Rule::OwnRoot, operation)
        } else {
            Decision::allowed(Rule::OwnRoot, view(parts), None)
        };
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
    let rule = Rule::Own(own.to_owned());
    if path == own {
        return the_place_itself(parts, own, rule, operation);
    }
    if operation.changes() {
        Decision::allowed(rule, guard(parts), Some(Outcome::ThrownAway))
    } else {
        Decision::allowed(rule, view(parts), None)
    }
}

/// Decides about a directory that stays where it is; only the home is the command's, whoever it is.
fn the_place_itself(
    parts: &AccessParts<'_>,
    own: &Path,
    rule: Rule,
    operation: Operation,
) -> Decision {
    if let Err((rule, layer)) = suits(operation, Node::Directory) {
        return Decision::refused(rule, layer);
    }
    let is_commands = own == Path::new(HOME) || parts.plan.identity == Identity::SameUser;
    match operation {
        Operation::List => Decision::allowed(rule, view(parts), None),
        Operation::Chmod | Operation::SetTimes if is_commands => {
            Decision::allowed(rule, Layer::Ungoverned, Some(Outcome::ThrownAway))
        }
        _ => Decision::refused(rule, Layer::Ownership),
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
    let is_others = match parts.plan.identity {
        Identity::SecondUid { .. } => true,
        // Coarse: outside of it, what is not the system's may be the user's, too.
        Identity::SameUser => !parts.host.home.is_some_and(|home| path.starts_with(home)),
    };
    if parts.plan.level == Level::Landlock {
        let is_link = operation == Operation::HardLink && parts.host.protects_hard_links;
        return match (is_metadata, is_others) {
            // Nothing asks Landlock, and nothing is taken back.
            (true, false) => Decision::allowed(rule, Layer::Ungoverned, Some(Outcome::Kept)),
            (_, true) if is_metadata || is_link => Decision::refused(rule, Layer::Ownership),
            _ => Decision::refused(rule, Layer::Landlock),
        };
    }
    match rule {
        Rule::Etc | Rule::Image => changed_as_made(parts, rule, operation),
        Rule::Device if is_metadata => Decision::refused(rule, Layer::Ownership),
        Rule::Device => Decision::refused(rule, guard(parts)),
        _ => Decision::refused(rule, Layer::ReadOnlyMount),
    }
}

/// Decides about a change of what is made for the sandbox, with the command's uid where that is the
/// only one.
fn changed_as_made(parts: &AccessParts<'_>, rule: Rule, operation: Operation) -> Decision {
    match (parts.plan.identity, operation) {
        (Identity::SecondUid { .. }, _) => Decision::refused(rule, Layer::Ownership),
        (Identity::SameUser, Operation::Chmod | Operation::SetTimes) => {
            Decision::allowed(rule, Layer::Ungoverned, Some(Outcome::ThrownAway))
        }
        (Identity::SameUser, _) => Decision::refused(rule, Layer::Landlock),
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
