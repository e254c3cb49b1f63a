//! Thousands of requests to a gateway, 64 at a time: good ones, refused ones, and callers that leave.

use std::fmt;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::gateway_process::{PATIENCE, rest};
use crate::model_server::{Script, Session, Turn};

/// As many as the gateway serves at a time.
pub const AT_A_TIME: usize = 64;
/// Requests of one round, whose makeup is always the same.
pub const ROUND: usize = 40;
/// Of each round, how many are answered in full, and how many are left by their callers.
pub const ANSWERED: usize = 34;
pub const LEFT: usize = 3;

const LONG: usize = 256 << 10;
const MODEL: &str = "claude-haiku-4-5";

/// What a caller does. A round has one caller of each but the first two, which are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Streams,
    TakesItWhole,
    HasTheWrongToken,
    WantsAServerTool,
    AsksForAnotherPath,
    LeavesInTheBody,
    LeavesWithTheFirstBytes,
    LeavesMidway,
    AsksTwice,
}

const CALLERS: usize = 39;

impl Caller {
    fn of(place: usize) -> Self {
        match place % CALLERS {
            0..23 => Self::Streams,
            23..32 => Self::TakesItWhole,
            32 => Self::HasTheWrongToken,
            33 => Self::WantsAServerTool,
            34 => Self::AsksForAnotherPath,
            35 => Self::LeavesInTheBody,
            36 => Self::LeavesWithTheFirstBytes,
            37 => Self::LeavesMidway,
            _ => Self::AsksTwice,
        }
    }
}

/// Returns what the model must say during `rounds`: long answers to those that leave midway.
pub fn script(rounds: usize) -> Script {
    let long = Turn {
        text: Some("long ".repeat(LONG / 5)),
        ..Turn::default()
    };
    let session = Session {
        turns: vec![long],
        ..Session::default()
    };
    Script {
        sessions: vec![session; rounds],
    }
}

/// Has the callers of `rounds` call, and requires the right answer for each.
pub fn soak(socket: &Path, token: &str, rounds: Range<usize>) {
    let next = AtomicUsize::new(rounds.start * CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= rounds.end * CALLERS {
                        break;
                    }
                    call(socket, token, place);
                }
            });
        }
    });
}

fn call(socket: &Path, token: &str, place: usize) {
    let caller = Caller::of(place);
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let plain = body(&json!({ "stream": true }));
    let post = |path: &str, token: &str, body: &str, more: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {token}\r\n{more}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let last = "connection: close\r\n";
    let request = match caller {
        Caller::Streams | Caller::LeavesWithTheFirstBytes | Caller::LeavesInTheBody => {
            post("/v1/messages", token, &plain, last)
        }
        Caller::TakesItWhole => post("/v1/messages", token, &body(&json!({})), last),
        Caller::HasTheWrongToken => post("/v1/messages", "autoclave-guess", &plain, last),
        Caller::WantsAServerTool => {
            let tools = json!({ "tools": [{ "type": "web_search_20250305" }] });
            post("/v1/messages", token, &body(&tools), last)
        }
        Caller::AsksForAnotherPath => post("/v1/files", token, &plain, last),
        Caller::LeavesMidway => {
            let tools = json!({ "stream": true, "tools": [{ "name": "Read" }] });
            let session = format!("x-claude-code-session-id: {place}\r\n");
            post("/v1/messages", token, &body(&tools), &session)
        }
        Caller::AsksTwice => {
            let first = post("/v1/messages", token, &plain, "");
            first + &post("/v1/messages", token, &plain, last)
        }
    };
    let sent = match caller {
        Caller::LeavesInTheBody => request.len() - plain.len() / 2,
        _ => request.len(),
    };
    stream
        .write_all(&request.as_bytes()[..sent])
        .expect("it reads");
    let refused = |status: u16, kind: &str, stream: &mut UnixStream| {
        let reply = rest(stream);
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (status, Some(kind)),
            "{caller:?}: {reply:?}"
        );
    };
    match caller {
        Caller::Streams => assert_eq!(streams_in(&rest(&mut stream).text), 1),
        Caller::AsksTwice => assert_eq!(streams_in(&rest(&mut stream).text), 2),
        Caller::TakesItWhole => {
            let reply = rest(&mut stream);
            let (head, body) = reply.text.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            let message: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(message["stop_reason"], "end_turn");
        }
        Caller::HasTheWrongToken => refused(401, "authentication_error", &mut stream),
        Caller::WantsAServerTool => refused(400, "invalid_request_error", &mut stream),
        Caller::AsksForAnotherPath => refused(404, "not_found_error", &mut stream),
        Caller::LeavesInTheBody => {}
        Caller::LeavesWithTheFirstBytes | Caller::LeavesMidway => {
            let mut first = [0; 15];
            stream.read_exact(&mut first).expect("an answer begins");
            assert_eq!(&first, b"HTTP/1.1 200 OK", "{caller:?}");
        }
    }
}

fn body(more: &Value) -> String {
    let mut body = json!({
        "model": MODEL, "max_tokens": 1000,
        // As large as a usual beginning of a session.
        "system": "word ".repeat(800), "messages": [{ "role": "user", "content": "hi" }],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body.to_string()
}

/// Returns how many whole streams of events there are.
fn streams_in(replies: &str) -> usize {
    let whole = replies.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(replies.matches("\"type\":\"message_stop\"").count(), whole);
    assert_eq!(replies.matches("\r\n0\r\n\r\n").count(), whole);
    whole
}

/// How the audit lines of a soak are spread.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Audited {
    pub lines: usize,
    pub answered: usize,
    pub wrong_tokens: usize,
    pub server_tools: usize,
    pub other_paths: usize,
    /// Of a caller that left: depending on when it was noticed, with a status or without.
    pub left: usize,
}

impl Audited {
    /// What `rounds` must come to.
    pub fn after(rounds: usize) -> Self {
        Self {
            lines: ROUND * rounds,
            answered: ANSWERED * rounds,
            wrong_tokens: rounds,
            server_tools: rounds,
            other_paths: rounds,
            left: LEFT * rounds,
        }
    }

    /// Counts `lines`; those of callers that left are what remains after `rounds`.
    pub fn of(lines: &[Value], rounds: usize) -> Self {
        let count = |status: u16, refused: Option<&str>| {
            let is_such =
                |line: &&Value| line["status"] == status && line["refused"].as_str() == refused;
            lines.iter().filter(is_such).count()
        };
        let (passed, bad) = (count(200, None), count(400, Some("invalid_request_error")));
        let (wrong_tokens, other_paths) = (
            count(401, Some("authentication_error")),
            count(404, Some("not_found_error")),
        );
        let answered = passed.min(ANSWERED * rounds);
        let server_tools = bad.min(rounds);
        let unanswered = lines.iter().filter(|line| line["status"].is_null()).count();
        Self {
            lines: lines.len(),
            answered,
            wrong_tokens,
            server_tools,
            other_paths,
            left: (passed - answered) + (bad - server_tools) + unanswered,
        }
    }
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.wrong_tokens + self.server_tools + self.other_paths;
        write!(
            f,
            "{} requests: {} answered, {refused} refused, {} left by their callers",
            self.lines, self.answered, self.left
        )
    }
}
