//! Files on their way out of a container: read while they come, never kept.

use std::collections::VecDeque;
use std::io::{self, Read};

use autoclave_policies::RepoPath;
use bollard::errors::Error;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, InspectContainerOptions};
use bytes::{Buf, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::archive::{self, ArchiveError};
use super::held::Container;
use crate::sandbox::{SandboxError, WORKSPACE};

/// Streams the archive of one root into `read`, which runs where it may block.
pub async fn stream<T: Send + 'static>(
    container: &Container,
    root: Option<&RepoPath>,
    read: impl FnOnce(Chunks) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<Result<T, ArchiveError>, SandboxError> {
    let path = match root {
        Some(root) => format!("{WORKSPACE}/{}", String::from_utf8_lossy(root.as_bytes())),
        None => WORKSPACE.to_owned(),
    };
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(&path)
        .build();
    let (sender, receiver) = mpsc::channel(8);
    let docker = container.shared.docker.clone();
    let mut chunks = Box::pin(docker.download_from_container(&container.id, Some(options)));
    let patience = docker.timeout();
    let pump = async {
        loop {
            let chunk = match tokio::time::timeout(patience, chunks.next()).await {
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => break,
                // The root itself was removed: an empty archive. Or else the container is gone.
                Ok(Some(Err(Error::DockerResponseServerError {
                    status_code: 404, ..
                }))) => match docker
                    .inspect_container(&container.id, None::<InspectContainerOptions>)
                    .await
                {
                    Ok(_) => Ok(Bytes::from_static(&archive::NOTHING)),
                    Err(cause) => Err(io::Error::other(cause)),
                },
                Ok(Some(chunk)) => chunk.map_err(io::Error::other),
            };
            let is_last = chunk.is_err();
            if sender.send(chunk).await.is_err() || is_last {
                break;
            }
        }
        drop(sender);
    };
    let reading = tokio::task::spawn_blocking(move || {
        read(Chunks {
            receiver,
            waiting: VecDeque::new(),
        })
    });
    let ((), read) = tokio::join!(pump, reading);
    read.map_err(|error| SandboxError::Backend(error.to_string()))
}

/// An archive as it comes from the engine.
pub struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    waiting: VecDeque<Bytes>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = self.waiting.front_mut() {
                if chunk.has_remaining() {
                    let n = chunk.remaining().min(buffer.len());
                    chunk.copy_to_slice(&mut buffer[..n]);
                    return Ok(n);
                }
                self.waiting.pop_front();
            }
            match self.receiver.blocking_recv() {
                Some(chunk) => self.waiting.push_back(chunk?),
                None => return Ok(0),
            }
        }
    }
}
