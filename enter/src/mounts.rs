//! The sandbox's view of files: one overlay or copy, read-only binds, private devices.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use autoclave_enter::{Files, Spec};
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::copies;
use crate::outside::open_directory;
use crate::status::{During, Failure};

const NO_TYPE: Option<&str> = None;
const NO_OPTIONS: Option<&str> = None;
/// More than any copy takes.
const COPYING_BYTES: u64 = 1 << 44;
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Where the root of the sandbox is mounted.
pub fn root(spec: &Spec) -> PathBuf {
    spec.mount_point.join("root")
}

/// Mounts all that needs no pid namespace. Returns the tmpfs, which holds `upper`.
pub fn build(spec: &Spec) -> Result<File, Failure> {
    mount(
        NO_TYPE,
        "/",
        NO_TYPE,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        NO_OPTIONS,
    )
    .during("make mounts private")?;
    // Opened before anything is mounted over them.
    let layers = spec
        .layers
        .iter()
        .map(|layer| open_directory(layer).during(&format!("open the layer {}", layer.display())))
        .collect::<Result<Vec<_>, _>>()?;
    let files = scratch(spec)?;
    let root = root(spec);
    match &spec.files {
        Files::Overlay => overlay(spec, &layers)?,
        Files::Copy | Files::Unmounted(_) => copy(spec, &layers)?,
    }
    for (name, place) in [("tmp", "tmp"), ("devices", "dev")] {
        bind(&spec.mount_point.join(name), &root.join(place))?;
    }
    devices(&root.join("dev"))?;
    let mut targets = Vec::new();
    for view in &spec.binds {
        let target = view.target.strip_prefix("/").unwrap_or(&view.target);
        let target = root.join(target);
        bind(&view.source, &target)?;
        targets.push(target);
    }
    protect(&targets)?;
    Ok(files)
}

/// Mounts the tmpfs that takes all writes, and lays it out.
fn scratch(spec: &Spec) -> Result<File, Failure> {
    let base = &spec.mount_point;
    let options = format!("size={},mode=0755", spec.disk_bytes);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        base,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
    .during("mount the sandbox's tmpfs")?;
    for (name, mode) in [
        ("upper", 0o755),
        ("work", 0o755),
        ("root", 0o755),
        ("tmp", 0o1777),
        ("devices", 0o755),
        ("devices/shm", 0o1777),
        ("devices/pts", 0o755),
    ] {
        let directory = base.join(name);
        fs::create_dir(&directory)
            .and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(mode)))
            .during(&format!("make {name}"))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, base.join("devices").join(name)).during("link a device")?;
    }
    open_directory(base).during("open the sandbox's tmpfs")
}

/// Mounts the layers and the upper directory as the sandbox's root.
fn overlay(spec: &Spec, layers: &[File]) -> Result<(), Failure> {
    // By descriptor: no path needs escaping, and many layers fit in the one page of options.
    let lower: Vec<String> = layers
        .iter()
        .map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd()))
        .collect();
    let base = open_directory(&spec.mount_point).during("open the mount point")?;
    let base = format!("/proc/self/fd/{}", base.as_raw_fd());
    let kind = if spec.is_user_namespace {
        "userxattr"
    } else {
        "redirect_dir=off,metacopy=off,index=off,xino=off"
    };
    let options = format!(
        "lowerdir={},upperdir={base}/upper,workdir={base}/work,{kind}",
        lower.join(":")
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("overlay"),
        &root(spec),
        Some("overlay"),
        flags,
        Some(options.as_str()),
    )
    .during("mount the workspace")
}

/// Copies the layers into the tmpfs, which becomes that much larger, as the sandbox's root.
fn copy(spec: &Spec, layers: &[File]) -> Result<(), Failure> {
    let base = &spec.mount_point;
    resize(base, COPYING_BYTES)?;
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| PathBuf::from(format!("/proc/self/fd/{}/.", layer.as_raw_fd())))
        .collect();
    let upper = base.join("upper");
    copies::merge(layers.iter().map(PathBuf::as_path), &spec.opaque, &upper)?;
    let found = statvfs(base).during("measure the copy")?;
    let used = (found.blocks() - found.blocks_free()).saturating_mul(found.fragment_size());
    resize(base, used.saturating_add(spec.disk_bytes))?;
    bind(&upper, &root(spec))
}

fn resize(tmpfs: &Path, bytes: u64) -> Result<(), Failure> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = format!("size={bytes}");
    mount(NO_TYPE, tmpfs, NO_TYPE, flags, Some(options.as_str()))
        .during("resize the sandbox's tmpfs")
}

/// Binds the harmless devices and gives the sandbox pseudo terminals of its own.
fn devices(folder: &Path) -> Result<(), Failure> {
    for name in DEVICES {
        let target = folder.join(name);
        File::create(&target).during("make a device's mount point")?;
        bind(&Path::new("/dev").join(name), &target)?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = "newinstance,ptmxmode=0666,mode=0620";
    mount(
        Some("devpts"),
        &folder.join("pts"),
        Some("devpts"),
        flags,
        Some(options),
    )
    .during("mount devpts")
}

fn bind(source: &Path, target: &Path) -> Result<(), Failure> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), target, NO_TYPE, flags, NO_OPTIONS).during(&format!(
        "bind {} at {}",
        source.display(),
        target.display()
    ))
}

/// Makes the binds at `targets`, with every mount that came beneath them, read-only.
fn protect(targets: &[PathBuf]) -> Result<(), Failure> {
    let table = fs::read("/proc/self/mountinfo").during("read the mount table")?;
    let table = String::from_utf8_lossy(&table);
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(unescape(point)))
        .filter(|point| targets.iter().any(|target| point.starts_with(target)));
    for point in points {
        let kept = statvfs(&point).map_or(MsFlags::empty(), |found| locked(found.flags()));
        let flags = MsFlags::MS_BIND
            | MsFlags::MS_REMOUNT
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | kept;
        mount(NO_TYPE, &point, NO_TYPE, flags, NO_OPTIONS)
            .during(&format!("make {} read-only", point.display()))?;
    }
    Ok(())
}

/// Returns the flags that a user namespace may not clear; see mount_namespaces(7).
fn locked(found: FsFlags) -> MsFlags {
    [
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ]
    .into_iter()
    .filter(|(has, _)| found.contains(*has))
    .fold(MsFlags::empty(), |flags, (_, flag)| flags | flag)
}

/// Reads the `\040` form of spaces and the like in mountinfo.
fn unescape(point: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(point.to_owned(), |text, (from, to)| text.replace(from, to))
}
