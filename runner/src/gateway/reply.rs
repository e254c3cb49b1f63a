//! Answers of the gateway itself, shaped like those of the messages API.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

/// The body of every answer: whole or streamed.
pub type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;

/// Why the gateway does not pass a request on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// The `error.type` of the answer and the `refused` of the audit line.
    pub kind: &'static str,
    /// A fragment for people.
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub fn not_found() -> Self {
        let message = "the gateway passes on the messages API only";
        Self::new(StatusCode::NOT_FOUND, "not_found_error", message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "api_error", message)
    }

    /// Returns the answer that tells the caller.
    pub fn reply(&self) -> Response<ReplyBody> {
        let error = json!({
            "type": "error",
            "error": { "type": self.kind, "message": format!("autoclave gateway: {}", self.message) },
        });
        let mut reply = Response::new(whole(error.to_string()));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Nothing more is read from who sent what is refused.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self.status.is_client_error() {
            // The public client libraries heed this.
            headers.insert(
                HeaderName::from_static("x-should-retry"),
                HeaderValue::from_static("false"),
            );
        }
        reply
    }
}

/// Returns a body that is sent at once.
pub fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
