//! What an execution changed: the archive of a container against what its snapshot holds.

use std::collections::BTreeMap;
use std::io::Read;

use autoclave_policies::RepoPath;

use super::archive::{self, ArchiveError, Entry, ReadLimits, digest_of};
use super::manifest::{Manifest, Recorded};

/// What a container's file system has at a path and its snapshot has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: RepoPath,
    pub now: Now,
}

/// What a path is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    File {
        bytes: Vec<u8>,
        is_executable: bool,
    },
    Link {
        target: Vec<u8>,
    },
    Gone,
    /// Nothing that could be taken; a fragment for people says why.
    Refused(&'static str),
}

/// Compares the archive of `root` with what the snapshot had there. Order: by path.
///
/// # Errors
///
/// See [`ArchiveError`].
pub fn compare(
    archive: impl Read,
    root: Option<&RepoPath>,
    limits: ReadLimits,
    manifest: &Manifest,
) -> Result<Vec<Difference>, ArchiveError> {
    let mut found: BTreeMap<RepoPath, Option<Now>> = BTreeMap::new();
    let mut hard_links = Vec::new();
    let mut left = limits.changed_bytes;
    archive::each(archive, root, limits, |path, entry| {
        let before = manifest.get(&path);
        let now = match entry {
            Entry::Directory => None,
            Entry::Link { target } => {
                let link = Recorded::Link {
                    target: target.clone(),
                };
                (before != Some(&link)).then_some(Now::Link { target })
            }
            Entry::File {
                size,
                is_executable,
                is_special,
                mut contents,
            } => {
                let mut bytes = Vec::new();
                let is_kept = size <= left;
                let file = if is_kept {
                    contents.read_to_end(&mut bytes)?;
                    Recorded::file(&bytes, is_executable)
                } else {
                    let digest = digest_of(&mut contents)?;
                    Recorded::File {
                        digest,
                        is_executable,
                    }
                };
                if is_special {
                    Some(Now::Refused("a set-user-ID or set-group-ID file"))
                } else if before == Some(&file) {
                    None
                } else if is_kept {
                    left -= size;
                    Some(Now::File {
                        bytes,
                        is_executable,
                    })
                } else {
                    Some(Now::Refused(
                        "larger than what is left of the allowed bytes",
                    ))
                }
            }
            Entry::HardLink { target } => {
                hard_links.extend(target);
                Some(Now::Refused("a file with several hard links"))
            }
            Entry::Other(why) => Some(Now::Refused(why)),
        };
        found.insert(path, now);
        Ok(())
    })?;
    for path in hard_links {
        found.insert(path, Some(Now::Refused("a file with several hard links")));
    }
    let is_beneath = |path: &RepoPath| root.is_none_or(|root| path.is_within(root));
    for (path, before) in manifest.iter().filter(|(path, _)| is_beneath(path)) {
        if *before != Recorded::Directory && !found.contains_key(path) {
            found.insert(path.clone(), Some(Now::Gone));
        }
    }
    Ok(found
        .into_iter()
        .filter_map(|(path, now)| now.map(|now| Difference { path, now }))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tar::EntryType;

    use super::super::archive::NOTHING;
    use super::super::archive::tests::{LIMITS, archive, path};
    use super::super::delta::Delta;
    use super::super::manifest::{self, Record};
    use super::*;
    use crate::model::{FileKind, SnapshotEntry};

    fn manifest(files: &[(&str, &[u8])]) -> Manifest {
        let record = files
            .iter()
            .map(|(name, bytes)| (path(name), Recorded::file(bytes, false)))
            .collect();
        Manifest::new(Arc::new(record), &Delta::default())
    }

    #[test]
    fn what_was_recorded_and_not_touched_is_no_difference() {
        let tar = archive(&[
            ("src/", EntryType::Directory, 0o755, b""),
            ("src/a", EntryType::Regular, 0o644, b"one"),
            ("src/l", EntryType::Symlink, 0o777, b"a"),
        ]);
        let root = path("src");
        let mut record = Record::new();
        manifest::record(tar.as_slice(), Some(&root), LIMITS, &mut record).unwrap();
        assert_eq!(record.len(), 3);
        let recorded = Manifest::new(Arc::new(record), &Delta::default());
        let differences = compare(tar.as_slice(), Some(&root), LIMITS, &recorded).unwrap();
        assert_eq!(differences, []);
    }

    #[test]
    fn the_workspaces_own_git_is_no_difference() {
        let tar = archive(&[("workspace/", EntryType::Directory, 0o755, b"")]);
        let delta = Delta::default().then(
            vec![SnapshotEntry {
                path: path(".git/index"),
                kind: FileKind::File {
                    bytes: b"index".to_vec(),
                    executable: false,
                },
            }],
            Vec::new(),
        );
        let manifest = Manifest::new(Arc::default(), &delta);
        let differences = compare(tar.as_slice(), None, LIMITS, &manifest).unwrap();
        assert_eq!(differences, []);
    }

    #[test]
    fn an_archive_that_was_cut_is_never_taken_for_a_whole_one() {
        let tar = archive(&[
            ("src/a", EntryType::Regular, 0o644, &[0; 700]),
            ("src/b", EntryType::Regular, 0o644, &[0; 512]),
        ]);
        let (root, before) = (path("src"), manifest(&[("src/a", &[0; 700])]));
        let compared = |tar: &[u8]| compare(tar, Some(&root), LIMITS, &before);
        let entries = 512 + 1024 + 512 + 512;
        assert_eq!(compared(&tar).unwrap().len(), 1);
        for length in 0..entries {
            assert!(
                matches!(compared(&tar[..length]), Err(ArchiveError::Io(_))),
                "{length} bytes"
            );
        }
        assert!(compared(&tar[..entries]).is_err(), "without its end");
        assert_eq!(compared(&NOTHING).unwrap()[0].now, Now::Gone);
    }

    #[test]
    fn added_changed_and_deleted_files_differ() {
        let tar = archive(&[
            ("workspace/", EntryType::Directory, 0o755, b""),
            ("workspace/same", EntryType::Regular, 0o644, b"same"),
            ("workspace/run", EntryType::Regular, 0o755, b"run"),
            ("workspace/new", EntryType::Regular, 0o644, b"new"),
        ]);
        let before = manifest(&[("same", b"same"), ("run", b"run"), ("gone", b"")]);
        let file = |bytes: &[u8], is_executable| Now::File {
            bytes: bytes.to_vec(),
            is_executable,
        };
        let differences = compare(tar.as_slice(), None, LIMITS, &before).unwrap();
        assert_eq!(
            differences,
            [
                ("gone", Now::Gone),
                ("new", file(b"new", false)),
                ("run", file(b"run", true)),
            ]
            .map(|(name, now)| Difference {
                path: path(name),
                now
            })
        );
    }

    #[test]
    fn what_cannot_be_taken_says_why() {
        let long = "d/".repeat(120);
        let tar = archive(&[
            ("src/suid", EntryType::Regular, 0o4755, b"x"),
            ("src/fifo", EntryType::Fifo, 0o644, b""),
            ("src/a", EntryType::Regular, 0o644, b"x"),
            ("src/b", EntryType::Link, 0o644, b"src/a"),
            ("src/big", EntryType::Regular, 0o644, &[0; 2000]),
            (&format!("src/{long}x"), EntryType::Regular, 0o644, b""),
            ("src/m/.git/config", EntryType::Regular, 0o644, b""),
        ]);
        let differences = compare(
            tar.as_slice(),
            Some(&path("src")),
            LIMITS,
            &Manifest::default(),
        )
        .unwrap();
        let reasons: Vec<&str> = differences
            .iter()
            .map(|difference| match difference.now {
                Now::Refused(why) => why,
                _ => "taken",
            })
            .collect();
        assert_eq!(
            reasons,
            [
                "a file with several hard links",
                "a file with several hard links",
                "larger than what is left of the allowed bytes",
                "too deep beneath",
                "a fifo",
                "inside a `.git` folder",
                "a set-user-ID or set-group-ID file",
            ]
        );
    }
}
