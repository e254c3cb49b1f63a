//! The binary that enters the sandbox, carried inside this one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The helper, a static binary where the target allows it.
pub static BYTES: &[u8] = include_bytes!(env!("AUTOCLAVE_ENTER"));

/// The helper as a sealed file in memory: no path leads to it, nobody can change it.
#[derive(Debug)]
pub struct Helper(File);

impl Helper {
    pub fn new() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("autoclave-enter", flags)?);
        file.write_all(BYTES)?;
        let seals = SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Self(file))
    }

    /// Returns the path under which a child of this process can execute the helper.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
