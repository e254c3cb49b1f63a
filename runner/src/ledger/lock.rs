//! A file that one process at a time holds, and that names its holder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Who only looks whether a lock is held has it for an instant, and must not be taken for a holder.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A held lock; free again when dropped, and when the process dies.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: Flock<File>,
}

/// The process that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// `None` in the instant before it has written its id.
    pub pid: Option<u32>,
}

/// Why a lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("`{}` is held by another autoclave{}", path.display(), in_words(*holder))]
    Held { path: PathBuf, holder: Holder },
    #[error("could not lock `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl Lock {
    /// Takes the lock at `path` and writes this process's id into the file, which is made if absent.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] when a living process has it; else what the file system says.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        for _ in 1..TRIES {
            match Self::try_take(path) {
                Err(LockError::Held { .. }) => std::thread::sleep(BETWEEN_TRIES),
                taken => return taken,
            }
        }
        Self::try_take(path)
    }

    /// As [`take`](Self::take), without a moment's patience with who only looks.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take).
    pub fn try_take(path: &Path) -> Result<Self, LockError> {
        let failed = |cause: io::Error| LockError::Io {
            path: path.to_owned(),
            cause,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                held.set_len(0)
                    .and_then(|()| held.write_all(format!("{}\n", std::process::id()).as_bytes()))
                    .map_err(failed)?;
                Ok(Self {
                    path: path.to_owned(),
                    _file: held,
                })
            }
            Err((mut theirs, Errno::EWOULDBLOCK)) => Err(LockError::Held {
                path: path.to_owned(),
                holder: written(&mut theirs),
            }),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// Returns who holds the lock at `path` now; `None` when nobody does.
    ///
    /// # Errors
    ///
    /// [`LockError::Io`] when the file is there and cannot be looked at.
    pub fn holder(path: &Path) -> Result<Option<Holder>, LockError> {
        let failed = |cause: io::Error| LockError::Io {
            path: path.to_owned(),
            cause,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_free) => Ok(None),
            Err((mut theirs, Errno::EWOULDBLOCK)) => Ok(Some(written(&mut theirs))),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn written(file: &mut File) -> Holder {
    let mut text = String::new();
    let pid = match file.take(32).read_to_string(&mut text) {
        Ok(_) => text.trim().parse().ok(),
        Err(_) => None,
    };
    Holder { pid }
}

fn in_words(holder: Holder) -> String {
    holder
        .pid
        .map_or_else(String::new, |pid| format!(" (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.lock");
        let us = Holder {
            pid: Some(std::process::id()),
        };
        assert_eq!(Lock::holder(&path).unwrap(), None);
        let first = Lock::take(&path).unwrap();
        assert_eq!(Lock::holder(&path).unwrap(), Some(us));
        let LockError::Held { holder, .. } = Lock::take(&path).unwrap_err() else {
            panic!("held, not broken");
        };
        assert_eq!(holder, us);
        drop(first);
        assert_eq!(Lock::holder(&path).unwrap(), None);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn the_id_of_a_dead_or_unrelated_process_in_the_file_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.lock");
        // That of a process which lives, and of none.
        for left in ["1\n", "4000000000\n", "not a number", ""] {
            std::fs::write(&path, left).unwrap();
            assert_eq!(Lock::holder(&path).unwrap(), None, "{left:?}");
            let lock = Lock::take(&path).unwrap();
            let text = std::fs::read_to_string(lock.path()).unwrap();
            assert_eq!(text, format!("{}\n", std::process::id()));
        }
    }
}
