//! A model server that plays a script, so that a real agent can be driven offline.
//!
//! It speaks enough of the messages API for Claude Code: `POST /v1/messages`, `count_tokens`, and
//! the probe of `/`. Requests without tools (titles, quota probes) get a short canned answer and
//! play no turn. Everything that arrives is kept for assertions.

mod answer;
mod conversation;
mod script;
mod yaml;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use answer::Message;
use conversation::Conversations;

pub use conversation::Place;
pub use script::{ApiError, Script, Session, ToolCall, Turn, TurnUsage};

/// A running server; dropping it stops it.
#[must_use = "the server stops when it is dropped"]
pub struct ModelServer {
    address: SocketAddr,
    played: Arc<Played>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// By lowercase name.
    pub headers: BTreeMap<String, String>,
    /// Where in the script it was answered from; `None` for side requests.
    pub place: Option<Place>,
    /// The results of the last message's tools, in order.
    pub tool_results: Vec<ToolResult>,
    /// `null` where the body is empty or no JSON.
    #[serde(skip)]
    pub body: Value,
}

/// What a tool told the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolResult {
    pub id: String,
    pub is_error: bool,
    pub text: String,
}

/// The script, how far it was played, and what was seen: shared between the server's thread, which
/// writes, and the test, which reads at any time.
struct Played {
    script: Script,
    conversations: Mutex<Conversations>,
    seen: Mutex<Vec<Seen>>,
}

type Body = BoxBody<Bytes, Infallible>;

impl ModelServer {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// The port cannot be bound, or the thread not started.
    pub fn start(script: Script) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let played = Arc::new(Played {
            script,
            conversations: Mutex::default(),
            seen: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::clone(&played);
        let thread = std::thread::Builder::new()
            .name("scripted-model".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            played,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns all requests until now, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.played.seen).clone()
    }

    /// Returns what tools told the model until now, all sessions, in order.
    pub fn tool_results(&self) -> Vec<ToolResult> {
        self.seen()
            .into_iter()
            .flat_map(|seen| seen.tool_results)
            .collect()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has already been printed by it.
            drop(thread.join());
        }
    }
}

async fn serve(listener: std::net::TcpListener, played: Arc<Played>) {
    let listener = TcpListener::from_std(listener).expect("the runtime has its I/O driver enabled");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            continue;
        };
        let played = Arc::clone(&played);
        let service = service_fn(move |request| {
            let played = Arc::clone(&played);
            async move { answer(request, &played).await }
        });
        connections.spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service),
        );
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    played: &Played,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = head.uri.path();
    let is_message = head.method == Method::POST && path == "/v1/messages";
    let has_tools = body["tools"]
        .as_array()
        .is_some_and(|tools| !tools.is_empty());
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let place = (is_message && has_tools).then(|| {
        let key = conversation_key(&head.headers, &body);
        lock(&played.conversations).place(key.as_deref(), messages)
    });
    lock(&played.seen).push(Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: headers(&head.headers),
        place,
        tool_results: place.map(|_| tool_results(messages)).unwrap_or_default(),
        body: body.clone(),
    });
    Ok(match (place, path) {
        (Some(place), _) => {
            play(
                played.script.turn(place.session, place.round, place.turn),
                place,
                &body,
            )
            .await
        }
        (None, "/v1/messages") if is_message => speak(canned(), "side", &body),
        (None, "/v1/messages/count_tokens") => {
            whole(StatusCode::OK, json!({"input_tokens": 1000}).to_string())
        }
        (None, "/") => whole(StatusCode::OK, "{}".to_owned()),
        (None, _) => refuse(&ApiError {
            status: 404,
            kind: "not_found_error".to_owned(),
            message: format!("no `{path}` here"),
            headers: BTreeMap::new(),
        }),
    })
}

async fn play(turn: Turn, place: Place, body: &Value) -> Response<Body> {
    if let Some(error) = &turn.error {
        return refuse(error);
    }
    if turn.hang {
        return std::future::pending().await;
    }
    let id = format!("s{}r{}t{}", place.session, place.round, place.turn);
    speak(turn, &id, body)
}

/// Answers titles and probes: JSON, since some of them ask for it.
fn canned() -> Turn {
    Turn {
        text: Some(r#"{"title": "Scripted"}"#.to_owned()),
        ..Turn::default()
    }
}

fn speak(turn: Turn, id: &str, body: &Value) -> Response<Body> {
    let message = Message::new(turn, body["model"].as_str().unwrap_or("scripted"), id);
    if body["stream"] != true {
        return whole(StatusCode::OK, message.whole().to_string());
    }
    let frames = message
        .events()
        .into_iter()
        .map(|event| Ok(Frame::data(Bytes::from(event))));
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    let kind = hyper::header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn refuse(error: &ApiError) -> Response<Body> {
    let body = json!({"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": "req_scripted"});
    let status = StatusCode::from_u16(error.status).expect("the script names an HTTP status");
    let mut response = whole(status, body.to_string());
    for (name, value) in &error.headers {
        let value = moment(value).unwrap_or_else(|| value.clone());
        let name: hyper::header::HeaderName = name.parse().expect("the script names a header");
        response
            .headers_mut()
            .insert(name, value.parse().expect("a header's value is ASCII"));
    }
    response
}

/// Returns the Unix time that `now+N` means.
fn moment(value: &str) -> Option<String> {
    let seconds: u64 = value.strip_prefix("now+")?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some((now + seconds).to_string())
}

fn whole(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Full::from(body).boxed());
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Returns what the agent calls its session: a header of Claude Code, else the request's metadata.
fn conversation_key(headers: &HeaderMap, body: &Value) -> Option<String> {
    let header = headers
        .get("x-claude-code-session-id")
        .and_then(|value| value.to_str().ok());
    header
        .or_else(|| body["metadata"]["user_id"].as_str())
        .map(str::to_owned)
}

fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn tool_results(messages: &[Value]) -> Vec<ToolResult> {
    let blocks = messages
        .last()
        .and_then(|m| m["content"].as_array())
        .map_or(&[][..], Vec::as_slice);
    blocks
        .iter()
        .filter(|block| block["type"] == "tool_result")
        .map(|block| ToolResult {
            id: block["tool_use_id"].as_str().unwrap_or_default().to_owned(),
            is_error: block["is_error"] == true,
            text: match &block["content"] {
                Value::String(text) => text.clone(),
                Value::Array(parts) => parts
                    .iter()
                    .filter_map(|p| p["text"].as_str())
                    .collect::<Vec<_>>()
                    .join("\n"),
                _ => String::new(),
            },
        })
        .collect()
}

/// A panic elsewhere does not make what was seen untrue.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
