//! The way of one request through the gateway.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::admit::{Route, admit, body_bytes};
use super::audit::{Audit, shown};
use super::client::UpstreamClient;
use super::credential::Credential;
use super::exchange::Exchange;
use super::headers::{incoming, is_encoded, is_event_stream, outgoing};
use super::limits::{MAX_BODY_BYTES, MAX_ERROR_BYTES, TimeLimits};
use super::meter::{Meter, Room};
use super::pricing::Prices;
use super::relay::Relay;
use super::reply::{Refusal, ReplyBody, whole};
use super::screen::{Ask, ServerTools, screen};
use super::tally::{Shape, Tally, estimate};
use super::upstream::Upstream;
use crate::model::Cost;

/// What all requests share.
pub struct Proxy {
    pub token: String,
    pub credential: Credential,
    pub upstream: Upstream,
    pub max_cost: Option<Cost>,
    pub prices: Prices,
    pub server_tools: ServerTools,
    pub meter: Meter,
    pub audit: Audit,
    pub client: UpstreamClient,
    pub limits: TimeLimits,
    /// KiB of request bodies that may still be held.
    pub held_kib: Arc<Semaphore>,
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
    proxy.audit.catch_up().await.map_err(|cause| {
        tracing::error!(%cause, "could not write to the audit file");
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit_failed",
            "the audit file cannot be written, so that nothing is passed on",
        )
    })?;
    let route = admit(head, &proxy.token)?;
    let bytes = match route {
        Route::Probe => return Ok(Prepared::Probe),
        Route::Models => Bytes::new(),
        Route::Messages | Route::CountTokens => {
            let (room, bytes) = read(proxy, head, body).await?;
            exchange.room = Some(room);
            let ask = screen(&bytes, proxy.server_tools)?;
            exchange.model = Some(shown(&ask.model));
            if route == Route::Messages {
                exchange.reserved = reserve(proxy, &ask, bytes.len() as u64).await?;
            }
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

/// Sets aside what a request may cost, and returns it. Waits for requests under way where it may
/// fit after them.
async fn reserve(proxy: &Proxy, ask: &Ask, bytes: u64) -> Result<Cost, Refusal> {
    let Some(max) = proxy.max_cost else {
        return Ok(Cost::ZERO);
    };
    if let Some(unpriced) = &ask.unpriced {
        let unpriced = shown(unpriced);
        return Err(Refusal::invalid(format!(
            "the price of {unpriced} is not known, and the run has a budget"
        )));
    }
    let Some(max_tokens) = ask.max_tokens else {
        return Err(Refusal::invalid("`max_tokens` is missing"));
    };
    let tokens = estimate(bytes).total_input();
    let worst = proxy
        .prices
        .worst_cost(&ask.model, tokens, ask.cached_for, max_tokens);
    let reserved = async {
        loop {
            let settled = proxy.meter.settled();
            match proxy.meter.reserve(max, worst) {
                Room::Reserved => return Ok(worst),
                Room::Later => settled.await,
                Room::Never { left } => return Err(over_budget(worst, left)),
            }
        }
    };
    timeout(proxy.limits.silence, reserved)
        .await
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout_error",
                "the money left is held for other requests under way",
            ))
        })
}

fn over_budget(worst: Cost, left: Cost) -> Refusal {
    let message = format!(
        "the request may cost up to {:.4} dollars, and {:.4} are left of the budget",
        worst.dollars(),
        left.dollars()
    );
    Refusal::new(StatusCode::FORBIDDEN, "budget_exceeded", message)
}

async fn read(
    proxy: &Proxy,
    head: &Parts,
    body: Incoming,
) -> Result<(OwnedSemaphorePermit, Bytes), Refusal> {
    let declared = body_bytes(head)?.unwrap_or(0).min(MAX_BODY_BYTES);
    let kib = u32::try_from(declared.div_ceil(1024)).unwrap_or(u32::MAX);
    let limit = usize::try_from(declared).unwrap_or(usize::MAX);
    let read = async {
        let room = Arc::clone(&proxy.held_kib).acquire_many_owned(kib).await;
        let body = Limited::new(body, limit).collect().await.ok()?;
        Some((room.ok()?, body.to_bytes()))
    };
    match timeout(proxy.limits.body, read).await {
        Ok(Some(read)) => Ok(read),
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
    let answer = match timeout(proxy.limits.silence, proxy.client.request(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(cause)) => {
            tracing::debug!(%cause, "upstream failed");
            exchange.is_unanswered = !cause.is_connect();
            return Err(Refusal::bad_gateway(proxy.client.out_of_reach(&cause)));
        }
        Err(_) => {
            exchange.is_unanswered = true;
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
    if is_encoded(answer.headers()) {
        exchange.is_unanswered = status.is_success();
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
        Relay::new(
            body,
            exchange,
            proxy.credential.redactor(),
            proxy.limits.silence,
        )
        .boxed_unsync()
    } else {
        let limit = if head.status.is_success() {
            usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX)
        } else {
            MAX_ERROR_BYTES
        };
        let Ok(Ok(bytes)) =
            timeout(proxy.limits.silence, Limited::new(body, limit).collect()).await
        else {
            let refusal = Refusal::bad_gateway("the answer of the upstream cannot be read");
            return refuse(exchange, &refusal);
        };
        whole(proxy.credential.redact(bytes.to_bytes()))
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = head.status;
    *reply.headers_mut() = incoming(&head.headers, &proxy.credential);
    reply
}
