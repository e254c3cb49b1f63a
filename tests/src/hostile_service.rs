//! A model's service that sends whatever bytes a test wants, and remembers what it got.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What it answers to a request in order; also the end of an answer's stream of events.
pub const ANSWER: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-haiku-4-5\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    "event: message_delta\n",
    "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n",
);

/// How it answers one request.
#[derive(Debug, Clone)]
pub enum Play {
    /// Sends these pieces, each by itself, and answers what comes next on the same connection.
    Send(Vec<Vec<u8>>),
    /// Sends this, and closes the connection.
    Cut(Vec<u8>),
    /// Sends this, and nothing more on a connection that stays open.
    Stall(Vec<u8>),
    /// Sends the first, and the second for ever.
    Endless(Vec<u8>, Vec<u8>),
}

/// A running service; it ends when it is dropped, after the gateway before it.
pub struct HostileService {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Written by the connections' threads, read by the test at any time.
#[derive(Default)]
struct Shared {
    plays: Mutex<VecDeque<Play>>,
    seen: Mutex<Vec<String>>,
    is_over: Mutex<bool>,
}

impl Play {
    /// Sends this; the connection ends with it where it does not say itself how long it is.
    pub fn bytes(raw: &str) -> Self {
        if raw.contains("content-length: ") || raw.contains("chunked") {
            Self::Send(vec![raw.as_bytes().to_vec()])
        } else {
            Self::cut(raw)
        }
    }

    pub fn cut(raw: &str) -> Self {
        Self::Cut(raw.as_bytes().to_vec())
    }

    pub fn stall(raw: &str) -> Self {
        Self::Stall(raw.as_bytes().to_vec())
    }

    pub fn endless(first: &str, again: &str) -> Self {
        Self::Endless(first.as_bytes().to_vec(), again.as_bytes().to_vec())
    }

    /// A stream of these events, in order and whole.
    pub fn events(events: &str) -> Self {
        Self::bytes(&stream_of(events))
    }
}

/// Returns an answer that is a stream of these events.
pub fn stream_of(events: &str) -> String {
    let length = events.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{events}"
    )
}

impl HostileService {
    /// Starts on a free port of the loopback interface.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let played = Arc::clone(&shared);
        Self {
            address,
            shared,
            thread: Some(std::thread::spawn(move || serve(&listener, &played))),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says how the next request is answered that has no answer yet.
    pub fn play(&self, play: Play) {
        lock(&self.shared.plays).push_back(play);
    }

    /// Takes the requests that came until now, as they came.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.seen))
    }

    pub fn seen_count(&self) -> usize {
        lock(&self.shared.seen).len()
    }
}

impl Drop for HostileService {
    fn drop(&mut self) {
        *lock(&self.shared.is_over) = true;
        // Wakes the one that waits for connections.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    std::thread::scope(|connections| {
        while let Ok((stream, _)) = listener.accept() {
            if *lock(&shared.is_over) {
                break;
            }
            connections.spawn(move || {
                // Whoever leaves is no failure of the service.
                drop(converse(stream, shared));
            });
        }
    });
}

fn converse(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Some(request) = request(&mut stream)? else {
            return Ok(());
        };
        lock(&shared.seen).push(request);
        let play = lock(&shared.plays).pop_front();
        match play.unwrap_or_else(|| Play::events(ANSWER)) {
            Play::Send(pieces) => {
                for piece in pieces {
                    stream.write_all(&piece)?;
                    stream.flush()?;
                }
            }
            Play::Cut(raw) => {
                stream.write_all(&raw)?;
                return Ok(());
            }
            Play::Stall(raw) => {
                stream.write_all(&raw)?;
                // Until the gateway has had enough.
                let _more = stream.read(&mut [0])?;
                return Ok(());
            }
            Play::Endless(first, again) => {
                stream.write_all(&first)?;
                let many = again.repeat((1 << 14) / again.len() + 1);
                loop {
                    stream.write_all(&many)?;
                }
            }
        }
    }
}

/// Returns the next request of a connection, which says how long it is.
fn request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut got = Vec::new();
    let mut piece = [0; 1 << 14];
    loop {
        let text = String::from_utf8_lossy(&got);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(Some(text.into_owned()));
            }
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            count => got.extend_from_slice(&piece[..count]),
        }
    }
}

/// A panic elsewhere does not make what was seen untrue.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
