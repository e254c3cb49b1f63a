//! The private folders of runs: locked while the run lives, swept once it is dead.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::cgroup::Cgroup;
use super::layer::{During, remove_tree};
use crate::sandbox::SandboxError;

/// Where under the state directory all runs have their folders, and nothing else lies.
const SANDBOXES: &str = "sandboxes";
/// In each run's folder: held by flock(2) for as long as its process lives.
const LOCK: &str = "lock";

/// One run's folder; removed when dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    name: String,
    _lock: Flock<File>,
}

impl RunFolder {
    /// Makes a folder under `state` whose name starts with `label` and is nobody else's, and
    /// removes the folders and cgroups of dead runs, whatever their label.
    pub fn new(state: &Path, label: &str) -> Result<Self, SandboxError> {
        let all = state.join(SANDBOXES);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&all)
            .during("make", &all)?;
        let name = format!(
            "{label}-{}",
            &uuid::Uuid::new_v4().simple().to_string()[..8]
        );
        let path = all.join(&name);
        // Held while folders are looked at: one without a held lock is then dead, not being made.
        let gate = lock(&all.join(LOCK), FlockArg::LockExclusive).during("lock", &all)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .during("make", &path)?;
        let own = lock(&path.join(LOCK), FlockArg::LockExclusiveNonblock).during("lock", &path)?;
        let dead = dead(&all).during("list", &all)?;
        drop(gate);
        for (path, lock) in dead {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                Cgroup::sweep(name);
            }
            remove_tree(&path);
            drop(lock);
        }
        Ok(Self {
            path,
            name,
            _lock: own,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What no other run on this host is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

/// Returns the folders that no living process holds, each now held by this one.
fn dead(all: &Path) -> io::Result<Vec<(PathBuf, Flock<File>)>> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        match lock(&entry.path().join(LOCK), FlockArg::LockExclusiveNonblock) {
            Ok(lock) => dead.push((entry.path(), lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Another sweep has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(dead)
}

fn lock(path: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut file = file;
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, Errno::EINTR)) => file = unlocked,
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}
