//! The account of one request, settled when it ends in whatever way.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use super::audit::{AuditLine, shown};
use super::pricing::Tokens;
use super::proxy::Proxy;
use super::reply::Refusal;
use super::tally::{self, Tally};
use crate::model::{Cost, Usage};

/// Adds its request to the meter and the audit file when dropped: also if the caller leaves early.
pub struct Exchange {
    proxy: Arc<Proxy>,
    started: Instant,
    at_ms: i64,
    method: String,
    path: String,
    pub model: Option<String>,
    pub status: Option<StatusCode>,
    refused: Option<&'static str>,
    /// Bytes of a messages request that the service may have got.
    pub sent_bytes: Option<u64>,
    /// The service may have got the request and worked, though no answer of use came.
    pub is_unanswered: bool,
    /// What the budget has set aside for it.
    pub reserved: Cost,
    pub tally: Option<Tally>,
    /// For the body, which is held as long as the request is under way.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    pub fn new(proxy: Arc<Proxy>, head: &Parts) -> Self {
        Self::begun(proxy, head.method.as_str(), head.uri.path())
    }

    /// Settles a request whose head cannot be read; the HTTP library has answered it, or not.
    pub fn malformed(proxy: Arc<Proxy>) {
        Self::begun(proxy, "", "").refused = Some("malformed_request");
    }

    fn begun(proxy: Arc<Proxy>, method: &str, path: &str) -> Self {
        proxy.meter.count_request();
        Self {
            proxy,
            started: Instant::now(),
            at_ms: jiff::Timestamp::now().as_millisecond(),
            method: shown(method),
            path: shown(path),
            model: None,
            status: None,
            refused: None,
            sent_bytes: None,
            is_unanswered: false,
            reserved: Cost::ZERO,
            tally: None,
            room: None,
        }
    }

    pub fn refuse(&mut self, refusal: &Refusal) {
        self.status = Some(refusal.status);
        self.refused = Some(refusal.kind);
    }

    /// Returns the tokens to pay for. A request that failed is free; one that was cut off is not.
    fn tokens(&self) -> Tokens {
        let Some(sent_bytes) = self.sent_bytes else {
            return Tokens::default();
        };
        match (&self.tally, self.status) {
            (Some(tally), _) => tally.tokens(sent_bytes),
            (None, None) => tally::estimate(sent_bytes),
            (None, Some(_)) if self.is_unanswered => tally::estimate(sent_bytes),
            (None, Some(_)) => Tokens::default(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Here and not at the end of the body, which a server does not ask for once it has as many
        // bytes as were announced.
        if let Some(tally) = &mut self.tally {
            tally.finish();
        }
        let tokens = self.tokens();
        let answered = self.tally.as_ref().and_then(Tally::model);
        let model = answered.or(self.model.as_deref());
        let cost_usd = if tokens == Tokens::default() {
            Cost::ZERO
        } else {
            self.proxy.prices.cost(model.unwrap_or_default(), tokens)
        };
        let usage = Usage {
            turns: u32::from(self.tally.is_some()),
            input_tokens: tokens.total_input(),
            output_tokens: tokens.output,
            cost_usd,
        };
        self.proxy.meter.settle(self.reserved, usage);
        // The service chose the name, or the caller.
        let named = model.map(|model| {
            let name = Bytes::copy_from_slice(model.as_bytes());
            let name = self.proxy.credential.redact(name);
            shown(&String::from_utf8_lossy(&name))
        });
        let written = self.proxy.audit.write(&AuditLine {
            at_ms: self.at_ms,
            method: &self.method,
            path: &self.path,
            model: named.as_deref(),
            status: self.status.map(|status| status.as_u16()),
            input_tokens: tokens.total_input(),
            output_tokens: tokens.output,
            cost_usd,
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            refused: self.refused,
        });
        // A reader that is busy is waited for before the next request.
        if let Err(cause) = written
            && cause.kind() != io::ErrorKind::WouldBlock
        {
            tracing::error!(%cause, "could not write to the audit file");
        }
    }
}
