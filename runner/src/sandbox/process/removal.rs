//! How trees of ours are removed, and nothing with them that is somebody else's.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Removes a tree of ours; what cannot be removed is left for the next run's sweep. A tree in which
/// something is mounted is left alone: what lies there may be anybody's.
pub fn remove_tree(path: &Path) {
    let removed = is_mounted_on(path).and_then(|is_mounted_on| {
        if is_mounted_on {
            return Err(io::Error::other("something is mounted in it"));
        }
        match fs::remove_dir_all(path) {
            // An ordinary user must open up a command's unreadable directories first.
            Err(_) if !geteuid().is_root() => {
                open_up(path)?;
                fs::remove_dir_all(path)
            }
            removed => removed,
        }
    });
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "could not remove");
    }
}

fn open_up(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    fs::read_dir(path)?.try_for_each(|entry| open_up(&entry?.path()))
}

/// Says whether anything is mounted at `tree` or beneath, as this process sees it.
fn is_mounted_on(tree: &Path) -> io::Result<bool> {
    let tree = fs::canonicalize(tree)?;
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mut lines = mounts.split(|byte| *byte == b'\n');
    Ok(lines.any(|line| mount_point(line).is_some_and(|point| point.starts_with(&tree))))
}

/// Returns the fifth field of a line of proc_pid_mountinfo(5), its escapes undone.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, others)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| others.get(..3)).flatten();
        let octal = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &others[3..];
            }
            None => {
                path.push(*first);
                rest = others;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_tree_goes_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/c"), "c").unwrap();
        fs::set_permissions(tree.join("a"), Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree);
        assert!(!tree.exists());
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let line = br"36 35 98:0 /mnt1 /mnt\040a/b\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt a/b\\c")));
        assert_eq!(mount_point(b""), None);
    }

    /// Runs the test after this one again where it may mount.
    #[test]
    fn what_is_mounted_in_a_tree_stays() {
        if std::env::var_os("MAY_MOUNT").is_some() {
            let folder = tempfile::tempdir().unwrap();
            let (tree, theirs) = (folder.path().join("tree"), folder.path().join("theirs"));
            fs::create_dir_all(tree.join("here")).unwrap();
            fs::create_dir(&theirs).unwrap();
            fs::set_permissions(&theirs, Permissions::from_mode(0o755)).unwrap();
            fs::write(theirs.join("file"), "theirs").unwrap();
            let bind = |arguments: &[&Path]| {
                let status = Command::new("mount").arg("--bind").args(arguments).status();
                assert!(status.unwrap().success());
            };
            bind(&[&theirs, &tree.join("here")]);
            remove_tree(&tree);
            assert_eq!(fs::read_to_string(theirs.join("file")).unwrap(), "theirs");
            assert_eq!(
                theirs.metadata().unwrap().permissions().mode() & 0o777,
                0o755
            );
            let status = Command::new("umount").arg(tree.join("here")).status();
            assert!(status.unwrap().success());
            remove_tree(&tree);
            assert!(!tree.exists());
            return;
        }
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .arg(std::env::current_exe().unwrap())
            .args(["what_is_mounted_in_a_tree_stays", "--nocapture"])
            .env("MAY_MOUNT", "yes")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
    }
}
