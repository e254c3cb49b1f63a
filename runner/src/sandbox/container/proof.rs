//! Whether what a container says about itself is what its plan asks for.

use autoclave_enter::Proof;
use nix::errno::Errno;

use crate::sandbox::proof::{agree, refused};

/// Checks every line of the proof.
///
/// # Errors
///
/// A fragment for people: the first thing that is not in force.
pub fn check(proof: &Proof, (uid, gid): (u32, u32), has_network: bool) -> Result<(), String> {
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    let nothing = "0".repeat(16);
    agree(&[
        ("the user is", &proof.uids, four(uid).as_str()),
        ("the group is", &proof.gids, four(gid).as_str()),
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
    ])?;
    let own = gid.to_string();
    if !proof.groups.is_empty() && proof.groups != own {
        return Err(format!("the other groups are `{}`", proof.groups));
    }
    let denied = [Errno::EACCES, Errno::EPERM, Errno::EROFS];
    refused("a write to /", proof.write_root, &denied)?;
    refused("a write to /usr", proof.write_system, &denied)?;
    // The engine's own filter would let it pass: so it is ours that is in force.
    refused("a netlink socket", proof.netlink, &[Errno::EPROTONOSUPPORT])?;
    let absent = [Errno::ENOENT, Errno::EACCES, Errno::ECONNREFUSED];
    refused("a connection to the engine", proof.read_secret, &absent)?;
    if has_network {
        return Ok(());
    }
    let unreachable = [Errno::ENETUNREACH, Errno::EACCES, Errno::EPERM];
    refused("a connection out", proof.connect, &unreachable)
}
