//! Whether what a sandbox says about itself is what its plan asks for.

use autoclave_enter::{Proof, Spec};
use nix::errno::Errno;

/// Checks every line of the proof.
///
/// # Errors
///
/// A fragment for people: the first thing that is not in force.
pub fn check(proof: &Proof, spec: &Spec) -> Result<(), String> {
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    let nothing = "0".repeat(16);
    let groups = if spec.is_user_namespace {
        // Groups cannot be dropped without privilege; all but the own one are unmapped.
        proof.groups.as_str()
    } else {
        ""
    };
    for (name, found, wanted) in [
        ("the user is", &proof.uids, four(spec.uid).as_str()),
        ("the group is", &proof.gids, four(spec.gid).as_str()),
        ("the other groups are", &proof.groups, groups),
        (
            "effective capabilities are",
            &proof.effective_capabilities,
            &nothing,
        ),
        (
            "permitted capabilities are",
            &proof.permitted_capabilities,
            &nothing,
        ),
        (
            "bounding capabilities are",
            &proof.bounding_capabilities,
            &nothing,
        ),
        ("no_new_privs is", &proof.no_new_privs, "1"),
        ("seccomp is", &proof.seccomp, "2"),
    ] {
        if found != wanted {
            return Err(format!("{name} `{found}` and not `{wanted}`"));
        }
    }
    if !proof.is_landlocked {
        return Err("Landlock is not fully enforced".to_owned());
    }
    let denied = [Errno::EACCES, Errno::EPERM, Errno::EROFS];
    refused("a write to /", proof.write_root, &denied)?;
    refused("a write to /usr", proof.write_system, &denied)?;
    let absent = [Errno::ENOENT, Errno::EACCES];
    refused("reading a secret of the host", proof.read_secret, &absent)?;
    if spec.has_host_network {
        return Ok(());
    }
    let unreachable = [Errno::ENETUNREACH, Errno::EACCES, Errno::EPERM];
    refused("a connection out", proof.connect, &unreachable)
}

fn refused(what: &str, errno: Option<i32>, expected: &[Errno]) -> Result<(), String> {
    match errno.map(Errno::from_raw) {
        Some(errno) if expected.contains(&errno) => Ok(()),
        Some(errno) => Err(format!("{what} failed for another reason: {errno}")),
        None => Err(format!("{what} succeeded")),
    }
}
