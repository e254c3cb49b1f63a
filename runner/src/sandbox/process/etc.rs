//! The /etc that every sandbox sees: a few of the host's files, and generated ones.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::layer::{During, make_directory};
use crate::sandbox::{HOME, SandboxError};

/// Copied from the host's /etc where it has them, without what only some may read.
const COPIED: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "fonts",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "maven",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "ssl",
    "terminfo",
];
const READABLE: u32 = 0o4;
const ENTERABLE: u32 = 0o5;

/// Returns what of the host's /etc every sandbox may read.
pub fn host_paths() -> impl Iterator<Item = PathBuf> {
    COPIED.iter().map(|name| Path::new("/etc").join(name))
}

/// Fills the empty directory `etc` for a command that is `uid` and `gid`.
pub fn fill(etc: &Path, (uid, gid): (u32, u32)) -> Result<(), SandboxError> {
    for name in COPIED {
        let host = Path::new("/etc").join(name);
        // Followed, unlike the links beneath: these may lead anywhere on the host.
        if let Ok(host) = fs::canonicalize(&host) {
            copy(&host, &etc.join(name)).during("copy", &host)?;
        }
    }
    let passwd = format!(
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/bash\n"
    );
    let group = format!("root:x:0:\nagent:x:{gid}:\n");
    for (name, text) in [
        ("passwd", passwd.as_str()),
        ("group", group.as_str()),
        ("hosts", "127.0.0.1 localhost autoclave\n::1 localhost\n"),
        ("hostname", "autoclave\n"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n",
        ),
    ] {
        let path = etc.join(name);
        fs::write(&path, text).during("write", &path)?;
    }
    // With the host's network, names must resolve; without, the file changes nothing.
    let path = etc.join("resolv.conf");
    let text = fs::read("/etc/resolv.conf").unwrap_or_default();
    fs::write(&path, text).during("write", &path)
}

/// Copies what everybody may read of `from` to `to`, links as links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    let has = |rights: u32| found.permissions().mode() & rights == rights;
    if found.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if found.is_dir() && has(ENTERABLE) {
        make_directory(to)?;
        fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))
        })
    } else if found.is_file() && has(READABLE) {
        fs::write(to, fs::read(from)?)?;
        let mode = found.permissions().mode() & 0o755;
        fs::set_permissions(to, Permissions::from_mode(mode))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_may_read_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for (name, mode) in [
            ("from", 0o755),
            ("from/open", 0o755),
            ("from/private", 0o710),
        ] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("key"), "k").unwrap();
            fs::set_permissions(path.join("key"), Permissions::from_mode(0o640)).unwrap();
            fs::write(path.join("text"), "t").unwrap();
            fs::set_permissions(path.join("text"), Permissions::from_mode(0o644)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        symlink("../private/key", from.join("open/link")).unwrap();
        copy(&from, &to).unwrap();
        let mut found = Vec::new();
        list(&to, &to, &mut found);
        found.sort();
        assert_eq!(found, ["open", "open/link", "open/text", "text"]);
        let link = fs::read_link(to.join("open/link")).unwrap();
        assert_eq!(link, Path::new("../private/key"));
    }

    fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap();
            found.push(name.to_str().unwrap().to_owned());
            if path.is_dir() {
                list(root, &path, found);
            }
        }
    }
}
