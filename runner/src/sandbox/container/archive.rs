//! Tar streams of a container's files, read without ever being unpacked.

use std::cell::Cell;
use std::io::{self, Read};

use autoclave_policies::RepoPath;
use sha2::{Digest, Sha256};

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

/// Bytes that may describe one entry: names of any length and extended attributes come before it, and
/// are held in memory.
const MAX_DESCRIPTION: u64 = 16 << 20;

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

/// One entry of an archive.
pub enum Entry<'a> {
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

/// Visits every entry beneath `root` (`None`: the whole workspace), in the order of the archive.
/// The workspace's own `.git` is passed over.
///
/// # Errors
///
/// See [`ArchiveError`].
pub fn each(
    archive: impl Read,
    root: Option<&RepoPath>,
    limits: ReadLimits,
    mut visit: impl FnMut(RepoPath, Entry<'_>) -> io::Result<()>,
) -> Result<(), ArchiveError> {
    let left = Cell::new(MAX_DESCRIPTION);
    let mut archive = tar::Archive::new(Bounded {
        archive,
        is_cut: false,
        left: &left,
    });
    let (mut entries, mut bytes) = (0, 0_u64);
    for entry in archive.entries()? {
        let mut entry = entry?;
        left.set(entry.size().saturating_add(MAX_DESCRIPTION));
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

/// An archive that knows whether its stream ended before itself, and how much of it may be read until
/// the next entry is known.
struct Bounded<'c, R> {
    archive: R,
    is_cut: bool,
    left: &'c Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.archive.read(buffer)?;
        self.is_cut |= n == 0 && !buffer.is_empty();
        let Some(left) = self.left.get().checked_sub(n as u64) else {
            let why = format!("more than {MAX_DESCRIPTION} bytes describe one entry");
            return Err(io::Error::other(why));
        };
        self.left.set(left);
        Ok(n)
    }
}

/// Returns the digest of a file's contents, never holding more than a piece of them.
pub fn digest_of(contents: &mut impl Read) -> io::Result<[u8; 32]> {
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
pub(super) mod tests {
    use tar::{Builder, EntryType, Header};

    use super::*;

    pub const LIMITS: ReadLimits = ReadLimits {
        entries: 100,
        bytes: 1 << 20,
        changed_bytes: 1000,
        path_bytes: 200,
    };

    pub fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    pub fn archive(entries: &[(&str, EntryType, u32, &[u8])]) -> Vec<u8> {
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

    /// Returns the paths that are visited.
    fn visited(
        archive: &[u8],
        root: Option<&RepoPath>,
        limits: ReadLimits,
    ) -> Result<Vec<String>, ArchiveError> {
        let mut paths = Vec::new();
        each(archive, root, limits, |path, _| {
            paths.push(path.to_string());
            Ok(())
        })
        .map(|()| paths)
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
            ("workspace/a", EntryType::Regular, 0o644, b"x"),
        ]);
        assert_eq!(visited(&tar, None, LIMITS).unwrap(), ["a"]);
    }

    #[test]
    fn a_name_without_end_is_an_error_and_fills_no_memory() {
        let mut long = Header::new_gnu();
        long.set_entry_type(EntryType::GNULongName);
        long.set_size(1 << 40);
        long.set_cksum();
        let mut given = 0;
        let header = long.as_bytes().as_slice();
        let endless = header.chain(io::repeat(b'n'));
        let counted = Counting {
            archive: endless,
            given: &mut given,
        };
        let error = each(counted, None, LIMITS, |_, _| Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "more than 16777216 bytes describe one entry"
        );
        assert!(given < 20 << 20, "{given}");
    }

    struct Counting<'c, R> {
        archive: R,
        given: &'c mut usize,
    }

    impl<R: Read> Read for Counting<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.archive.read(buffer)?;
            *self.given += n;
            Ok(n)
        }
    }

    #[test]
    fn an_archive_beyond_its_limits_is_an_error() {
        let tar = archive(&[("src/a", EntryType::Regular, 0o644, &[0; 100])]);
        let small = ReadLimits {
            bytes: 99,
            ..LIMITS
        };
        let root = path("src");
        assert!(matches!(
            visited(&tar, Some(&root), small),
            Err(ArchiveError::TooLarge(99))
        ));
        let few = ReadLimits {
            entries: 0,
            ..LIMITS
        };
        assert!(matches!(
            visited(&tar, Some(&root), few),
            Err(ArchiveError::TooMany(0))
        ));
        assert_eq!(visited(&tar, Some(&root), LIMITS).unwrap(), ["src/a"]);
    }
}
