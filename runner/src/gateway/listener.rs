//! Unix sockets that are listened on: a sandbox's, and the control socket.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Pause after a connection that could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Makes the socket, in place of one that an earlier gateway left; one that still serves is an
/// error. A sandbox's socket is for every uid: its own is not known here, and the folder's parent
/// keeps others away.
pub fn listen(socket: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(socket) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(socket).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(socket)?;
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Converses on every connection, on `room` of them at a time; more wait. After `cancel` it returns
/// once all conversations have ended, which hear of it by themselves.
pub async fn accept<F>(
    listener: UnixListener,
    room: usize,
    cancel: CancellationToken,
    converse: impl Fn(UnixStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(room));
    let mut conversations = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = conversations.join_next() => {}
            (permit, stream) = accepted => match stream {
                Ok((stream, _)) => {
                    let conversation = converse(stream);
                    conversations.spawn(async move {
                        let _permit = permit;
                        conversation.await;
                    });
                }
                Err(cause) => {
                    tracing::warn!(%cause, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    while conversations.join_next().await.is_some() {}
}
