//! One tree out of a stack of layers, where the kernel's overlay cannot be used.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use autoclave_enter::copy_contents;
use nix::unistd::geteuid;

use crate::status::{During, Failure};

/// Writes into the empty directory `target` what an overlay of `layers`, topmost first, shows.
///
/// Every file is a copy of its own: with hard links, a write to one would be a write to all.
/// `opaque` is the attribute of directories that hide what lies beneath.
pub fn merge<'a>(
    layers: impl DoubleEndedIterator<Item = &'a Path>,
    opaque: &str,
    target: &Path,
) -> Result<(), Failure> {
    layers.rev().try_for_each(|layer| {
        directory(layer, opaque, target).during(&format!("copy the layer {}", layer.display()))
    })
}

fn directory(from: &Path, opaque: &str, to: &Path) -> io::Result<()> {
    let is_opaque =
        xattr::get(from, opaque).is_ok_and(|value| value.is_some_and(|value| value == b"y"));
    if is_opaque {
        remove(to)?;
    }
    match fs::symlink_metadata(to) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            fs::remove_file(to)?;
            fs::create_dir(to)?;
        }
        Err(_) => fs::create_dir(to)?,
    }
    for child in fs::read_dir(from)? {
        let name = child?.file_name();
        entry(&from.join(&name), opaque, &to.join(&name))?;
    }
    attributes(&fs::symlink_metadata(from)?, to)
}

fn entry(from: &Path, opaque: &str, to: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    let kind = found.file_type();
    if kind.is_dir() {
        return directory(from, opaque, to);
    }
    remove(to)?;
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        own(&found, to)
    } else if kind.is_file() {
        copy_contents(from, to)?;
        // Before the mode, which may forbid it. What has this time still is unchanged.
        File::options()
            .write(true)
            .open(to)?
            .set_modified(found.modified()?)?;
        attributes(&found, to)
    } else {
        // A whiteout: there is nothing at this path.
        debug_assert!(kind.is_char_device());
        Ok(())
    }
}

/// Gives `to` the owner, then the mode of `found`: chown(2) clears mode bits.
fn attributes(found: &Metadata, to: &Path) -> io::Result<()> {
    own(found, to)?;
    fs::set_permissions(to, Permissions::from_mode(found.mode() & 0o1777))
}

/// An ordinary user's files are all the user's, and nobody else's could be made.
fn own(found: &Metadata, to: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        lchown(to, Some(found.uid()), Some(found.gid()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
