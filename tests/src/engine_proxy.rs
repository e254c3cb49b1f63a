//! A proxy before a container engine that does, to chosen requests, what bad luck would.
//!
//! It passes bytes. Of each request it reads the head, so that faults have an address, and asks
//! for one connection a request, so that each is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to a request.
pub enum Fault {
    /// The answer ends where this text would begin in it.
    CutBefore(&'static str),
    /// Of an attached stream, standard output is lost after so many pieces; all else passes.
    LosesStdoutAfter(usize),
    /// Nobody answers, and the engine never hears of it.
    NoAnswer,
    /// The engine does as it is asked, and nobody hears of it.
    LostAnswer,
    /// The engine answers with this status and message.
    Refused(u16, &'static str),
    /// This happens to the engine, then the request passes.
    First(Event),
    /// This happens to the engine, and the request is lost.
    Instead(Event),
}

/// Something that a test does in the middle of a request.
pub type Event = Box<dyn FnOnce() + Send>;

/// Requests that a fault happens to.
struct Rule {
    /// The beginning of `METHOD PATH`, without the version, and the end of its path; a `*` between.
    request: &'static str,
    /// So many are spared.
    spared: usize,
    is_once: bool,
    fault: Fault,
}

/// A socket like the engine's.
pub struct Proxy {
    socket: PathBuf,
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Proxy {
    /// Listens at `socket` for the engine at `engine`.
    pub fn start(socket: PathBuf, engine: PathBuf) -> Self {
        let listener = UnixListener::bind(&socket).unwrap();
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let shared = Arc::clone(&rules);
        // It ends with the test's process; so do its connections.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (engine, rules) = (engine.clone(), Arc::clone(&shared));
                thread::spawn(move || {
                    // Whatever breaks is what clients are tested for.
                    client
                        .and_then(|client| serve(client, &engine, &rules))
                        .ok();
                });
            }
        });
        Self { socket, rules }
    }

    /// What `DOCKER_HOST` says.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Lets `fault` happen to one `request` (`METHOD PATH`, where `*` is any text), after so many
    /// were spared.
    pub fn once(&self, request: &'static str, spared: usize, fault: Fault) {
        self.rules.lock().unwrap().push(Rule {
            request,
            spared,
            is_once: true,
            fault,
        });
    }

    /// Lets `fault` happen to each `request` after so many, until [`mend`](Self::mend).
    pub fn from(&self, request: &'static str, spared: usize, fault: Fault) {
        self.once(request, spared, fault);
        self.rules.lock().unwrap().last_mut().unwrap().is_once = false;
    }

    /// Forgets all faults.
    pub fn mend(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// Says whether every fault that was to happen once has happened.
    pub fn is_done(&self) -> bool {
        self.rules.lock().unwrap().is_empty()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        std::fs::remove_file(&self.socket).ok();
    }
}

fn serve(mut client: UnixStream, engine: &Path, rules: &Mutex<Vec<Rule>>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    match fault_of(&head, rules) {
        None => pass(client, engine, &head, copy),
        Some(Fault::CutBefore(text)) => pass(client, engine, &head, move |from, to| {
            copy_before(text.as_bytes(), from, to)
        }),
        Some(Fault::LosesStdoutAfter(pieces)) => pass(client, engine, &head, move |from, to| {
            copy_without_stdout(pieces, from, to)
        }),
        Some(Fault::NoAnswer) => swallow(&mut client),
        Some(Fault::LostAnswer) => pass(client, engine, &head, |from, _| swallow(from)),
        Some(Fault::Refused(status, message)) => {
            let body = format!("{{\"message\":\"{message}\"}}");
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes())?;
            client.shutdown(Shutdown::Write)?;
            // Closing with something unread would take the answer back.
            swallow(&mut client)
        }
        Some(Fault::First(event)) => {
            event();
            pass(client, engine, &head, copy)
        }
        Some(Fault::Instead(event)) => {
            event();
            Ok(())
        }
    }
}

/// Finds the fault of a request; one that happens again stays, which only plain ones can.
fn fault_of(head: &[u8], rules: &Mutex<Vec<Rule>>) -> Option<Fault> {
    let text = String::from_utf8_lossy(head);
    let mut words = text.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let path = path.split('?').next()?;
    let path = match path.strip_prefix("/v1.") {
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    let request = format!("{method} {path}");
    let mut rules = rules.lock().unwrap();
    let at = rules
        .iter()
        .position(|rule| matches(rule.request, &request))?;
    let rule = &mut rules[at];
    if rule.spared > 0 {
        rule.spared -= 1;
        return None;
    }
    if rule.is_once {
        return Some(rules.remove(at).fault);
    }
    Some(match rule.fault {
        Fault::CutBefore(text) => Fault::CutBefore(text),
        Fault::LosesStdoutAfter(pieces) => Fault::LosesStdoutAfter(pieces),
        Fault::NoAnswer => Fault::NoAnswer,
        Fault::LostAnswer => Fault::LostAnswer,
        Fault::Refused(status, message) => Fault::Refused(status, message),
        Fault::First(_) | Fault::Instead(_) => panic!("an event happens once"),
    })
}

fn matches(pattern: &str, request: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => request.starts_with(start) && request.ends_with(end),
        None => request == pattern,
    }
}

/// Reads to the end of a head, and no further than what came with it.
fn read_head(client: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(byte);
    }
    Ok(head)
}

/// Passes a request to the engine, and `back` passes the answer.
fn pass(
    mut client: UnixStream,
    engine: &Path,
    head: &[u8],
    back: impl FnOnce(&mut UnixStream, &mut UnixStream) -> io::Result<()> + Send,
) -> io::Result<()> {
    let mut engine = UnixStream::connect(engine)?;
    let is_upgrade = String::from_utf8_lossy(head)
        .to_lowercase()
        .contains("\r\nupgrade:");
    let line = head.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    engine.write_all(&head[..line])?;
    if !is_upgrade {
        engine.write_all(b"Connection: close\r\n")?;
    }
    engine.write_all(&head[line..])?;
    let (mut from_client, mut to_engine) = (client.try_clone()?, engine.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(move || {
            copy(&mut from_client, &mut to_engine).ok();
            to_engine.shutdown(Shutdown::Write).ok();
        });
        let done = back(&mut engine, &mut client);
        // Ends the other direction, too.
        client.shutdown(Shutdown::Both).ok();
        engine.shutdown(Shutdown::Both).ok();
        done
    })
}

fn copy(from: &mut UnixStream, to: &mut UnixStream) -> io::Result<()> {
    io::copy(from, to).map(drop)
}

fn swallow(from: &mut UnixStream) -> io::Result<()> {
    io::copy(from, &mut io::sink()).map(drop)
}

fn copy_before(text: &[u8], from: &mut UnixStream, to: &mut UnixStream) -> io::Result<()> {
    let mut held = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = from.read(&mut chunk)?;
        if n == 0 {
            return to.write_all(&held);
        }
        held.extend_from_slice(&chunk[..n]);
        if let Some(at) = held.windows(text.len()).position(|part| part == text) {
            return to.write_all(&held[..at]);
        }
        let kept = (1..text.len()).rev().find(|n| held.ends_with(&text[..*n]));
        let passed = held.len() - kept.unwrap_or(0);
        to.write_all(&held[..passed])?;
        held.drain(..passed);
    }
}

/// Passes frames of eight bytes of header (stream, three zeros, length) and their payload.
fn copy_without_stdout(
    mut pieces: usize,
    from: &mut UnixStream,
    to: &mut UnixStream,
) -> io::Result<()> {
    const STDOUT: u8 = 1;
    to.write_all(&read_head(from)?)?;
    let mut header = [0; 8];
    loop {
        match from.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload)?;
        if header[0] == STDOUT {
            if pieces == 0 {
                continue;
            }
            pieces -= 1;
        }
        to.write_all(&header)?;
        to.write_all(&payload)?;
    }
}
