//! A gateway, a service that answers from a script, and a caller that sends raw bytes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use crate::gateway::reply::{ReplyBody, whole};
use crate::gateway::{
    AuditTo, Credential, CredentialKind, Gateway, GatewayOptions, Prices, TimeLimits, Upstream,
};
use crate::model::Cost;

pub const SECRET: &str = "sk-the-real-secret";
pub const BODY: &str = r#"{"model":"claude-haiku-4-5","max_tokens":1000,"messages":[]}"#;

/// What the service got.
#[derive(Debug)]
pub struct Seen {
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub struct Stage {
    pub gateway: Gateway,
    pub audit: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    service: JoinSet<()>,
    _folder: TempDir,
}

pub struct Setting {
    pub kind: CredentialKind,
    pub max_cost: Option<Cost>,
    pub limits: TimeLimits,
    /// The audit file; one of the stage's own by default.
    pub audit: Option<PathBuf>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            kind: CredentialKind::ApiKey,
            max_cost: None,
            limits: TimeLimits::default(),
            audit: None,
        }
    }
}

impl Stage {
    /// Starts a service that gives `answers` in order, and a gateway before it.
    pub async fn with(answers: Vec<Response<ReplyBody>>) -> Self {
        Self::set(Setting::default(), answers).await
    }

    pub async fn set(setting: Setting, answers: Vec<Response<ReplyBody>>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let mut service = JoinSet::new();
        service.spawn(serve(listener, answers, Arc::clone(&seen)));
        let mut stage = Self::before(&format!("http://127.0.0.1:{port}/prefix"), setting).await;
        stage.seen = seen;
        stage.service = service;
        stage
    }

    /// Starts a service that takes one connection, reads something, sends `raw` and, if `stays`,
    /// keeps the connection open; and a gateway before it.
    pub async fn raw(setting: Setting, raw: &'static str, stays: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut stage = Self::before(&format!("http://127.0.0.1:{port}"), setting).await;
        stage.service.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
            stream.write_all(raw.as_bytes()).await.unwrap();
            if stays {
                std::future::pending::<()>().await;
            }
        });
        stage
    }

    /// Starts a gateway before the service at the URL `upstream`.
    pub async fn before(upstream: &str, setting: Setting) -> Self {
        Self::before_upstream(Upstream::parse(upstream).unwrap(), setting).await
    }

    pub async fn before_upstream(upstream: Upstream, setting: Setting) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("audit.jsonl");
        let audit = setting.audit.unwrap_or(own);
        let gateway = Gateway::start(GatewayOptions {
            credential: Credential::new(setting.kind, SECRET).unwrap(),
            upstream,
            folder: folder.path().to_owned(),
            audit: AuditTo::File(audit.clone()),
            max_cost: setting.max_cost,
            prices: Prices::default(),
            allow_server_tools: false,
            limits: setting.limits,
        })
        .await
        .unwrap();
        Self {
            gateway,
            audit,
            seen: Arc::default(),
            service: JoinSet::new(),
            _folder: folder,
        }
    }

    /// Returns the lines of the audit file.
    pub fn audited(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.audit).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Takes what the service got so far.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// Sends bytes and returns the stream to read the answer from.
    pub async fn open(&self, raw: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.gateway.socket()).await.unwrap();
        stream.write_all(raw).await.unwrap();
        stream
    }

    /// Sends bytes and returns all that comes as text. Ends with the connection, so that what is sent
    /// should be refused or ask to close it.
    pub async fn send(&self, raw: &str) -> String {
        let mut stream = self.open(raw.as_bytes()).await;
        let mut answer = Vec::new();
        // A refused caller may find the connection reset; what came before counts.
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Returns a valid messages request with `body`, the last one of its connection.
    pub fn post(&self, body: &str) -> String {
        format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\n\
             connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.gateway.token(),
            body.len()
        )
    }
}

/// Returns the status of an answer; 0 if there is none.
pub fn status(answer: &str) -> u16 {
    let word = answer.split(' ').nth(1).unwrap_or_default();
    word.parse().unwrap_or(0)
}

/// Returns an answer of the service.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<ReplyBody> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(whole(body.to_owned())).unwrap()
}

async fn serve(
    listener: TcpListener,
    answers: Arc<Mutex<VecDeque<Response<ReplyBody>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                seen.lock().unwrap().push(Seen {
                    target: head.uri.to_string(),
                    headers: head.headers,
                    body,
                });
                let next = answers.lock().unwrap().pop_front();
                Ok::<_, hyper::Error>(next.unwrap_or_else(|| answer(599, &[], "no answer left")))
            }
        });
        connections.spawn(async move {
            // A caller that leaves is no failure of the service.
            let _ended = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
