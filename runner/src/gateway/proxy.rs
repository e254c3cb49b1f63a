//! The way of one request through the gateway.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_ENCODING;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admit::{MAX_BODY_BYTES, Route, admit, body_bytes};
use super::audit::{Audit, shown};
use super::credential::Credential;
use super::exchange::Exchange;
use super::headers::{incoming, is_event_stream, outgoing};
use super::meter::Meter;
use super::relay::Relay;
use super::reply::{Refusal, ReplyBody, whole};
use super::screen::{ServerTools, screen};
use super::tally::{Shape, Tally};
use super::upstream::Upstream;
use crate::model::Cost;

/// How long the service may send nothing.
pub const SILENCE: Duration = Duration::from_secs(5 * 60);
const CONNECT: Duration = Duration::from_secs(10);
/// How long a caller on the same machine may take to send its body.
const BODY: Duration = Duration::from_secs(60);
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// KiB of request bodies held at a time, by all requests.
const MAX_HELD_KIB: usize = 256 * 1024;

/// What all requests share.
pub struct Proxy {
    pub token: String,
    pub credential: Credential,
    pub upstream: Upstream,
    pub max_cost: Option<Cost>,
    pub server_tools: ServerTools,
    pub meter: Meter,
    pub audit: Audit,
    pub client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub held_kib: Semaphore,
}

/// Returns room for the bodies of all requests.
pub fn body_room() -> Semaphore {
    Semaphore::new(MAX_HELD_KIB)
}

/// Returns a client that knows the public certificate authorities and nothing of the environment.
///
/// # Errors
///
/// When the TLS library does not have the protocol versions it should.
pub fn client(
    upstream: &Upstream,
) -> io::Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .map_err(io::Error::other)?;
    let schemes = if upstream.is_tls() {
        tls.https_only()
    } else {
        tls.https_or_http()
    };
    let connector = schemes.enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build(connector))
}

/// Answers one request.
pub async fn serve(
    proxy: Arc<Proxy>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let (head, body) = request.into_parts();
    let mut exchange = Exchange::new(Arc::clone(&proxy), &head);
    let outcome = prepare(&proxy, &mut exchange, &head, body).await;
    Ok(match outcome {
        Ok(Prepared::Probe) => {
            exchange.status = Some(StatusCode::OK);
            Response::new(whole(Bytes::new()))
        }
        Ok(Prepared::Forward(route, request)) => {
            match fetch(&proxy, &mut exchange, route, *request).await {
                Ok(answer) => relay(&proxy, exchange, route, answer).await,
                Err(refusal) => refuse(exchange, &refusal),
            }
        }
        Err(refusal) => refuse(exchange, &refusal),
    })
}

enum Prepared {
    Probe,
    Forward(Route, Box<Request<Full<Bytes>>>),
}

fn refuse(mut exchange: Exchange, refusal: &Refusal) -> Response<ReplyBody> {
    exchange.refuse(refusal);
    refusal.reply()
}

/// Checks a request, and returns the one to send upstream.
async fn prepare(
    proxy: &Proxy,
    exchange: &mut Exchange,
    head: &Parts,
    body: Incoming,
) -> Result<Prepared, Refusal> {
    let route = admit(head, &proxy.token)?;
    let bytes = match route {
        Route::Probe => return Ok(Prepared::Probe),
        Route::Models => Bytes::new(),
        Route::Messages | Route::CountTokens => {
            if !proxy.meter.is_within(proxy.max_cost) {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    "budget_exceeded",
                    "the budget of this run is used up",
                ));
            }
            let bytes = read(proxy, head, body).await?;
            exchange.model = Some(shown(&screen(&bytes, proxy.server_tools)?));
            bytes
        }
    };
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let uri = proxy.upstream.join(target).ok_or_else(Refusal::not_found)?;
    if route == Route::Messages {
        exchange.sent_bytes = Some(bytes.len() as u64);
    }
    let mut request = Request::new(Full::new(bytes));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = outgoing(&head.headers, &proxy.credential);
    Ok(Prepared::Forward(route, Box::new(request)))
}

async fn read(proxy: &Proxy, head: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
    let declared = body_bytes(head)?.unwrap_or(0).min(MAX_BODY_BYTES);
    let kib = u32::try_from(declared.div_ceil(1024)).unwrap_or(u32::MAX);
    let limit = usize::try_from(declared).unwrap_or(usize::MAX);
    let read = async {
        let _room = proxy.held_kib.acquire_many(kib).await.ok()?;
        let body = Limited::new(body, limit).collect().await.ok()?;
        Some(body.to_bytes())
    };
    match timeout(BODY, read).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Refusal::invalid("the body did not arrive as announced")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout_error",
            "the body did not arrive in time",
        )),
    }
}

/// Sends a request upstream and returns the answer, unless it leads elsewhere.
async fn fetch(
    proxy: &Proxy,
    exchange: &mut Exchange,
    route: Route,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Refusal> {
    let answer = match timeout(SILENCE, proxy.client.request(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(cause)) => {
            tracing::debug!(%cause, "upstream failed");
            return Err(Refusal::bad_gateway("the upstream cannot be reached"));
        }
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout_error",
                "the upstream does not answer",
            ));
        }
    };
    let status = answer.status();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    proxy.meter.note_answer(status, answer.headers(), now_ms);
    if status.is_redirection() || status.is_informational() {
        return Err(Refusal::bad_gateway("the upstream leads elsewhere"));
    }
    if answer.headers().contains_key(CONTENT_ENCODING) {
        return Err(Refusal::bad_gateway("the upstream sends an encoded body"));
    }
    exchange.status = Some(status);
    if route == Route::Messages && status.is_success() {
        let shape = if is_event_stream(answer.headers()) {
            Shape::EventStream
        } else {
            Shape::Json
        };
        exchange.tally = Some(Tally::new(shape));
    }
    Ok(answer)
}

/// Passes an answer on: a success as it comes, an error as a whole and without the secret.
async fn relay(
    proxy: &Proxy,
    exchange: Exchange,
    route: Route,
    answer: Response<Incoming>,
) -> Response<ReplyBody> {
    let (head, body) = answer.into_parts();
    let is_streamed = head.status.is_success() && route == Route::Messages;
    let body = if is_streamed {
        Relay::new(body, exchange).boxed_unsync()
    } else {
        let limit = if head.status.is_success() {
            usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX)
        } else {
            MAX_ERROR_BYTES
        };
        let Ok(Ok(bytes)) = timeout(SILENCE, Limited::new(body, limit).collect()).await else {
            let refusal = Refusal::bad_gateway("the answer of the upstream cannot be read");
            return refuse(exchange, &refusal);
        };
        whole(proxy.credential.redact(&bytes.to_bytes()))
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = head.status;
    *reply.headers_mut() = incoming(&head.headers, &proxy.credential);
    reply
}
