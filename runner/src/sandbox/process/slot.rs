//! Places of the host where sandboxes are held: made once, used by one after the other.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::layer::{During, make_directory};
use super::removal::remove_tree;
use crate::sandbox::SandboxError;

/// A private directory for one sandbox at a time, removed when dropped.
#[derive(Debug)]
pub struct Slot(PathBuf);

impl Slot {
    fn new(folder: PathBuf) -> Result<Self, SandboxError> {
        make_directory(&folder).during("make", &folder)?;
        let slot = Self(folder);
        let (status, mount_point) = (slot.status(), slot.mount_point());
        mkfifo(&status, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(std::io::Error::from)
            .during("make", &status)?;
        make_directory(&mount_point).during("make", &mount_point)?;
        Ok(slot)
    }

    /// The fifo on which the sandbox reports.
    pub fn status(&self) -> PathBuf {
        self.0.join("status")
    }

    /// An empty directory; what is mounted on it only the sandbox sees.
    pub fn mount_point(&self) -> PathBuf {
        self.0.join("mount")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        remove_tree(&self.0);
    }
}

/// The slots that nobody uses just now: making and removing one costs half a millisecond.
#[derive(Debug, Default)]
pub struct Slots(Mutex<Vec<Slot>>);

impl Slots {
    /// Returns a free slot, or a new one at `folder`.
    pub fn take(&self, folder: impl FnOnce() -> PathBuf) -> Result<Slot, SandboxError> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| Slot::new(folder()), Ok)
    }

    /// Takes back a slot in which nothing runs any more and whose last word was read.
    pub fn give_back(&self, slot: Slot) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(slot);
    }
}
