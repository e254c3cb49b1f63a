//! What passes, and in what form.

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stage::{BODY, SECRET, Setting, Stage, answer, status};
use crate::gateway::{
    AuditTo, Credential, CredentialKind, Gateway, GatewayError, GatewayOptions, Prices,
    SOCKET_NAME, TimeLimits, Upstream,
};

#[tokio::test]
async fn token_is_swapped_for_the_credential() {
    let stage = Stage::with(vec![answer(200, &[("set-cookie", "a=b")], "{}")]).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 200);
    assert!(!reply.contains("set-cookie"), "{reply}");
    let seen = stage.seen();
    assert_eq!(seen[0].target, "/prefix/v1/messages?beta=true");
    assert_eq!(seen[0].headers["x-api-key"], SECRET);
    assert_eq!(seen[0].body, BODY);
    assert!(!format!("{seen:?}").contains(stage.gateway.token()));
}

#[tokio::test]
async fn oauth_token_goes_as_a_bearer() {
    let setting = Setting {
        kind: CredentialKind::OauthToken,
        ..Setting::default()
    };
    let stage = Stage::set(setting, vec![answer(200, &[], "{}")]).await;
    stage.send(&stage.post(BODY)).await;
    let seen = stage.seen();
    assert_eq!(
        seen[0].headers["authorization"],
        format!("Bearer {SECRET}").as_str()
    );
    assert_eq!(seen[0].headers["anthropic-beta"], "oauth-2025-04-20");
    assert!(!seen[0].headers.contains_key("x-api-key"));
    let env = stage.gateway.sandbox_env();
    assert_eq!(env["CLAUDE_CODE_OAUTH_TOKEN"], stage.gateway.token());
    assert_eq!(env.len(), 3);
}

#[tokio::test]
async fn probe_is_answered_without_token_or_service() {
    let stage = Stage::with(vec![]).await;
    for method in ["GET", "HEAD"] {
        let reply = stage
            .send(&format!(
                "{method} / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&reply), 200);
    }
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let (mut events, stream) = mpsc::channel::<Bytes>(1);
    let body = StreamBody::new(stream.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
    let streamed = Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap();
    let stage = Stage::with(vec![streamed]).await;
    let mut caller = stage.open(stage.post(BODY).as_bytes()).await;
    let mut got = String::new();
    for event in ["data: {\"first\":1}\n\n", "data: {\"second\":2}\n\n"] {
        events.try_send(Bytes::from(event)).unwrap();
        let mut piece = [0; 1024];
        while !got.contains(event) {
            let count = caller.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "the stream ended before `{event}`");
            got.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }
    assert!(!got.ends_with("0\r\n\r\n"), "{got}");
    drop(events);
    caller.read_to_string(&mut got).await.unwrap();
    assert!(got.ends_with("0\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn reflected_secret_is_replaced() {
    let reflecting = answer(
        400,
        &[("request-id", SECRET), ("x-other", SECRET)],
        &format!("{{\"error\":\"bad key {SECRET}\"}}"),
    );
    let stage = Stage::with(vec![reflecting]).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 400);
    assert!(!reply.contains(SECRET), "{reply}");
    let stars = "*".repeat(SECRET.len());
    assert!(
        reply.contains(&format!("request-id: {stars}\r\n")),
        "{reply}"
    );
    assert!(
        reply.ends_with(&format!("{{\"error\":\"bad key {stars}\"}}")),
        "{reply}"
    );
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let away = answer(307, &[("location", "/prefix/v1/files")], "");
    let stage = Stage::with(vec![away, answer(200, &[], "{}")]).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 502);
    assert!(!reply.contains("location"), "{reply}");
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn service_that_is_down_is_a_bad_gateway() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let stage = Stage::before(&format!("http://127.0.0.1:{port}"), Setting::default()).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 502);
    assert!(reply.contains("the upstream cannot be reached"), "{reply}");
    assert_eq!(stage.gateway.metered().usage.input_tokens, 0);
}

#[tokio::test]
async fn connection_serves_one_request_after_the_other() {
    let stage = Stage::with(vec![answer(200, &[], "first"), answer(200, &[], "second")]).await;
    let request = stage.post(BODY).replace("connection: close\r\n", "");
    let mut caller = stage.open(b"").await;
    for word in ["first", "second"] {
        caller.write_all(request.as_bytes()).await.unwrap();
        let mut got = String::new();
        let mut piece = [0; 1024];
        while !got.contains(word) {
            let count = caller.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "the connection ended before `{word}`");
            got.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }
    assert_eq!(stage.seen().len(), 2);
}

#[tokio::test]
async fn socket_of_a_gateway_that_still_serves_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let options = || GatewayOptions {
        credential: Credential::new(CredentialKind::ApiKey, SECRET).unwrap(),
        upstream: Upstream::default(),
        folder: folder.path().to_owned(),
        audit: AuditTo::File(folder.path().join("audit.jsonl")),
        max_cost: None,
        prices: Prices::default(),
        allow_server_tools: false,
        limits: TimeLimits::default(),
    };
    let socket = folder.path().join(SOCKET_NAME);
    // Left by a gateway that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let first = Gateway::start(options()).await.unwrap();
    let second = Gateway::start(options()).await;
    assert!(
        matches!(second, Err(GatewayError::Listen { cause, .. }) if cause.kind() == std::io::ErrorKind::AddrInUse)
    );
    first.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn stopping_ends_connections_and_removes_the_socket() {
    let stage = Stage::with(vec![]).await;
    let mut idle = stage.open(b"POST /v1/mess").await;
    let socket = stage.gateway.socket().to_owned();
    assert!(socket.exists());
    stage.gateway.stop().await;
    assert!(!socket.exists());
    let mut rest = Vec::new();
    assert!(!matches!(idle.read_to_end(&mut rest).await, Ok(1..)));
}
