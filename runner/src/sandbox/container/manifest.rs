//! What a snapshot holds: a record of its image, and what was changed since.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use autoclave_policies::RepoPath;
use sha2::{Digest, Sha256};

use super::archive::{self, ArchiveError, Entry, ReadLimits, digest_of};
use super::delta::Delta;
use crate::model::FileKind;

/// What an image holds beneath the mutable roots.
pub type Record = BTreeMap<RepoPath, Recorded>;

/// One path of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    Directory,
    File {
        digest: [u8; 32],
        is_executable: bool,
    },
    Link {
        target: Vec<u8>,
    },
    /// A fifo, a socket, a device.
    Other,
}

impl Recorded {
    pub fn file(bytes: &[u8], is_executable: bool) -> Self {
        Self::File {
            digest: Sha256::digest(bytes).into(),
            is_executable,
        }
    }
}

/// What a snapshot holds beneath the mutable roots. Costs what the delta has, not what the record has.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    record: Arc<Record>,
    /// What is other than recorded; `None` is gone.
    since: BTreeMap<RepoPath, Option<Recorded>>,
}

impl Manifest {
    /// Returns what there is when `delta` was put over what `record` has. Reads all of the delta. The
    /// workspace's own `.git` is passed over, as it is in archives.
    pub fn new(record: Arc<Record>, delta: &Delta) -> Self {
        let removals = delta.removals.iter().map(|path| (path.clone(), None));
        let writes = delta.writes.iter().map(|(path, kind)| {
            let recorded = match &**kind {
                FileKind::Directory => Recorded::Directory,
                FileKind::File { bytes, executable } => Recorded::file(bytes, *executable),
                FileKind::Symlink { target } => Recorded::Link {
                    target: target.clone(),
                },
            };
            (path.clone(), Some(recorded))
        });
        Self {
            record,
            since: removals
                .chain(writes)
                .filter(|(path, _)| !path.as_bytes().starts_with(b".git/"))
                .collect(),
        }
    }

    /// Returns what is at `path`, if anything is.
    pub fn get(&self, path: &RepoPath) -> Option<&Recorded> {
        match self.since.get(path) {
            Some(since) => since.as_ref(),
            None => self.record.get(path).filter(|_| !self.is_replaced(path)),
        }
    }

    /// Returns all there is. Order: none.
    pub fn iter(&self) -> impl Iterator<Item = (&RepoPath, &Recorded)> {
        let since = self.since.iter();
        let since = since.filter_map(|(path, recorded)| Some((path, recorded.as_ref()?)));
        let before = self.record.iter();
        since.chain(
            before.filter(|(path, _)| !self.since.contains_key(*path) && !self.is_replaced(path)),
        )
    }

    /// Says whether something that is no directory took the place of one above `path`.
    fn is_replaced(&self, path: &RepoPath) -> bool {
        !self.since.is_empty()
            && std::iter::successors(path.parent(), RepoPath::parent).any(|above| {
                let since = self.since.get(&above);
                since.is_some_and(|since| {
                    since
                        .as_ref()
                        .is_some_and(|now| *now != Recorded::Directory)
                })
            })
    }
}

/// Records everything in the archive of `root` (`None`: the whole workspace).
///
/// # Errors
///
/// See [`ArchiveError`].
pub fn record(
    archive: impl Read,
    root: Option<&RepoPath>,
    limits: ReadLimits,
    record: &mut Record,
) -> Result<(), ArchiveError> {
    archive::each(archive, root, limits, |path, entry| {
        let recorded = match entry {
            Entry::Directory => Recorded::Directory,
            Entry::Link { target } => Recorded::Link { target },
            Entry::File {
                is_executable,
                mut contents,
                ..
            } => {
                let digest = digest_of(&mut contents)?;
                Recorded::File {
                    digest,
                    is_executable,
                }
            }
            Entry::HardLink { .. } | Entry::Other(_) => Recorded::Other,
        };
        record.insert(path, recorded);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SnapshotEntry;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    #[test]
    fn what_changed_since_hides_what_was_recorded() {
        let file = Recorded::file(b"x", false);
        let names = ["a", "b", "m/deep/c", "m/d", "n/e"];
        let record = names.map(|name| (path(name), file.clone())).into();
        let link = FileKind::Symlink {
            target: b"n".to_vec(),
        };
        let written = SnapshotEntry {
            path: path("m"),
            kind: link,
        };
        let delta = Delta::default().then(vec![written], vec![path("b")]);
        let manifest = Manifest::new(Arc::new(record), &delta);
        let held: BTreeMap<String, bool> = manifest
            .iter()
            .map(|(path, recorded)| (path.to_string(), *recorded == file))
            .collect();
        let expected = [("a", true), ("m", false), ("n/e", true)];
        assert_eq!(
            held,
            expected.map(|(name, is)| (name.to_owned(), is)).into()
        );
        let found = names.map(|name| manifest.get(&path(name)).is_some());
        assert_eq!(found, [true, false, false, false, true]);
    }
}
