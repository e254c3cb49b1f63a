//! Reads what an execution changed out of its upper directory, or out of its whole copy.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use autoclave_policies::{Class, Policy, RepoPath};

use super::layer::{During, Layer, is_opaque, is_whiteout};
use super::stack::Stack;
use crate::model::ChangeKind;
use crate::sandbox::intake::Intake;
use crate::sandbox::{ChangeLimits, Changes, SandboxError};

/// Relative to the root of the layers.
const WORKSPACE: &str = "workspace";
/// Leaves room in `PATH_MAX` for the way to the upper directory.
const MAX_PATH_BYTES: usize = 3800;

/// What an execution's own directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// What was touched, as overlayfs marks it.
    Touched,
    /// Everything, copied from the layers with their times.
    Everything {
        /// When copying began. A file whose unchanged time is not well before that may have been
        /// written within one tick of the clock, as in git's "racily clean" index entries.
        since: SystemTime,
    },
}

/// Coarser than any file system's clock that the state directory may lie on.
const CLOCK_TICK: Duration = Duration::from_secs(2);

/// Returns the changes in `upper` over `layers`. Nothing may run in the sandbox any more: the
/// tree stands still, so an entry that was seen as a directory still is one.
pub fn changes(
    (upper, holds): (&Path, Holds),
    layers: &[Arc<Layer>],
    policy: &Policy,
    limits: ChangeLimits,
) -> Result<Changes, SandboxError> {
    let mut reader = Reader {
        upper: upper.join(WORKSPACE),
        holds,
        lower: Stack(layers),
        policy,
        path_bytes: limits.path_bytes.min(MAX_PATH_BYTES),
        intake: Intake::new(policy, limits),
    };
    match fs::symlink_metadata(&reader.upper) {
        Ok(_) => reader.children(None)?,
        // Not touched at all. That nothing is there must not look the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound && holds == Holds::Touched => {
            fs::symlink_metadata(upper).during("look at", upper)?;
        }
        Err(error) => return Err(error).during("look at", &reader.upper),
    }
    Ok(reader.intake.finish())
}

struct Reader<'a> {
    upper: PathBuf,
    holds: Holds,
    lower: Stack<'a>,
    policy: &'a Policy,
    path_bytes: usize,
    intake: Intake<'a>,
}

impl Reader<'_> {
    fn children(&mut self, directory: Option<&RepoPath>) -> Result<(), SandboxError> {
        let host = match directory {
            Some(path) => self.upper.join(path.as_path()),
            None => self.upper.clone(),
        };
        let mut names = match list(&host) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if let Some(path) = directory {
                    self.intake.drop(path, "an unreadable directory");
                }
                return Ok(());
            }
            Err(error) => return Err(error).during("list", &host),
        };
        names.sort();
        for name in &names {
            let Some(path) = child(directory, name) else {
                continue;
            };
            if path.as_bytes() == b".git" {
                continue;
            }
            if path.name() == b".git" {
                self.intake.drop(&path, "inside a `.git` folder");
            } else if path.as_bytes().len() > self.path_bytes {
                self.intake
                    .drop(directory.unwrap_or(&path), "too deep beneath");
            } else {
                self.entry(&path)?;
            }
        }
        if self.holds != Holds::Touched || is_opaque(&host) {
            // What the lower directory had and the new one has not is gone.
            for name in self.lower.names(&lower(directory)) {
                if let Some(path) = child(directory, &name)
                    && path.as_bytes() != b".git"
                    && names.binary_search(&name).is_err()
                {
                    self.deleted(&path);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &RepoPath) -> Result<(), SandboxError> {
        let host = self.upper.join(path.as_path());
        let found = fs::symlink_metadata(&host).during("look at", &host)?;
        let before = self
            .lower
            .find(&lower(Some(path)))
            .and_then(|path| Some((fs::symlink_metadata(&path).ok()?, path)));
        let kind = found.file_type();
        if is_whiteout(&found) {
            self.deleted(path);
        } else if kind.is_dir() {
            if before.is_some_and(|(before, _)| !before.is_dir()) {
                self.intake.take(path.clone(), ChangeKind::Delete);
            }
            if !self.policy.is_scratch_throughout(path) {
                self.children(Some(path))?;
            }
        } else {
            if before.as_ref().is_some_and(|(before, _)| before.is_dir()) {
                self.deleted(path);
            }
            if self.policy.class_of(path) == Class::Scratch {
                // Not compared either: a build leaves much of it.
            } else if kind.is_file() {
                self.file(path, &host, &found, before)?;
            } else if kind.is_symlink() {
                self.link(path, &host, before)?;
            } else if kind.is_fifo() {
                self.intake.drop(path, "a fifo");
            } else if kind.is_socket() {
                self.intake.drop(path, "a socket");
            } else {
                self.intake.drop(path, "a device");
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &RepoPath,
        host: &Path,
        found: &Metadata,
        before: Option<(Metadata, PathBuf)>,
    ) -> Result<(), SandboxError> {
        let is_executable = found.mode() & 0o100 != 0;
        let is_special = found.mode() & 0o6000 != 0;
        if let Some((before, old)) = before
            && before.is_file()
            && !is_special
            && before.len() == found.len()
            && (before.mode() & 0o100 != 0) == is_executable
            && (self.is_untouched(&before, found) || is_same(&old, host).unwrap_or(false))
        {
            return Ok(());
        }
        let refusal = if is_special {
            Some("a set-user-ID or set-group-ID file")
        } else if found.nlink() > 1 {
            Some("a file with several hard links")
        } else {
            None
        };
        // What is not mutable is not read, and neither is what would be too much.
        if let Some(why) = self.intake.refusal(path, found.len()).or(refusal) {
            self.intake.drop(path, why);
            return Ok(());
        }
        let mut bytes = Vec::new();
        match open(host).and_then(|file| file.take(found.len()).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.intake.drop(path, "unreadable");
                return Ok(());
            }
            Err(error) => return Err(error).during("read", host),
        }
        let executable = is_executable;
        let kind = ChangeKind::Write { bytes, executable };
        self.intake.take(path.clone(), kind);
        Ok(())
    }

    /// Says whether a file's time alone shows that it was not written. A command can set times:
    /// then it hides its own work, and nothing else.
    fn is_untouched(&self, before: &Metadata, found: &Metadata) -> bool {
        match (self.holds, before.modified(), found.modified()) {
            (Holds::Everything { since }, Ok(before), Ok(found)) => {
                before == found && before + CLOCK_TICK < since
            }
            _ => false,
        }
    }

    fn link(
        &mut self,
        path: &RepoPath,
        host: &Path,
        before: Option<(Metadata, PathBuf)>,
    ) -> Result<(), SandboxError> {
        let target = fs::read_link(host).during("read", host)?;
        if let Some((before, old)) = before
            && before.is_symlink()
            && fs::read_link(&old).during("read", &old)? == target
        {
            return Ok(());
        }
        let target = target.into_os_string().into_vec();
        self.intake.take(path.clone(), ChangeKind::Link { target });
        Ok(())
    }

    /// Everything the layers have at `path` is gone.
    fn deleted(&mut self, path: &RepoPath) {
        let Some(old) = self.lower.find(&lower(Some(path))) else {
            return;
        };
        if !fs::symlink_metadata(&old).is_ok_and(|found| found.is_dir()) {
            self.intake.take(path.clone(), ChangeKind::Delete);
            return;
        }
        if self.policy.is_scratch_throughout(path) {
            return;
        }
        for name in self.lower.names(&lower(Some(path))) {
            if let Some(path) = child(Some(path), &name) {
                self.deleted(&path);
            }
        }
    }
}

fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

/// Returns the path of a name; a name the kernel gives is always a valid component.
fn child(directory: Option<&RepoPath>, name: &OsString) -> Option<RepoPath> {
    match directory {
        Some(directory) => directory.join(name.as_bytes()).ok(),
        None => RepoPath::new(name.as_bytes()).ok(),
    }
}

fn lower(path: Option<&RepoPath>) -> PathBuf {
    match path {
        Some(path) => Path::new(WORKSPACE).join(path.as_path()),
        None => PathBuf::from(WORKSPACE),
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
}

/// Compares two files of equal length.
fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}
