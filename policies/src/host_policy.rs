//! What of the host a sandbox sees and may use, beside the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What of the host a sandbox sees and may use, beside the workspace.
///
/// The workspace, a private home and /tmp, /proc and the named devices are not part of it: every
/// sandbox has these. Paths are absolute, or beneath the user's home where they begin with `~/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPolicy {
    /// A preset's name, or the path of the policy's file in the repository.
    pub name: String,
    /// Shown read-only at the same place, where they exist.
    pub read: Vec<PathBuf>,
    /// Never shown, whatever else is asked for.
    pub deny: Vec<PathBuf>,
    /// Entries of the user's PATH that lie in one of these come first in the sandbox's.
    pub path: Vec<PathBuf>,
    /// The whole environment of a command; nothing of the user's own is passed on. A leading `~/`
    /// of a value is the user's home.
    pub env: BTreeMap<String, String>,
}

impl HostPolicy {
    /// Says whether a sandbox sees `path`.
    pub fn shows(&self, path: &Path) -> bool {
        lies_in(path, &self.read) && !lies_in(path, &self.deny)
    }

    /// Returns what forbids to show `path` whole: a denied path that it lies in or that lies in it.
    pub fn denial_of(&self, path: &Path) -> Option<&Path> {
        let mut denied = self.deny.iter().map(PathBuf::as_path);
        denied.find(|denied| path.starts_with(denied) || denied.starts_with(path))
    }
}

/// What every sandbox has of its own, never the host's.
const OWN: [&str; 9] = [
    "/dev",
    "/home/agent",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/run",
    "/var/tmp",
    "/workspace",
];

/// Says whether every sandbox has its own of `path`, so that the host's cannot be shown there.
pub fn is_sandboxes_own(path: &Path) -> bool {
    OWN.iter().any(|own| path.starts_with(own))
}

/// Says whether `path` is one of `places` or lies beneath one, compared by component.
pub fn lies_in(path: &Path, places: &[PathBuf]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(read: &[&str], deny: &[&str]) -> HostPolicy {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        HostPolicy {
            name: "p".to_owned(),
            read: paths(read),
            deny: paths(deny),
            path: Vec::new(),
            env: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_shown_is_compared_by_component_and_deny_wins() {
        let policy = policy(&["/usr", "~/.cargo/bin"], &["/usr/secret"]);
        for (path, is_shown) in [
            ("/usr", true),
            ("/usr/bin/env", true),
            ("/usrlocal", false),
            ("/usr/secret/x", false),
            ("~/.cargo/bin/cargo", true),
            ("~/.cargo", false),
            ("/", false),
        ] {
            assert_eq!(policy.shows(Path::new(path)), is_shown, "{path}");
        }
    }

    #[test]
    fn showing_what_holds_a_denied_path_is_denied_too() {
        let policy = policy(&[], &["~/.cargo/credentials"]);
        let denial = |path| policy.denial_of(Path::new(path));
        let denied = Some(Path::new("~/.cargo/credentials"));
        assert_eq!(denial("~/.cargo"), denied);
        assert_eq!(denial("~/.cargo/credentials/x"), denied);
        assert_eq!(denial("~/.cargo/registry"), None);
    }
}
