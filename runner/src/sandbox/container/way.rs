//! How a command in a container gets to the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Shared;
use super::relay::Relay;
use super::snapshot::Frozen;
use crate::sandbox::{Execution, GATEWAY_SOCKET, Network, SandboxError};

/// How an execution gets to the gateway.
pub enum WayOut {
    None,
    Folder(PathBuf),
    Relay(Relay),
}

/// Prepares how `execution` gets to the gateway.
///
/// # Errors
///
/// [`SandboxError::CannotEnforce`] when files of this machine are to be shown that the engine does
/// not see; those of starting a relay.
pub async fn way_out(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    execution: &Execution<'_>,
) -> Result<WayOut, SandboxError> {
    let has_views = !execution.plan.views.is_empty() || !execution.views.is_empty();
    let Network::Gateway { folder } = &execution.network else {
        if has_views && !shared.sees_files().await? {
            return Err(not_seen());
        }
        return Ok(WayOut::None);
    };
    if shared.sees_files().await? {
        return Ok(WayOut::Folder(folder.clone()));
    }
    if has_views {
        return Err(not_seen());
    }
    let name = Path::new(GATEWAY_SOCKET).file_name().unwrap_or_default();
    let relay = Relay::start(shared, frozen.image.as_ref(), folder.join(name)).await?;
    Ok(WayOut::Relay(relay))
}

fn not_seen() -> SandboxError {
    SandboxError::CannotEnforce {
        rule: "sandbox.read".to_owned(),
        why: "the engine does not see the files of this machine".to_owned(),
    }
}
