//! The files of the system that every sandbox sees: read-only binds and a small /etc.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use autoclave_enter::Bind;

use super::layer::{During, make_directory};
use crate::sandbox::{HOME, SandboxError};

/// Taken from the host's /etc where it has them; nothing here holds a secret.
const ETC: &[&str] = &[
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

/// Makes the bottom layer in the empty directory `folder`: mount points and a generated /etc.
/// Returns what is to be bound, `views` included, in order.
pub fn build(
    folder: &Path,
    (uid, gid): (u32, u32),
    views: &[Bind],
) -> Result<Vec<Bind>, SandboxError> {
    for name in [
        "proc",
        "dev",
        "tmp",
        "run",
        "etc",
        "var",
        "home",
        "workspace",
        "usr",
    ] {
        let path = folder.join(name);
        make_directory(&path).during("make", &path)?;
    }
    let mut binds = vec![same("/usr")];
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let host = Path::new("/").join(name);
        match fs::read_link(&host) {
            Ok(target) => {
                let link = folder.join(name);
                symlink(target, &link).during("link", &link)?;
            }
            Err(_) if host.is_dir() => binds.push(same(host)),
            Err(_) => {}
        }
    }
    binds.extend(etc().map(same));
    binds.retain(|bind| bind.source.exists());
    generate_etc(&folder.join("etc"), uid, gid)?;
    for view in views {
        if !is_shown(folder, &binds, view) {
            binds.push(view.clone());
        }
    }
    let tmp = folder.join("var/tmp");
    symlink("/tmp", &tmp).during("link", &tmp)?;
    for bind in &binds {
        mount_point(folder, bind)?;
    }
    Ok(binds)
}

/// Returns what of the host's /etc every sandbox may read.
pub fn etc() -> impl Iterator<Item = PathBuf> {
    ETC.iter().map(|name| Path::new("/etc").join(name))
}

/// Says whether every sandbox shows the target of `view` anyway: bound, linked or generated.
fn is_shown(folder: &Path, binds: &[Bind], view: &Bind) -> bool {
    let own = folder.join(view.target.strip_prefix("/").unwrap_or(&view.target));
    let is_made_here = fs::symlink_metadata(own).is_ok_and(|made| !made.is_dir());
    is_made_here
        || binds
            .iter()
            .any(|bind| view.target.starts_with(&bind.target))
}

fn same(path: impl Into<PathBuf>) -> Bind {
    let path = path.into();
    Bind {
        source: path.clone(),
        target: path,
    }
}

fn generate_etc(etc: &Path, uid: u32, gid: u32) -> Result<(), SandboxError> {
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

/// Makes what `bind` is mounted on: a directory for a directory, a file for anything else.
fn mount_point(folder: &Path, bind: &Bind) -> Result<(), SandboxError> {
    let target = folder.join(bind.target.strip_prefix("/").unwrap_or(&bind.target));
    let is_directory = fs::metadata(&bind.source)
        .during("look at", &bind.source)?
        .is_dir();
    let directory = if is_directory {
        target.as_path()
    } else {
        target.parent().unwrap_or(folder)
    };
    let mut at = folder.to_owned();
    for component in directory.strip_prefix(folder).unwrap_or(directory) {
        at.push(component);
        if !at.is_dir() {
            make_directory(&at).during("make", &at)?;
        }
    }
    if !is_directory && !target.exists() {
        File::create(&target).during("make", &target)?;
    }
    Ok(())
}
