//! The gateway's socket in a container of its own, for an engine on another machine.
//!
//! Whoever connects is led to the gateway through this process's streams, which the runner is
//! attached to; the container has no network, no credential and nothing to write to but the
//! socket's folder. One thread a connection reads; this one writes.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use autoclave_enter::{HEAD_BYTES, Head, Kind, MAX_BYTES, MAX_CONNECTIONS};

/// How long a caller may take no bytes before its connection is dropped: it holds up all others.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is connected; every thread adds and removes its own, hence the lock.
type Callers = Arc<Mutex<HashMap<u32, UnixStream>>>;

/// Listens on `socket` until standard input ends.
pub fn run(socket: &str) -> ExitCode {
    match relay(Path::new(socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell where standard error is gone, too.
            drop(writeln!(io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

fn relay(socket: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    // The caller has another uid; nothing but its sandbox sees the folder.
    if let Some(folder) = socket.parent() {
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(socket, Permissions::from_mode(0o666))?;
    let callers = Callers::default();
    send(Head::bare(0, Kind::Ready), &[])?;
    let accepted = Arc::clone(&callers);
    thread::spawn(move || accept(&listener, &accepted));
    let mut input = io::stdin().lock();
    let mut head = [0; HEAD_BYTES];
    let mut bytes = vec![0; MAX_BYTES];
    loop {
        match input.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let head = Head::decode(head).ok_or(io::ErrorKind::InvalidData)?;
        let bytes = &mut bytes[..head.length as usize];
        input.read_exact(bytes)?;
        deliver(&callers, head, bytes);
    }
}

fn accept(listener: &UnixListener, callers: &Callers) {
    let mut next = 0;
    for caller in listener.incoming() {
        let Ok(caller) = caller else { continue };
        if lock(callers).len() >= MAX_CONNECTIONS {
            continue;
        }
        next += 1;
        let connection = next;
        let Ok(reading) = caller.try_clone() else {
            continue;
        };
        if caller.set_write_timeout(Some(PATIENCE)).is_err() {
            continue;
        }
        lock(callers).insert(connection, caller);
        if send(Head::bare(connection, Kind::Opened), &[]).is_err() {
            return;
        }
        let callers = Arc::clone(callers);
        let read = move || {
            // Where standard output is gone, so is the runner, and standard input ends.
            if drain(connection, reading).is_err() {
                hang_up(&callers, connection);
            }
        };
        // A thread that cannot be made drops its caller with its end of the connection.
        drop(thread::Builder::new().stack_size(256 << 10).spawn(read));
    }
}

/// Sends on what a caller says until it has nothing more to say.
fn drain(connection: u32, mut caller: UnixStream) -> io::Result<()> {
    let mut bytes = vec![0; MAX_BYTES];
    loop {
        match caller.read(&mut bytes) {
            Ok(0) => return send(Head::bare(connection, Kind::Ended), &[]),
            Ok(count) => {
                let head = Head {
                    connection,
                    kind: Kind::Bytes,
                    length: u32::try_from(count).map_err(io::Error::other)?,
                };
                send(head, &bytes[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                send(Head::bare(connection, Kind::Dropped), &[])?;
                return Err(error);
            }
        }
    }
}

/// Does what the runner says to one connection; one that has gone meanwhile needs nothing.
fn deliver(callers: &Callers, head: Head, bytes: &[u8]) {
    let caller = lock(callers)
        .get(&head.connection)
        .and_then(|caller| caller.try_clone().ok());
    let Some(mut caller) = caller else { return };
    let delivered = match head.kind {
        Kind::Bytes => caller.write_all(bytes),
        Kind::Ended => caller.shutdown(Shutdown::Write),
        Kind::Ready | Kind::Opened => Ok(()),
        Kind::Dropped => {
            hang_up(callers, head.connection);
            return;
        }
    };
    if delivered.is_err() {
        hang_up(callers, head.connection);
        // Where this cannot be told, nobody listens.
        drop(send(Head::bare(head.connection, Kind::Dropped), &[]));
    }
}

fn hang_up(callers: &Callers, connection: u32) {
    if let Some(caller) = lock(callers).remove(&connection) {
        // Ends the thread that reads from it; it may have gone by itself.
        drop(caller.shutdown(Shutdown::Both));
    }
}

/// Writes one frame, whole.
fn send(head: Head, bytes: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(HEAD_BYTES + bytes.len());
    frame.extend_from_slice(&head.encode());
    frame.extend_from_slice(bytes);
    let mut output = io::stdout().lock();
    output.write_all(&frame)?;
    output.flush()
}

fn lock(callers: &Callers) -> MutexGuard<'_, HashMap<u32, UnixStream>> {
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}
