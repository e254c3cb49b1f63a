//! Where the fixed paths of a sandbox are on a host where nothing can be mounted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What paths mean instead: the first that is a prefix counts.
#[derive(Debug)]
pub struct Places(Vec<(PathBuf, PathBuf)>);

impl Places {
    /// Each place as sandboxes know it, and as the host does.
    pub fn new(places: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        let mut places: Vec<_> = places.into_iter().filter(|(from, to)| from != to).collect();
        // The longer, the more special.
        places.sort_by_key(|(from, _)| std::cmp::Reverse(from.as_os_str().len()));
        Self(places)
    }

    /// Translates what is a path or a list of paths, as in `PATH`; leaves all else as it is.
    pub fn translate(&self, text: &OsStr) -> OsString {
        let parts: Vec<_> = text
            .as_bytes()
            .split(|byte| *byte == b':')
            .map(|part| {
                self.path(Path::new(OsStr::from_bytes(part)))
                    .into_os_string()
            })
            .map(OsString::into_vec)
            .collect();
        OsString::from_vec(parts.join(&b':'))
    }

    fn path(&self, path: &Path) -> PathBuf {
        for (from, to) in &self.0 {
            match path.strip_prefix(from) {
                Ok(rest) if rest.as_os_str().is_empty() => return to.clone(),
                Ok(rest) => return to.join(rest),
                Err(_) => {}
            }
        }
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_lists_of_paths_are_translated_and_nothing_else_is() {
        let place = |from: &str, to: &str| (PathBuf::from(from), PathBuf::from(to));
        let places = Places::new([
            place("/workspace", "/s/w"),
            place("/tmp", "/s/tmp"),
            place("/opt/agent", "/home/u/bin/agent"),
            place("/usr", "/usr"),
        ]);
        for (text, expected) in [
            ("/workspace", "/s/w"),
            ("/workspace/a b", "/s/w/a b"),
            ("/workspaces", "/workspaces"),
            ("/usr/bin:/workspace/bin:/bin", "/usr/bin:/s/w/bin:/bin"),
            ("/opt/agent", "/home/u/bin/agent"),
            ("cat /workspace/a", "cat /workspace/a"),
            ("http://localhost", "http://localhost"),
            ("", ""),
        ] {
            assert_eq!(places.translate(OsStr::new(text)), OsString::from(expected));
        }
    }
}
