//! What goes into a container: what its helper does, the files it writes, the command's own input.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::pin::Pin;

use autoclave_enter::{Contained, START, Write, WriteKind};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

use super::Shared;
use super::snapshot::Frozen;
use crate::model::FileKind;
use crate::sandbox::process::seccomp;
use crate::sandbox::{Execution, GATEWAY_SOCKET, Network, OWN_ENV, SandboxError, WORKSPACE};

/// Says what the helper does before and with the command.
///
/// # Errors
///
/// [`SandboxError::Backend`] where no filter is known for this processor.
pub fn contained(
    nonce: &str,
    shared: &Shared,
    frozen: &Frozen,
    execution: &Execution<'_>,
) -> Result<Contained, SandboxError> {
    let bytes = |text: &String| text.clone().into_bytes();
    let mut env: HashMap<String, String> = shared
        .base
        .env
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let own_path = env.remove("PATH");
    env.extend(OWN_ENV.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.extend(execution.plan.env.clone());
    env.extend(execution.env.clone());
    // The image's programs first; then what the policy adds.
    if let Some(own) = own_path {
        let path = env.entry("PATH".to_owned()).or_default();
        let added = path
            .split(':')
            .filter(|folder| !own.split(':').any(|o| o == *folder));
        let folders: Vec<&str> = own
            .split(':')
            .chain(added)
            .filter(|f| !f.is_empty())
            .collect();
        *path = folders.join(":");
    }
    Ok(Contained {
        nonce: nonce.to_owned(),
        has_network: execution.network == Network::Host,
        gateway: matches!(execution.network, Network::Gateway { .. })
            .then(|| GATEWAY_SOCKET.into()),
        directory: WORKSPACE.into(),
        removals: frozen
            .delta
            .removals
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect(),
        writes: frozen
            .delta
            .writes
            .iter()
            .map(|(path, kind)| Write {
                path: path.as_bytes().to_vec(),
                kind: match &**kind {
                    FileKind::Directory => WriteKind::Directory,
                    FileKind::File { bytes, executable } => WriteKind::File {
                        bytes: bytes.len() as u64,
                        is_executable: *executable,
                    },
                    FileKind::Symlink { target } => WriteKind::Link {
                        target: target.clone(),
                    },
                },
            })
            .collect(),
        disk_bytes: execution.plan.limits.disk_bytes,
        seccomp: seccomp::programs(&[]).map_err(SandboxError::Backend)?,
        argv: execution
            .argv
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        env: env
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
    })
}

/// Writes the description and the files it names, and, with `start`, the word that lets the command
/// start and its own input.
pub async fn feed(
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    contained: &Contained,
    frozen: &Frozen,
    start: oneshot::Receiver<()>,
    stdin: &[u8],
) -> std::io::Result<()> {
    let text = serde_json::to_vec(contained)?;
    input.write_all(&(text.len() as u64).to_le_bytes()).await?;
    input.write_all(&text).await?;
    for kind in frozen.delta.writes.values() {
        if let FileKind::File { bytes, .. } = &**kind {
            input.write_all(bytes).await?;
        }
    }
    input.flush().await?;
    if start.await.is_ok() {
        input.write_all(&[START]).await?;
        input.write_all(stdin).await?;
    }
    input.shutdown().await
}
