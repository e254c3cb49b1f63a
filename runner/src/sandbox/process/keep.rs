//! Copies what an execution wrote into a layer of its own.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use autoclave_enter::copy_contents;

use super::layer::{
    During, Layer, is_opaque, is_whiteout, make_directory, make_whiteout, set_opaque,
};
use crate::sandbox::SandboxError;

/// Copies workspace and home from an overlay's upper directory, or from a whole copy, into a new
/// layer at `path`.
pub fn copy(upper: &Path, path: PathBuf) -> Result<Layer, SandboxError> {
    // Without it the sandbox is gone, which is not the same as unchanged.
    fs::symlink_metadata(upper).during("look at", upper)?;
    let layer = Layer::new(path)?;
    for name in ["workspace", "home"] {
        let from = upper.join(name);
        if from.is_dir() {
            entry(&from, &layer.path().join(name))?;
        }
    }
    Ok(layer)
}

/// Copies one entry with all beneath. Hard links become copies; fifos and sockets stay behind.
fn entry(from: &Path, to: &Path) -> Result<(), SandboxError> {
    let found = fs::symlink_metadata(from).during("look at", from)?;
    if is_whiteout(&found) {
        return make_whiteout(to).during("hide", to);
    }
    let kind = found.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).during("read", from)?;
        symlink(target, to).during("link", to)?;
        return lchown(to, Some(found.uid()), Some(found.gid())).during("give away", to);
    }
    if kind.is_dir() {
        make_directory(to).during("make", to)?;
        if is_opaque(from) {
            set_opaque(to).during("hide beneath", to)?;
        }
        for child in fs::read_dir(from).during("list", from)? {
            let name = child.during("list", from)?.file_name();
            entry(&from.join(&name), &to.join(&name))?;
        }
    } else if kind.is_file() {
        copy_contents(from, to).during("copy", from)?;
    } else {
        return Ok(());
    }
    lchown(to, Some(found.uid()), Some(found.gid())).during("give away", to)?;
    // Without set-user-ID and set-group-ID.
    let mode = found.mode() & 0o1777;
    fs::set_permissions(to, Permissions::from_mode(mode)).during("set the mode of", to)?;
    if let Ok(modified) = found.modified()
        && kind.is_file()
    {
        let file = OpenOptions::new().read(true).open(to);
        // Build tools compare times; where the mode forbids opening it, nothing depends on it.
        if let Ok(file) = file {
            file.set_modified(modified).during("set the time of", to)?;
        }
    }
    Ok(())
}
