//! Whose turn it is to measure: of all runs that share a state directory, one at a time.
//!
//! Two that measure side by side slow each other down, by turns and by different amounts. The turn
//! lasts from a candidate's guards to its verdict, so that builds and guards disturb no reading
//! either; agents are not kept from working meanwhile.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::emitter::Emitter;
use super::workshop::Workshop;
use crate::event::EventKind;
use crate::ledger::{Holder, Lock, LockError};

/// How long a turn that was given up may go unnoticed.
const LOOK: Duration = Duration::from_millis(50);

/// The right to measure; given up when dropped, and when the process dies.
#[must_use = "a turn that is not held is over"]
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Lock,
}

impl Workshop {
    /// Waits until nobody else measures; tells for whom it waits.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Interrupted`] as soon as `cancel` is; [`CampaignError::Folder`] when the
    /// state directory cannot be written.
    pub(super) async fn turn(
        &self,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<Turn, CampaignError> {
        let path = self.berth.turn();
        let mut told: Option<Holder> = None;
        loop {
            match Lock::try_take(&path) {
                Ok(lock) => return Ok(Turn { _lock: lock }),
                Err(LockError::Held { holder, .. }) => {
                    if told != Some(holder) {
                        emitter.emit(EventKind::WaitingForTurn { pid: holder.pid });
                        told = Some(holder);
                    }
                }
                Err(LockError::Io { path, cause }) => {
                    return Err(CampaignError::Folder { path, cause });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = cancel.cancelled() => return Err(CampaignError::Interrupted),
            }
        }
    }
}
