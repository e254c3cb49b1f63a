//! Servers outside, in the places where such servers are; nobody but a control may reach them.

use std::fs::{self, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::place::{Place, Surroundings, nonce_of};

/// Starts servers on the loopback addresses (`tcp`, `tcp6`, `udp`: their ports), on an `abstract`
/// name, and on sockets that everybody may write to: `run` and `tmp` are folders beneath /run and
/// /tmp with `docker.sock`, `bus`, `agent.1` and `default`, and `log` for datagrams; so is `shown`,
/// with `docker.sock` alone.
pub fn listeners(place: &Place) -> Surroundings {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let mut udp = Echo::start();
    let name = format!("{}-abstract", nonce_of(place.folder()));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let no_file = UnixListener::bind_addr(&address).unwrap();
    let folders = ["/run", "/tmp"].map(|parent| tempfile::tempdir_in(parent).unwrap());
    let mut paths: Vec<(String, UnixListener)> = Vec::new();
    let mut logs = Vec::new();
    for folder in &folders {
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["docker.sock", "bus", "agent.1", "default"] {
            paths.push(listen(folder.path(), name));
        }
        let log = folder.path().join("log");
        logs.push(UnixDatagram::bind(&log).unwrap());
        fs::set_permissions(&log, Permissions::from_mode(0o666)).unwrap();
    }
    let shown = listen(&place.shown, "docker.sock");
    let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port().to_string();
    let folder = |folder: &TempDir| folder.path().to_str().unwrap().to_owned();
    let words = vec![
        ("tcp", port(tcp.local_addr())),
        ("tcp6", port(tcp6.local_addr())),
        ("udp", port(udp.socket.local_addr())),
        ("abstract", name),
        ("run", folder(&folders[0])),
        ("tmp-of-host", folder(&folders[1])),
    ];
    Surroundings {
        words,
        env: Vec::new(),
        harm: Box::new(move || {
            let mut reached = Vec::new();
            for (name, listener) in [("TCP", tcp), ("TCP over IPv6", tcp6)] {
                listener.set_nonblocking(true).unwrap();
                if listener.accept().is_ok() {
                    reached.push(format!("somebody reached the {name} server"));
                }
            }
            if udp.end() {
                reached.push("somebody reached the UDP server".to_owned());
            }
            let sockets = paths
                .into_iter()
                .chain([("an abstract name".to_owned(), no_file)]);
            for (path, listener) in sockets {
                listener.set_nonblocking(true).unwrap();
                if listener.accept().is_ok() {
                    reached.push(format!("somebody connected to {path}"));
                }
            }
            for log in logs {
                log.set_nonblocking(true).unwrap();
                if log.recv(&mut [0; 16]).is_ok() {
                    reached.push("somebody wrote into a log".to_owned());
                }
            }
            drop((folders, shown));
            reached
        }),
    }
}

fn listen(folder: &Path, name: &str) -> (String, UnixListener) {
    let path = folder.join(name);
    let listener = UnixListener::bind(&path).unwrap();
    // The most that an owner can leave open.
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    (path.display().to_string(), listener)
}

/// Sends datagrams back until it is dropped.
struct Echo {
    socket: UdpSocket,
    thread: Option<JoinHandle<bool>>,
}

/// Ends the thread of an [`Echo`]; no attack says this.
const END: &[u8] = b"that is all";

impl Echo {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answering = socket.try_clone().unwrap();
        let answer = move || {
            let mut bytes = [0; 16];
            let mut is_asked = false;
            while let Ok((length, from)) = answering.recv_from(&mut bytes) {
                if &bytes[..length] == END {
                    break;
                }
                is_asked = true;
                // Whoever asked may have gone.
                let _ = answering.send_to(&bytes[..length], from);
            }
            is_asked
        };
        Self {
            socket,
            thread: Some(std::thread::spawn(answer)),
        }
    }

    /// Ends it; says whether anybody has asked it anything.
    fn end(&mut self) -> bool {
        let Some(thread) = self.thread.take() else {
            return false;
        };
        let own = self.socket.local_addr().unwrap();
        self.socket.send_to(END, own).unwrap();
        thread.join().unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.end();
    }
}
