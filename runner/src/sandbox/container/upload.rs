//! Files on their way into a container: packed while they are sent, never kept.

use std::io;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Asking;
use super::held::Container;
use super::pack::Packer;
use crate::sandbox::SandboxError;
use crate::sandbox::batch::{Entries, blocking, next_batch};

/// Pieces that wait for the engine, each of a batch of entries.
const WAITING: usize = 2;

impl Container {
    /// Puts what `packer` has by now, then `entries`, into a container that does not run.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Entries`] when an entry cannot be read; [`SandboxError::Engine`] when the
    /// engine does not take all of it.
    pub async fn fill(
        &self,
        packer: Packer,
        entries: &mut Entries<'_>,
    ) -> Result<(), SandboxError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let pieces = futures::stream::unfold(receiver, |mut receiver| async {
            let piece: Option<io::Result<Bytes>> = receiver.recv().await;
            piece.map(|piece| (piece, receiver))
        });
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let docker = self.shared.patient();
        let body = bollard::body_try_stream(pieces);
        let uploading = docker.upload_to_container(&self.id, Some(options), body);
        let (sent, uploaded) = tokio::join!(send(packer, entries, sender), uploading);
        // An engine that stopped reading has said why; one that reads on is not to blame.
        match sent? {
            Sent::Whole => uploaded.asking("put files into a container"),
            Sent::InPart => uploaded
                .and(Err(cut_short().into()))
                .asking("put all files into a container"),
        }
    }
}

/// How much of an archive the engine read.
enum Sent {
    Whole,
    InPart,
}

/// Packs entries as they are read, a few at a time. An archive that was cut short is never taken
/// for a whole one: it ends in an error, which breaks the upload off.
async fn send(
    packer: Packer,
    entries: &mut Entries<'_>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
) -> Result<Sent, SandboxError> {
    let mut unfinished = Some(packer);
    while let Some(packer) = unfinished {
        let piece = match next_piece(packer, entries).await {
            Ok((rest, piece)) => {
                unfinished = rest;
                piece
            }
            Err(error) => {
                if pieces.send(Err(cut_short())).await.is_err() {
                    tracing::debug!("the engine has stopped reading before");
                }
                return Err(error);
            }
        };
        if pieces.send(Ok(piece.into())).await.is_err() {
            return Ok(Sent::InPart);
        }
    }
    Ok(Sent::Whole)
}

/// Reads and packs a few entries; after the last one no packer is left.
async fn next_piece(
    mut packer: Packer,
    entries: &mut Entries<'_>,
) -> Result<(Option<Packer>, Vec<u8>), SandboxError> {
    let batch = next_batch(entries)?;
    blocking(move || {
        let packed = batch.iter().try_for_each(|entry| packer.entry(entry));
        let piece = packed.and_then(|()| {
            if batch.is_empty() {
                return Ok((None, packer.finish()?));
            }
            let piece = packer.take();
            Ok((Some(packer), piece))
        });
        piece.map_err(|cause| SandboxError::Entries(cause.into()))
    })
    .await
}

fn cut_short() -> io::Error {
    io::Error::other("the archive was cut short")
}
