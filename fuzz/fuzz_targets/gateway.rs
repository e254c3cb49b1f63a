//! Raw bytes on the gateway's socket, with a service behind it that answers with raw bytes.
//!
//! The input is cut at lines of `%%`: first the service's answer, then the pieces in which the caller
//! sends. `TOKEN` stands for the run's token. The gateway is the real one, on a real socket; the clock
//! jumps over waiting, so that all its time limits are met at once.
#![no_main]

use std::io::Read;
use std::os::unix::net::UnixStream as Pipe;
use std::sync::{Arc, LazyLock, Mutex};

use autoclave_runner::gateway::{
    AuditTo, Credential, CredentialKind, Gateway, GatewayOptions, Prices, TimeLimits, Upstream,
};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const KEY: &str = "sk-ant-the-real-key";
const HOUR: std::time::Duration = std::time::Duration::from_hours(1);

/// What runs on, from one input to the next.
struct Stage {
    runtime: Runtime,
    gateway: Gateway,
    service: Arc<Mutex<Service>>,
    audit: Pipe,
    _folder: TempDir,
}

#[derive(Default)]
struct Service {
    answer: Vec<u8>,
    /// Requests, as they came.
    got: Vec<Vec<u8>>,
}

static STAGE: LazyLock<Mutex<Stage>> = LazyLock::new(|| Mutex::new(Stage::new()));

fuzz_target!(|input: &[u8]| {
    let mut pieces = split(input, b"\n%%\n").into_iter();
    let answer = pieces.next().unwrap_or_default().to_vec();
    let mut stage = STAGE.lock().expect("a panic ends the process");
    let token = stage.gateway.token().to_owned();
    let pieces: Vec<Vec<u8>> = pieces
        .map(|piece| split(piece, b"TOKEN").join(token.as_bytes()))
        .collect();
    let (downstream, requests) = stage.exchange(answer.clone(), &pieces);

    let sent = pieces.concat();
    // On a busy machine an hour of silence can be over before a request has come whole.
    for request in requests.iter().filter(|request| is_whole(request)) {
        check_request(request, &sent);
    }
    let audited = stage.audited();
    // Who says the key without having got it here is told what they said.
    let key = KEY.as_bytes();
    if !holds(&sent, key) {
        let is_told = holds(&answer, key) && holds(&downstream, b"HTTP/1.1 2");
        assert!(is_told || !holds(&downstream, key), "the key came back");
        assert!(holds(&answer, key) || !holds(&audited, key), "audited");
    }
    assert!(
        downstream.is_empty() || downstream.starts_with(b"HTTP/1."),
        "not HTTP"
    );
    for line in audited
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        serde_json::from_slice::<serde_json::Value>(line).expect("audit lines are JSON");
    }
});

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime starts");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let service = Arc::new(Mutex::new(Service::default()));
        let (audit, lines) = Pipe::pair().expect("a pair of sockets can be made");
        audit.set_nonblocking(true).expect("a socket can be set so");
        lines.set_nonblocking(true).expect("a socket can be set so");
        let gateway = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port is free");
            let address = listener.local_addr().expect("a listener has an address");
            tokio::spawn(serve(listener, Arc::clone(&service)));
            Gateway::start(GatewayOptions {
                credential: Credential::new(CredentialKind::ApiKey, KEY).expect("a plain key"),
                upstream: Upstream::parse(&format!("http://{address}/prefix")).expect("a URL"),
                folder: folder.path().to_owned(),
                audit: AuditTo::Stream(lines),
                max_cost: None,
                prices: Prices::default(),
                allow_server_tools: false,
                // The service always answers or hangs up: the clock shall not run out before it.
                limits: TimeLimits {
                    connect: HOUR,
                    silence: HOUR,
                    ..TimeLimits::default()
                },
            })
            .await
            .expect("a gateway starts")
        });
        Self {
            runtime,
            gateway,
            service,
            audit,
            _folder: folder,
        }
    }

    /// Sends the pieces; returns all that came back, and all that the service got.
    fn exchange(&mut self, answer: Vec<u8>, pieces: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>) {
        *self.service.lock().expect("never poisoned") = Service {
            answer,
            got: Vec::new(),
        };
        let socket = self.gateway.socket();
        let downstream = self.runtime.block_on(async {
            let mut stream = UnixStream::connect(socket).await.expect("it listens");
            for piece in pieces {
                // A refused caller may find the connection closed.
                if stream.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut downstream = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                downstream.extend_from_slice(&buffer[..count]);
            }
            downstream
        });
        let got = std::mem::take(&mut self.service.lock().expect("never poisoned").got);
        (downstream, got)
    }

    fn audited(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.audit.read(&mut buffer) {
            lines.extend_from_slice(&buffer[..count]);
        }
        lines
    }
}

async fn serve(listener: TcpListener, service: Arc<Mutex<Service>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(answer(stream, Arc::clone(&service)));
            }
        }
    }
}

/// Takes one request, answers it as the input says and hangs up.
async fn answer(mut stream: TcpStream, service: Arc<Mutex<Service>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            break;
        };
        request.extend_from_slice(&buffer[..count]);
    }
    if request.is_empty() {
        return;
    }
    let answer = {
        let mut service = service.lock().expect("never poisoned");
        service.got.push(request);
        service.answer.clone()
    };
    // The gateway may have hung up first.
    if stream.write_all(&answer).await.is_ok() {
        let _ended = stream.shutdown().await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some((head, body)) = halves(request) else {
        return false;
    };
    let length = headers(head)
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap_or(usize::MAX));
    body.len() >= length
}

fn halves(request: &[u8]) -> Option<(&str, &[u8])> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&request[..end]).ok()?;
    Some((head, &request[end + 4..]))
}

fn headers(head: &str) -> impl Iterator<Item = (String, &str)> {
    let lines = head.split("\r\n").skip(1);
    lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim()))
    })
}

/// Requires that the service got nothing but what the gateway is there for.
fn check_request(request: &[u8], sent: &[u8]) {
    let (head, body) = halves(request).expect("a forwarded request has a head of text");
    let keys = split(request, KEY.as_bytes()).len() - 1;
    let keys_sent = split(sent, KEY.as_bytes()).len() - 1;
    assert!(keys >= 1 && keys <= 1 + keys_sent, "{keys} keys");
    let count = |wanted: &str| headers(head).filter(|(name, _)| name == wanted).count();
    let key = headers(head).find(|(name, _)| name == "x-api-key");
    assert_eq!(key.map(|(_, value)| value), Some(KEY));
    for (name, times) in [("x-api-key", 1), ("host", 1)] {
        assert_eq!(count(name), times, "{name}");
    }
    assert!(count("content-length") <= 1);
    for name in [
        "authorization",
        "connection",
        "content-encoding",
        "cookie",
        "expect",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        assert_eq!(count(name), 0, "{name}");
    }
    let mut words = head.split("\r\n").next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/prefix").expect("the prefix stays");
    match (method, path) {
        ("POST", "/v1/messages" | "/v1/messages/count_tokens") => {
            assert!(holds(sent, body), "the body is not what the caller sent");
            let body = without_surrogates(body);
            let body = serde_json::from_slice(&body).expect("a forwarded body is JSON");
            let found = acts_outside(&body);
            assert_eq!(found, None, "was passed on");
        }
        ("GET", path) => {
            assert!(
                path == "/v1/models" || path.starts_with("/v1/models/"),
                "{path}"
            );
            assert!(!path.contains("..") && !path.contains('%'), "{path}");
            assert!(body.is_empty(), "a body that nobody asked for");
        }
        _ => panic!("{method} {path} is none of the messages API"),
    }
}

/// Returns the body with question marks for halves of characters beyond the first plane, which JSON may
/// hold and Rust's strings may not.
fn without_surrogates(body: &[u8]) -> Vec<u8> {
    let mut plain = body.to_vec();
    let mut at = 0;
    while at + 6 <= plain.len() {
        let escape = &plain[at..at + 6];
        let is_half = escape.starts_with(b"\\u")
            && matches!(escape[2], b'd' | b'D')
            && matches!(escape[3], b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F');
        if is_half && escape[4..].iter().all(u8::is_ascii_hexdigit) {
            plain[at..at + 6].copy_from_slice(b"\\u003f");
        }
        at += if plain[at] == b'\\' { 2 } else { 1 };
    }
    plain
}

/// JSON that keeps every value of a key that occurs twice.
#[derive(Debug)]
enum Json {
    Null,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Else,
}

/// Returns what would make the service act for the sandbox, whichever of two equal keys it reads.
fn acts_outside(body: &Json) -> Option<String> {
    for servers in body.all("mcp_servers") {
        if !matches!(servers, Json::Null) && !matches!(servers, Json::List(list) if list.is_empty())
        {
            return Some("mcp_servers".to_owned());
        }
    }
    if body
        .all("container")
        .any(|value| !matches!(value, Json::Null))
    {
        return Some("container".to_owned());
    }
    for tool in body.all("tools").flat_map(Json::items) {
        for kind in tool.all("type") {
            let is_local = match kind {
                Json::Null => true,
                Json::Text(kind) => {
                    let prefixes = [
                        "bash_",
                        "text_editor_",
                        "computer_",
                        "memory_",
                        "tool_search_tool_",
                    ];
                    kind == "custom" || prefixes.iter().any(|prefix| kind.starts_with(prefix))
                }
                _ => false,
            };
            if !is_local {
                return Some(format!("{kind:?}"));
            }
        }
    }
    let contents = body.all("messages").flat_map(Json::items);
    let contents = contents.flat_map(|message| message.all("content"));
    body.all("system").chain(contents).find_map(fetched)
}

fn fetched(content: &Json) -> Option<String> {
    let alone = std::slice::from_ref(content);
    let blocks = match content {
        Json::List(blocks) => blocks,
        _ => alone,
    };
    blocks.iter().find_map(|block| {
        if block.all("type").any(|kind| kind.is("container_upload")) {
            return Some("container_upload".to_owned());
        }
        let sources = block.all("source");
        let source = sources.filter(|source| {
            source
                .all("type")
                .any(|kind| kind.is("url") || kind.is("file"))
        });
        if source.count() > 0 {
            return Some("a source elsewhere".to_owned());
        }
        let inner = block.all("source").flat_map(|source| source.all("content"));
        block.all("content").chain(inner).find_map(fetched)
    })
}

impl Json {
    fn all<'j>(&'j self, key: &str) -> impl Iterator<Item = &'j Json> {
        let pairs = match self {
            Json::Object(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    fn is(&self, text: &str) -> bool {
        matches!(self, Json::Text(own) if own == text)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Else)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Else)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Else)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Else)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Json::Object(pairs))
    }
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(found) = rest.windows(at.len()).position(|window| window == at) {
        parts.push(&rest[..found]);
        rest = &rest[found + at.len()..];
    }
    parts.push(rest);
    parts
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}
