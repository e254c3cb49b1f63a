//! Files on their way out of a container: read while they come, never kept.

use std::collections::VecDeque;
use std::io::{self, Read};

use autoclave_policies::RepoPath;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::archive::ArchiveError;
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
    let pump = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                // The root itself was removed: an empty archive.
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => break,
                chunk => chunk.map_err(io::Error::other),
            };
            if sender.send(chunk).await.is_err() {
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
