//! The limit of what a container's command writes in all, where no file system has quotas.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Pid, geteuid};

/// How often is looked. In between, a command can write what the disk takes in that time.
const INTERVAL: Duration = Duration::from_millis(500);

/// So little is left for ordinary users on a disk that is full: writers take it in pieces.
const FULL: u64 = 256 << 10;

/// The disk has been full since the watch began.
static WAS_FULL: AtomicBool = AtomicBool::new(false);

/// Checks that the disk can be watched.
pub fn check() -> io::Result<()> {
    free().map(drop)
}

/// Kills everything in the container when the files that are the command's own take more than
/// `limit` bytes together.
///
/// Looking costs one statvfs(3): as long as the disk lost less than the limit, nobody has written
/// so much. Only then files are counted, since others write to the same disk.
pub fn watch(limit: u64) -> JoinHandle<()> {
    thread::spawn(move || {
        let start = free().unwrap_or(u64::MAX);
        loop {
            thread::sleep(INTERVAL);
            is_full();
            // A disk that cannot be asked any more counts as full.
            let lost = start.saturating_sub(free().unwrap_or(0));
            if lost > limit && own_bytes() > limit {
                // Pid 1, which this thread is part of, is spared; see kill(2).
                let _killed = kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
        }
    })
}

/// Says whether the disk that takes the container's files is full, or was when it was looked at.
pub fn is_full() -> bool {
    let left = statvfs("/").map(|found| found.blocks_available() * found.fragment_size());
    if left.is_ok_and(|left| left < FULL) {
        WAS_FULL.store(true, Ordering::Relaxed);
    }
    WAS_FULL.load(Ordering::Relaxed)
}

/// Returns the free bytes of the disk that takes the container's files.
fn free() -> io::Result<u64> {
    let found = statvfs("/")?;
    Ok(found.blocks_free() * found.fragment_size())
}

/// Returns what the command's own files on the container's disk take.
fn own_bytes() -> u64 {
    let Ok(root) = fs::symlink_metadata("/") else {
        return 0;
    };
    own_bytes_under(Path::new("/"), root.dev(), geteuid().as_raw())
}

fn own_bytes_under(folder: &Path, device: u64, uid: u32) -> u64 {
    let entries = fs::read_dir(folder).or_else(|_| {
        // A folder that the command closed to its own uid is opened by that uid; others' folders
        // stay closed, and hold nothing of the command's.
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        fs::read_dir(folder)
    });
    let Ok(entries) = entries else {
        return 0;
    };
    let mut sum = 0;
    for entry in entries.flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.uid() == uid {
            sum += found.blocks() * 512 / found.nlink().max(1);
        }
        // Overlays show files of several devices, folders of one.
        if found.is_dir() && found.dev() == device {
            sum += own_bytes_under(&entry.path(), device, uid);
        }
    }
    sum
}
