//! What a host can enforce.

use serde::{Deserialize, Serialize};

/// What a host can enforce, as the runner's probes found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCapabilities {
    /// The uid and gid a sandboxed command can have besides the user's own.
    pub second_uid: Option<(u32, u32)>,
    /// Mount, pid and network namespaces can be made.
    pub namespaces: Ability,
    /// Overlayfs can be mounted; without it snapshots are copied, which enforces the same.
    pub overlay: Ability,
    /// The kernel's Landlock version; 0 where it has none.
    pub landlock_abi: u32,
    /// Seccomp filters can be loaded.
    pub seccomp: Ability,
    /// Commands can be started as who they are to be, at the level that the rest leads to.
    pub identity: Ability,
    /// A cgroup can be made for each execution; without it limits are rlimits.
    pub cgroup: bool,
}

/// Whether a host can do something, by trying it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    Works,
    /// `why`: the step that failed and the kernel's answer, a fragment for people.
    Fails {
        why: String,
    },
}

impl Ability {
    pub fn works(&self) -> bool {
        *self == Self::Works
    }

    /// Returns why not, if not.
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::Fails { why } => Some(why),
        }
    }
}
