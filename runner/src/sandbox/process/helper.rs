//! The binary that enters the sandbox, carried inside this one.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use tempfile::TempPath;

/// The helper, a static binary where the target allows it.
pub static BYTES: &[u8] = include_bytes!(env!("AUTOCLAVE_ENTER"));
const NAME: &str = "autoclave-enter";

/// The helper, where a child of this process can execute it.
#[derive(Debug)]
pub enum Helper {
    /// A sealed file in memory: no path leads to it, nobody can change it.
    Memory(File),
    /// A private, unwritable file, where the host forbids to execute memory.
    Private(TempPath),
}

impl Helper {
    /// Unpacks the helper in memory or, where that cannot be executed, in `folder`.
    pub fn new(folder: &Path) -> io::Result<Self> {
        match Self::in_memory() {
            Ok(helper) if helper.starts() => Ok(helper),
            Ok(_) => Self::in_file(folder),
            Err(error) => {
                tracing::debug!(%error, "no executable memory: the helper becomes a file");
                Self::in_file(folder)
            }
        }
    }

    fn in_memory() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        // Said explicitly: with vm.memfd_noexec=1, the default is not executable. Kernels before
        // 6.3 do not know the flag, and need none.
        let executable = flags | MFdFlags::from_bits_retain(libc::MFD_EXEC);
        let made = match memfd_create(NAME, executable) {
            Err(Errno::EINVAL) => memfd_create(NAME, flags),
            made => made,
        };
        let mut file = File::from(made?);
        file.write_all(BYTES)?;
        let seals = SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Self::Memory(file))
    }

    fn in_file(folder: &Path) -> io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix(NAME).tempfile_in(folder)?;
        file.write_all(BYTES)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(0o500))?;
        // Closed: a file open for writing cannot be executed.
        Ok(Self::Private(file.into_temp_path()))
    }

    /// Says whether the host lets a child execute it.
    fn starts(&self) -> bool {
        Command::new(self.path())
            .env_clear()
            .stdin(Stdio::null())
            .status()
            .is_ok()
    }

    /// Returns the path under which a child of this process can execute the helper.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Memory(file) => PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
            Self::Private(path) => path.to_path_buf(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What the helper answers to no words at all.
    fn answer(helper: &Helper) -> Option<i32> {
        loop {
            match Command::new(helper.path()).status() {
                // A fork of another test holds the file open for writing until it executes.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                status => return status.unwrap().code(),
            }
        }
    }

    #[test]
    fn the_helper_runs_from_memory() {
        assert_eq!(answer(&Helper::in_memory().unwrap()), Some(2));
    }

    #[test]
    fn the_helper_runs_from_a_private_file_that_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = Helper::in_file(folder.path()).unwrap();
        assert_eq!(answer(&file), Some(2));
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o500);
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn memory_cannot_be_changed_any_more() {
        let Helper::Memory(mut file) = Helper::in_memory().unwrap() else {
            panic!("not in memory");
        };
        let errno = file.write(b"x").unwrap_err().raw_os_error();
        assert_eq!(errno, Some(libc::EPERM));
    }
}
