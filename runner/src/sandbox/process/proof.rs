//! Whether what a sandbox says about itself is what its plan asks for.

use autoclave_enter::{Files, Proof, Spec};
use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::sandbox::proof::{agree, refused};

/// Checks every line of the proof.
///
/// # Errors
///
/// A fragment for people: the first thing that is not in force.
pub fn check(proof: &Proof, spec: &Spec) -> Result<(), String> {
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    let nothing = "0".repeat(16);
    let is_unmounted = matches!(spec.files, Files::Unmounted(_));
    let (groups, bounding) = if geteuid().is_root() {
        ("", nothing.as_str())
    } else {
        // Groups cannot be dropped without privilege; in a user namespace all but the own one are
        // unmapped. There the bounding set can be emptied, elsewhere no_new_privs must do.
        let bounding = if is_unmounted {
            proof.bounding_capabilities.as_str()
        } else {
            nothing.as_str()
        };
        (proof.groups.as_str(), bounding)
    };
    agree(&[
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
            bounding,
        ),
        ("no_new_privs is", &proof.no_new_privs, "1"),
        ("seccomp is", &proof.seccomp, "2"),
    ])?;
    if !proof.is_landlocked {
        return Err("Landlock is not fully enforced".to_owned());
    }
    let denied = [Errno::EACCES, Errno::EPERM, Errno::EROFS];
    refused("a write to /", proof.write_root, &denied)?;
    refused("a write to /usr", proof.write_system, &denied)?;
    let absent = [Errno::ENOENT, Errno::EACCES];
    refused("reading a secret of the host", proof.read_secret, &absent)?;
    if is_unmounted {
        refused("a signal to the runner", proof.signal, &[Errno::EPERM])?;
    }
    if spec.has_host_network {
        return Ok(());
    }
    let unreachable = if is_unmounted {
        [Errno::EAFNOSUPPORT].as_slice()
    } else {
        &[Errno::ENETUNREACH, Errno::EACCES, Errno::EPERM]
    };
    refused("a connection out", proof.connect, unreachable)
}
