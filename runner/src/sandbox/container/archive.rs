//! Tar streams of a container's files, read without ever being unpacked.

use std::collections::BTreeMap;
use std::io::{self, Read};

use autoclave_policies::RepoPath;
use sha2::{Digest, Sha256};

/// What a snapshot holds beneath the mutable roots.
pub type Manifest = BTreeMap<RepoPath, Recorded>;

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

/// How much of an archive is read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    pub entries: usize,
    /// Of all files together, changed or not.
    pub bytes: u64,
    /// Of the files that differ.
    pub changed_bytes: u64,
    pub path_bytes: usize,
}

/// Why an archive was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it holds more than {0} entries")]
    TooMany(usize),
    #[error("it holds more than {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
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
    manifest: &mut Manifest,
) -> Result<(), ArchiveError> {
    each(archive, root, limits, |path, entry| {
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
        manifest.insert(path, recorded);
        Ok(())
    })
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
    each(archive, root, limits, |path, entry| {
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

/// One entry of an archive.
enum Entry<'a> {
    Directory,
    File {
        size: u64,
        is_executable: bool,
        is_special: bool,
        contents: Box<dyn Read + 'a>,
    },
    Link {
        target: Vec<u8>,
    },
    /// Another name of a file that came before; `None` where that is none of the workspace.
    HardLink {
        target: Option<RepoPath>,
    },
    Other(&'static str),
}

fn each(
    archive: impl Read,
    root: Option<&RepoPath>,
    limits: ReadLimits,
    mut visit: impl FnMut(RepoPath, Entry<'_>) -> io::Result<()>,
) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(Ending {
        archive,
        is_cut: false,
    });
    let (mut entries, mut bytes) = (0, 0_u64);
    for entry in archive.entries()? {
        let mut entry = entry?;
        entries += 1;
        bytes = bytes.saturating_add(entry.size());
        if entries > limits.entries {
            return Err(ArchiveError::TooMany(limits.entries));
        }
        if bytes > limits.bytes {
            return Err(ArchiveError::TooLarge(limits.bytes));
        }
        let Some(path) = inside(&entry.path_bytes(), root) else {
            continue;
        };
        if path.as_bytes() == b".git" || path.as_bytes().starts_with(b".git/") {
            continue;
        }
        let mode = entry.header().mode()?;
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let kind = entry.header().entry_type();
        let size = entry.size();
        let entry = if path.as_bytes().len() > limits.path_bytes {
            Entry::Other("too deep beneath")
        } else if path
            .as_bytes()
            .split(|b| *b == b'/')
            .any(|name| name == b".git")
        {
            Entry::Other("inside a `.git` folder")
        } else if kind.is_dir() {
            Entry::Directory
        } else if kind.is_file() {
            Entry::File {
                size,
                is_executable: mode & 0o100 != 0,
                is_special: mode & 0o6000 != 0,
                contents: Box::new(&mut entry),
            }
        } else if kind.is_symlink() {
            Entry::Link {
                target: target.unwrap_or_default(),
            }
        } else if kind.is_hard_link() {
            let target = target.and_then(|target| inside(&target, root));
            Entry::HardLink { target }
        } else if kind.is_fifo() {
            Entry::Other("a fifo")
        } else {
            Entry::Other("a device or socket")
        };
        visit(path, entry)?;
    }
    // The crate also takes the end of the stream for the end of an archive.
    if archive.into_inner().is_cut {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

/// An archive of no entries: the blocks of zeros that end every one.
pub const NOTHING: [u8; 1024] = [0; 1024];

/// An archive that knows whether its stream ended before itself.
struct Ending<R> {
    archive: R,
    is_cut: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.archive.read(buffer)?;
        self.is_cut |= n == 0 && !buffer.is_empty();
        Ok(n)
    }
}

fn digest_of(contents: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = contents.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..n]);
    }
}

/// Returns the path of an entry: the engine names it from the last component of what was asked.
fn inside(name: &[u8], root: Option<&RepoPath>) -> Option<RepoPath> {
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let rest = match name.iter().position(|b| *b == b'/') {
        Some(at) => &name[at + 1..],
        None => return root.cloned(),
    };
    match root {
        Some(root) => {
            let mut path = root.as_bytes().to_vec();
            path.push(b'/');
            path.extend_from_slice(rest);
            RepoPath::new(path).ok()
        }
        None => RepoPath::new(rest).ok(),
    }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, EntryType, Header};

    use super::*;

    const LIMITS: ReadLimits = ReadLimits {
        entries: 100,
        bytes: 1 << 20,
        changed_bytes: 1000,
        path_bytes: 200,
    };

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn archive(entries: &[(&str, EntryType, u32, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, mode, bytes) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            match kind {
                EntryType::Symlink | EntryType::Link => {
                    header.set_size(0);
                    let target = std::str::from_utf8(bytes).unwrap();
                    builder.append_link(&mut header, name, target).unwrap();
                }
                _ => {
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, name, *bytes).unwrap();
                }
            }
        }
        builder.into_inner().unwrap()
    }

    fn manifest(files: &[(&str, &[u8])]) -> Manifest {
        files
            .iter()
            .map(|(name, bytes)| (path(name), Recorded::file(bytes, false)))
            .collect()
    }

    #[test]
    fn what_was_recorded_and_not_touched_is_no_difference() {
        let tar = archive(&[
            ("src/", EntryType::Directory, 0o755, b""),
            ("src/a", EntryType::Regular, 0o644, b"one"),
            ("src/l", EntryType::Symlink, 0o777, b"a"),
        ]);
        let root = path("src");
        let mut recorded = Manifest::new();
        record(tar.as_slice(), Some(&root), LIMITS, &mut recorded).unwrap();
        assert_eq!(recorded.len(), 3);
        let differences = compare(tar.as_slice(), Some(&root), LIMITS, &recorded).unwrap();
        assert_eq!(differences, []);
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
        let differences =
            compare(tar.as_slice(), Some(&path("src")), LIMITS, &Manifest::new()).unwrap();
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

    #[test]
    fn the_sandbox_own_git_folder_is_never_looked_at() {
        let tar = archive(&[
            ("workspace/.git/", EntryType::Directory, 0o755, b""),
            (
                "workspace/.git/hooks/pre-commit",
                EntryType::Regular,
                0o755,
                b"x",
            ),
        ]);
        assert_eq!(
            compare(tar.as_slice(), None, LIMITS, &Manifest::new()).unwrap(),
            []
        );
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
    fn an_archive_beyond_its_limits_is_an_error() {
        let tar = archive(&[("src/a", EntryType::Regular, 0o644, &[0; 100])]);
        let small = ReadLimits {
            bytes: 99,
            ..LIMITS
        };
        assert!(matches!(
            compare(tar.as_slice(), Some(&path("src")), small, &Manifest::new()),
            Err(ArchiveError::TooLarge(99))
        ));
        let few = ReadLimits {
            entries: 0,
            ..LIMITS
        };
        assert!(matches!(
            compare(tar.as_slice(), Some(&path("src")), few, &Manifest::new()),
            Err(ArchiveError::TooMany(0))
        ));
    }
}
