//! Reading many files without keeping the runtime's one thread from anything else.

use super::{BoxError, SandboxError};
use crate::model::{FileKind, SnapshotEntry};

const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// A caller's files, each read when it is asked for.
pub type Entries<'a> = dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send + 'a;

/// Takes as many entries as are read in a few milliseconds; none at the end.
pub fn next_batch(entries: &mut Entries<'_>) -> Result<Vec<SnapshotEntry>, SandboxError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES {
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(SandboxError::Entries)?;
        if let FileKind::File { bytes: text, .. } = &entry.kind {
            bytes += text.len();
        }
        batch.push(entry);
    }
    Ok(batch)
}

/// Does what waits for files where the runtime's one thread does not wait with it.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(SandboxError::Backend(error.to_string())))
}
