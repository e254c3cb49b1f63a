//! Copies a file's bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Copies what `from` holds into the new file `to`: a sparse file stays as small as it is.
///
/// Where the file system can share blocks, the kernel does; see copy_file_range(2).
///
/// # Errors
///
/// One of them cannot be opened, `to` exists, or there is no space.
pub fn copy_contents(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut source = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(from)?;
    let mut target = File::options().write(true).create_new(true).open(to)?;
    target.set_len(source.metadata()?.len())?;
    let mut at = 0;
    loop {
        let start = match lseek(&source, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        at = lseek(&source, start, Whence::SeekHole)?;
        lseek(&source, start, Whence::SeekSet)?;
        lseek(&target, start, Whence::SeekSet)?;
        let length = u64::try_from(at - start).unwrap_or(0);
        io::copy(&mut Read::by_ref(&mut source).take(length), &mut target)?;
    }
}
