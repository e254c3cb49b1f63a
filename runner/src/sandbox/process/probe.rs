//! What this host can enforce.

use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::geteuid;

use super::cgroup::Cgroup;
use super::helper::Helper;
use crate::sandbox::SandboxError;

/// The uid that sandboxes run as where the runner is root; no account has it.
const SANDBOX_UID: u32 = 64_500;

/// What the process backend finds on this host.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about a host"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostProbe {
    /// The uid and gid that sandboxed commands can have, where the runner may change its own.
    pub second_uid: Option<(u32, u32)>,
    pub namespaces: bool,
    pub overlay: bool,
    /// 0 without Landlock.
    pub landlock_abi: u32,
    pub seccomp: bool,
    pub cgroup: bool,
}

/// Returns what this host can enforce.
pub fn probe() -> HostProbe {
    let is_root = geteuid().is_root();
    HostProbe {
        second_uid: is_root.then_some((SANDBOX_UID, SANDBOX_UID)),
        namespaces: has_namespaces(is_root),
        overlay: lists_word("/proc/filesystems", "overlay"),
        landlock_abi: landlock_abi().map_or(0, i32::cast_unsigned),
        seccomp: lists_word("/proc/self/status", "Seccomp_filters:"),
        cgroup: Cgroup::is_available(),
    }
}

fn has_namespaces(is_root: bool) -> bool {
    let limit = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/user/max_{name}_namespaces"))
            .is_ok_and(|text| text.trim() != "0")
    };
    let is_allowed = std::fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone")
        .map_or(true, |text| text.trim() != "0");
    ["mnt", "pid", "net"].into_iter().all(limit) && (is_root || is_allowed && limit("user"))
}

fn lists_word(file: &str, word: &str) -> bool {
    std::fs::read_to_string(file)
        .is_ok_and(|text| text.split_whitespace().any(|found| found == word))
}

/// Returns the version of the kernel's Landlock interface, asked once.
///
/// # Errors
///
/// [`SandboxError::CannotEnforce`] below 3: truncation would stay open.
pub fn landlock_abi() -> Result<i32, SandboxError> {
    static ABI: OnceLock<i32> = OnceLock::new();
    let abi = *ABI.get_or_init(|| {
        let status = Helper::new(&std::env::temp_dir()).and_then(|helper| {
            Command::new(helper.path())
                .arg("landlock-abi")
                .env_clear()
                .status()
        });
        status.ok().and_then(|status| status.code()).unwrap_or(0)
    });
    if abi < 3 {
        return Err(SandboxError::CannotEnforce {
            rule: "paths".to_owned(),
            why: format!("the kernel's Landlock interface is {abi}, and 3 is needed"),
        });
    }
    Ok(abi)
}
