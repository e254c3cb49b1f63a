//! What a host must be able to do before anything is planned on it.

use std::path::{Component, Path};

use super::{PlanRequest, Refusal};
use crate::{HostCapabilities, Level};

/// The first Landlock version that governs truncation: before it, a file that may not be written
/// can still be emptied; see landlock(7).
const LEAST_LANDLOCK_ABI: u32 = 3;

/// The first Landlock version that keeps signals and abstract unix sockets inside; where there
/// are no namespaces nothing else does.
const LEAST_ABI_ALONE: u32 = 6;

/// The name under which a user accepts [`Level::Landlock`].
const LANDLOCK: &str = "landlock";

/// Returns the level that `host` reaches, if `request` is well-formed and accepts it.
pub(super) fn level_of(
    host: &HostCapabilities,
    request: &PlanRequest,
) -> Result<Level, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let container = "run on the container backend, or on a kernel that has it";
    if host.landlock_abi < LEAST_LANDLOCK_ABI {
        refusals.push(refusal(
            "paths",
            &match host.landlock_abi {
                0 => "this host has no Landlock".to_owned(),
                abi => format!("this host has Landlock {abi}, which cannot deny truncation"),
            },
            Some(container),
        ));
    }
    if let Some(why) = host.seccomp.failure() {
        refusals.push(refusal(
            "syscalls",
            &format!("this host cannot load seccomp filters ({why})"),
            Some(container),
        ));
    }
    if let Some(why) = host.identity.failure() {
        refusals.push(refusal(
            "identity",
            why,
            Some("run as a user that can, or on the container backend"),
        ));
    }
    let accepts_landlock = request.allow_degraded.iter().any(|name| name == LANDLOCK);
    let level = match host.namespaces.failure() {
        None => Level::Sealed,
        Some(why) => {
            if !accepts_landlock {
                refusals.push(without_namespaces(why));
            } else if (LEAST_LANDLOCK_ABI..LEAST_ABI_ALONE).contains(&host.landlock_abi) {
                refusals.push(too_little_alone(host.landlock_abi));
            }
            Level::Landlock
        }
    };
    for name in request.allow_degraded.iter().filter(|n| *n != LANDLOCK) {
        refusals.push(refusal(
            "allow_degraded",
            &format!("`{name}` is no level"),
            Some("the only level below sealed is `landlock`"),
        ));
    }
    refusals.extend(ill_formed_limits(request));
    refusals.extend(ill_formed_views(request));
    if refusals.is_empty() {
        Ok(level)
    } else {
        Err(refusals)
    }
}

fn without_namespaces(why: &str) -> Refusal {
    refusal(
        "view",
        &format!(
            "this host allows no new namespaces ({why}), so files outside, processes and the \
             network cannot be taken out of sight"
        ),
        Some(
            "run as root or enable user namespaces (docs/platforms.md says how), run on the \
             container backend, or accept less with `allow_degraded: [landlock]`",
        ),
    )
}

fn too_little_alone(abi: u32) -> Refusal {
    refusal(
        "processes",
        &format!(
            "this host has Landlock {abi}, and without namespaces {LEAST_ABI_ALONE} is needed: \
             before it a command can signal the processes that contain it"
        ),
        Some("enable user namespaces, or run on Linux 6.12 or later, or on the container backend"),
    )
}

fn ill_formed_limits(request: &PlanRequest) -> Vec<Refusal> {
    let limits = &request.limits;
    [
        (limits.memory_bytes > 0, "memory must be above 0"),
        (
            limits.cpus.is_finite() && limits.cpus > 0.0,
            "cpus must be a number above 0",
        ),
        (limits.pids > 0, "pids must be above 0"),
        (limits.disk_bytes > 0, "disk must be above 0"),
    ]
    .into_iter()
    .filter(|(holds, _)| !holds)
    .map(|(_, why)| refusal("limits", why, None))
    .collect()
}

fn ill_formed_views(request: &PlanRequest) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (position, view) in request.views.iter().enumerate() {
        for path in [&view.source, &view.target] {
            if !is_plain_absolute(path) {
                refusals.push(refusal(
                    "views",
                    &format!("`{}` is not an absolute path without `..`", path.display()),
                    None,
                ));
            }
        }
        let earlier = &request.views[..position];
        if earlier.iter().any(|other| other.target == view.target) {
            refusals.push(refusal(
                "views",
                &format!("two views are shown at `{}`", view.target.display()),
                None,
            ));
        }
    }
    refusals
}

fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| part != Component::ParentDir)
}

fn refusal(rule: &str, why: &str, nearest: Option<&str>) -> Refusal {
    Refusal {
        rule: rule.to_owned(),
        why: why.to_owned(),
        nearest: nearest.map(str::to_owned),
    }
}
