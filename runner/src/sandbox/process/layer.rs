//! Snapshots as stacks of overlay layers, and their files' owners.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use autoclave_policies::{Plan, RepoPath};
use nix::sys::stat::{Mode, SFlag, mknod};

use super::privileges;
use super::removal::remove_tree;
use crate::model::{FileKind, SnapshotEntry};
use crate::sandbox::owners::{Attributes, Owners};
use crate::sandbox::{HOME, SandboxError, SnapshotParts, WORKSPACE};

/// The process backend's snapshot: layers, topmost first.
#[derive(Debug)]
pub struct Layers(pub Vec<Arc<Layer>>);

impl SnapshotParts for Layers {}

/// One directory of a stack; removed with the last snapshot that stands on it.
#[derive(Debug)]
pub struct Layer(PathBuf);

impl Layer {
    /// Makes an empty layer at `path`.
    pub fn new(path: PathBuf) -> Result<Self, SandboxError> {
        make_directory(&path).during("make the layer", &path)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        remove_tree(&self.0);
    }
}

/// Writes entries into a layer, owned as a plan says.
pub struct LayerWriter {
    layer: Arc<Layer>,
    owners: Owners,
}

impl LayerWriter {
    /// Starts the layer with the workspace and home directories.
    pub fn new(layer: &Arc<Layer>, plan: &Plan) -> Result<Self, SandboxError> {
        let writer = Self {
            layer: Arc::clone(layer),
            owners: Owners::new(plan),
        };
        let workspace = writer.at(WORKSPACE);
        make_directory(&workspace).during("make", &workspace)?;
        apply(&writer.owners.root(), &workspace)?;
        Ok(writer)
    }

    /// Makes the home directory, the sandboxed command's own.
    pub fn home(&self) -> Result<(), SandboxError> {
        let home = self.at(HOME);
        let parent = home.parent().unwrap_or(self.layer.path());
        make_directory(parent).during("make", parent)?;
        make_directory(&home).during("make", &home)?;
        apply(&self.owners.home(), &home)
    }

    pub fn write(&self, entry: &SnapshotEntry) -> Result<(), SandboxError> {
        if let Some(parent) = entry.path.parent() {
            self.directory(&parent)?;
        }
        let path = self.host(&entry.path);
        match &entry.kind {
            FileKind::Directory => self.directory(&entry.path),
            FileKind::File { bytes, executable } => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .custom_flags(nix::libc::O_NOFOLLOW)
                    .open(&path)
                    .during("make", &path)?;
                file.write_all(bytes).during("write", &path)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                apply(&self.owners.file(&entry.path, mode), &path)
            }
            FileKind::Symlink { target } => {
                symlink(std::ffi::OsStr::from_bytes(target), &path).during("link", &path)?;
                own(&self.owners.file(&entry.path, 0), &path)
            }
        }
    }

    /// Makes a directory of the workspace with its parents, each with its own attributes.
    pub fn directory(&self, path: &RepoPath) -> Result<(), SandboxError> {
        let host = self.host(path);
        match fs::symlink_metadata(&host) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(SandboxError::Backend(format!(
                    "`{path}` is both a file and a directory"
                )));
            }
            Err(_) => {}
        }
        if let Some(parent) = path.parent() {
            self.directory(&parent)?;
        }
        make_directory(&host).during("make", &host)?;
        apply(&self.owners.directory(path), &host)
    }

    /// Hides what the layers beneath have at `path`.
    pub fn remove(&self, path: &RepoPath) -> Result<(), SandboxError> {
        if let Some(parent) = path.parent() {
            self.directory(&parent)?;
        }
        let host = self.host(path);
        match fs::symlink_metadata(&host) {
            Ok(found) if found.is_dir() => set_opaque(&host).during("hide", &host),
            Ok(_) => Ok(()),
            Err(_) => make_whiteout(&host).during("hide", &host),
        }
    }

    fn host(&self, path: &RepoPath) -> PathBuf {
        self.at(WORKSPACE).join(path.as_path())
    }

    fn at(&self, absolute: &str) -> PathBuf {
        self.layer.path().join(absolute.trim_start_matches('/'))
    }
}

fn apply(attributes: &Attributes, path: &Path) -> Result<(), SandboxError> {
    own(attributes, path)?;
    // After the owner: chown(2) clears mode bits.
    let mode = Permissions::from_mode(attributes.mode);
    fs::set_permissions(path, mode).during("set the mode of", path)
}

fn own(attributes: &Attributes, path: &Path) -> Result<(), SandboxError> {
    match attributes.owner {
        Some((uid, gid)) => lchown(path, Some(uid), Some(gid)).during("give away", path),
        None => Ok(()),
    }
}

/// Makes a directory with mode 755 whatever the umask.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Says whether an entry of a layer stands for "deleted": a character device 0:0.
pub fn is_whiteout(found: &fs::Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

pub fn make_whiteout(path: &Path) -> io::Result<()> {
    Ok(mknod(path, SFlag::S_IFCHR, Mode::empty(), 0)?)
}

/// Says whether a directory of a layer hides all that lies beneath it.
pub fn is_opaque(path: &Path) -> bool {
    xattr::get(path, opaque()).is_ok_and(|value| value.is_some_and(|value| value == b"y"))
}

pub fn set_opaque(path: &Path) -> io::Result<()> {
    xattr::set(path, opaque(), b"y")
}

/// The attribute is the superuser's in ordinary mounts and the user's in `userxattr` ones.
pub fn opaque() -> &'static str {
    // A root without this capability can mount nothing, and not set the former either.
    static IS_TRUSTED: OnceLock<bool> = OnceLock::new();
    let is_trusted = *IS_TRUSTED.get_or_init(|| {
        const CAP_SYS_ADMIN: u64 = 1 << 21;
        privileges::effective() & CAP_SYS_ADMIN != 0 && nix::unistd::geteuid().is_root()
    });
    if is_trusted {
        "trusted.overlay.opaque"
    } else {
        "user.overlay.opaque"
    }
}

/// Names what was tried on which path.
pub trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, SandboxError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, SandboxError> {
        self.map_err(|cause| SandboxError::Io {
            action,
            path: path.to_owned(),
            cause,
        })
    }
}
