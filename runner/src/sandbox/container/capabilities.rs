//! What a container gives in place of what a host would.

use autoclave_policies::{Ability, HostCapabilities};

/// The uid and gid of a container's command: of no account of any host or image.
const UID: u32 = 64_501;

/// Returns what plans for containers rest on: ownership by a uid of its own, and the engine's
/// namespaces, layers, filters and limits. An engine that lacks one was refused before.
pub fn capabilities() -> HostCapabilities {
    HostCapabilities {
        second_uid: Some((UID, UID)),
        namespaces: Ability::Works,
        overlay: Ability::Works,
        // Not used there: what is immutable belongs to root.
        landlock_abi: u32::MAX,
        seccomp: Ability::Works,
        identity: Ability::Works,
        cgroup: true,
    }
}
