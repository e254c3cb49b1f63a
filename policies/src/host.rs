//! What a host can enforce.

use serde::{Deserialize, Serialize};

/// What a host can enforce, as the runner's probes found it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent findings, each true or not"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCapabilities {
    /// The uid and gid a sandboxed command can have besides the user's own.
    pub second_uid: Option<(u32, u32)>,
    /// Mount, pid and network namespaces can be made.
    pub namespaces: bool,
    /// Overlayfs can be mounted; without it snapshots are copied, which enforces the same.
    pub overlay: bool,
    /// The kernel's Landlock version; 0 where it has none.
    pub landlock_abi: u32,
    /// Seccomp filters can be loaded.
    pub seccomp: bool,
    /// A cgroup can be made for each execution; without it limits are rlimits.
    pub cgroup: bool,
}
