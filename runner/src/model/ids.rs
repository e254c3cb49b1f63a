//! Names of runs, experiments and commits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a run: sortable by time, safe as a folder and ref name (lowercase, digits, dash).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Returns the id for a run of `marker` started at `stamp` (`20260131-235959`), told apart from
    /// others of the same second by `salt`.
    pub fn new(marker: &str, stamp: &str, salt: u16) -> Self {
        Self(format!("{stamp}-{marker}-{salt:04x}"))
    }

    /// Returns when it started, as in [`RunId::new`]; `None` for what is no id of a run.
    pub fn stamp(&self) -> Option<&str> {
        self.marker().map(|_| &self.0[..15])
    }

    /// Returns the name of the marker; `None` for what is no id of a run.
    pub fn marker(&self) -> Option<&str> {
        // 15 characters of a stamp and a dash before the marker, a dash and 4 of salt after it.
        let (stamp, rest) = self.0.split_at_checked(16)?;
        let (marker, salt) = rest.rsplit_once('-')?;
        let is_stamp = stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let is_salt = salt.len() == 4 && salt.bytes().all(|b| b.is_ascii_hexdigit());
        (is_stamp && is_salt).then_some(marker)
    }

    /// Returns the id as it is written in folder and ref names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for RunId {
    /// Takes the name of a run's folder.
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an experiment within its run; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExperimentNumber(u32);

impl ExperimentNumber {
    pub const FIRST: Self = Self(1);

    /// Returns the number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for ExperimentNumber {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for ExperimentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The full id of a git commit: 40 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

/// Says that a text is not a full commit id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a full commit id (40 lowercase hex digits)")]
pub struct InvalidCommitId(String);

impl CommitId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 10 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl TryFrom<String> for CommitId {
    type Error = InvalidCommitId;

    fn try_from(text: String) -> Result<Self, InvalidCommitId> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 40 && text.bytes().all(is_hex) {
            Ok(Self(text))
        } else {
            Err(InvalidCommitId(text))
        }
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_its_marker() {
        let run = RunId::new("sort-speed", "20260131-235959", 0xff);
        assert_eq!(run.marker(), Some("sort-speed"));
        assert_eq!(run.stamp(), Some("20260131-235959"));
        for other in [
            "notes",
            "20260131-235959-sort",
            "20260131-235959-sort-xyz1",
            "",
        ] {
            assert_eq!(RunId::from(other.to_owned()).marker(), None, "{other}");
        }
    }
}
