//! How the lines of a sandbox's proof are compared, whatever backend it is of.

use nix::errno::Errno;

/// Checks that of each (name, found, wanted) both are the same.
///
/// # Errors
///
/// A fragment for people: the first that is not.
pub fn agree(lines: &[(&str, &str, &str)]) -> Result<(), String> {
    match lines.iter().find(|(_, found, wanted)| found != wanted) {
        Some((name, found, wanted)) => Err(format!("{name} `{found}` and not `{wanted}`")),
        None => Ok(()),
    }
}

/// Checks that `what` was tried and failed, with one of the errnos that a refusal has.
///
/// # Errors
///
/// A fragment for people: it succeeded, or failed for another reason.
pub fn refused(what: &str, errno: Option<i32>, expected: &[Errno]) -> Result<(), String> {
    match errno.map(Errno::from_raw) {
        Some(errno) if expected.contains(&errno) => Ok(()),
        Some(errno) => Err(format!("{what} failed for another reason: {errno}")),
        None => Err(format!("{what} succeeded")),
    }
}
