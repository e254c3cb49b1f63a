//! A path inside the repository.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::terminal::steers_terminal;

/// A path relative to the repository root, as bytes: git and Linux allow anything but NUL.
///
/// Never empty, never absolute, without `.`, `..`, empty components, NUL or a trailing slash.
/// Serializes as text; bytes that are not UTF-8 are written as `\xNN`, and a backslash as `\\`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(Vec<u8>);

/// Says why some bytes cannot name a file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` {why}")]
pub struct InvalidPath {
    shown: String,
    why: &'static str,
}

impl RepoPath {
    /// Returns the path that `bytes` name.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when the bytes are empty, absolute, hold NUL, or have a component that is
    /// empty, `.` or `..`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidPath> {
        let bytes = bytes.into();
        let why = if bytes.is_empty() {
            Some("is empty")
        } else if bytes.starts_with(b"/") {
            Some("is absolute; paths are relative to the repository root")
        } else if bytes.contains(&0) {
            Some("holds a NUL byte")
        } else {
            bytes
                .split(|b| *b == b'/')
                .find_map(|component| match component {
                    b"" => Some("has an empty component"),
                    b"." | b".." => Some("has a `.` or `..` component"),
                    _ => None,
                })
        };
        match why {
            Some(why) => Err(InvalidPath {
                shown: escape(&bytes),
                why,
            }),
            None => Ok(Self(bytes)),
        }
    }

    /// Returns the path that a relative one of the file system is, if it is a plain one.
    pub fn from_relative(path: &Path) -> Option<Self> {
        Self::new(path.as_os_str().as_bytes()).ok()
    }

    /// Returns the bytes of the path, components separated by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path in the form that file system calls take; still relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Yields the components from the root down; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// Returns the last component.
    pub fn name(&self) -> &[u8] {
        self.components()
            .next_back()
            .expect("a path has at least one component")
    }

    /// Returns the containing directory, or `None` for a path directly in the root.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..slash].to_vec()))
    }

    /// Says whether `self` is `ancestor` or lies beneath it, compared by component.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0
            .strip_prefix(ancestor.0.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Returns the path of `name` inside this directory.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] when `name` is not a plain relative path.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidPath> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self::new(bytes)
    }
}

impl TryFrom<&str> for RepoPath {
    type Error = InvalidPath;

    fn try_from(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({self})")
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&escape(&self.0))
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes =
            unescape(&text).ok_or_else(|| serde::de::Error::custom("bad escape in path"))?;
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

/// Writes bytes as one line of text that [`unescape`] reads back.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if steers_terminal(c) => {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        push_hex(&mut text, byte);
                    }
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            push_hex(&mut text, *byte);
        }
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push_str("\\x");
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        match rest.split_first()? {
            (b'\\', tail) => {
                bytes.push(b'\\');
                rest = tail;
            }
            (b'x', tail) => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_leave_the_repository_are_refused() {
        for bad in ["", "/etc", "a//b", "a/", "./a", "a/../b", "..", "a\0b"] {
            assert!(RepoPath::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn within_compares_components_not_prefixes() {
        let dir = RepoPath::try_from("src/a").unwrap();
        assert!(RepoPath::try_from("src/a/b").unwrap().is_within(&dir));
        assert!(!RepoPath::try_from("src/ab").unwrap().is_within(&dir));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_serialization(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(path) = RepoPath::new(bytes) {
                let json = serde_json::to_string(&path).unwrap();
                prop_assert!(!json.contains('\n'));
                prop_assert_eq!(serde_json::from_str::<RepoPath>(&json).unwrap(), path);
            }
        }
    }
}
