//! The host's side of a running sandbox.

use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::process::Child;

use super::Shared;
use super::cgroup::Cgroup;
use super::layer::Layer;
use super::mode::Mode;
use super::slot::Slot;

/// The outer stage, its slot, its cgroup. Dropping it kills everything and removes all of it.
pub struct Hull {
    pub child: Child,
    pub cgroup: Option<Cgroup>,
    shared: Arc<Shared>,
    slot: Option<Slot>,
    /// The command's files, where they are not in its own mounts.
    own: Option<Layer>,
    has_ended_well: bool,
}

impl Hull {
    pub fn new(
        shared: &Arc<Shared>,
        child: Child,
        slot: Slot,
        cgroup: Option<Cgroup>,
        own: Option<Layer>,
    ) -> Self {
        Self {
            child,
            cgroup,
            shared: Arc::clone(shared),
            slot: Some(slot),
            own,
            has_ended_well: false,
        }
    }

    /// Notes that the sandbox reported its end: its slot can serve again.
    pub fn ended_well(&mut self) {
        self.has_ended_well = true;
    }
}

impl Drop for Hull {
    fn drop(&mut self) {
        let mut is_gone = true;
        // A child that was already waited for has no id any more.
        if let Some(id) = self.child.id() {
            let pid = Pid::from_raw(id.cast_signed());
            let end = match self.shared.mode {
                Mode::Overlay | Mode::Copy => Signal::SIGKILL,
                // It must first end what it started; see `enter/src/alone.rs`.
                Mode::Alone => Signal::SIGTERM,
            };
            if let Err(error) = kill(pid, end) {
                tracing::warn!(%error, "could not kill a sandbox");
            }
            let ended = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let reaped = self.child.try_wait();
            tracing::trace!(?ended, ?reaped, "sandbox removed");
            is_gone = ended.is_ok();
        }
        drop(self.cgroup.take());
        drop(self.own.take());
        if let Some(slot) = self.slot.take()
            && self.has_ended_well
            && is_gone
        {
            self.shared.slots.give_back(slot);
        }
    }
}
