//! How long the gateway waits for either side.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stage::{BODY, Setting, Stage, answer, status};
use crate::gateway::TimeLimits;

const SHORT: Duration = Duration::from_millis(100);
/// Far less than the limits of real use, which would fail the test.
const AT_MOST: Duration = Duration::from_secs(20);

fn limits(change: impl FnOnce(&mut TimeLimits)) -> Setting {
    let mut limits = TimeLimits::default();
    change(&mut limits);
    Setting {
        limits,
        ..Setting::default()
    }
}

/// Returns all that still comes on a connection, which must end in time.
async fn rest(mut stream: tokio::net::UnixStream) -> String {
    let mut got = Vec::new();
    let ended = tokio::time::timeout(AT_MOST, stream.read_to_end(&mut got)).await;
    // Reset or closed, but ended.
    drop(ended.expect("the connection ends"));
    String::from_utf8_lossy(&got).into_owned()
}

#[tokio::test]
async fn connection_without_a_head_is_closed() {
    let stage = Stage::set(limits(|l| l.head = SHORT), vec![]).await;
    for begun in ["", "POST /v1/mess", "GET / HTTP/1.1\r\nhost: localhost\r\n"] {
        let reply = rest(stage.open(begun.as_bytes()).await).await;
        assert!(!reply.contains("200"), "{begun}: {reply}");
    }
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn head_that_drips_is_closed() {
    let stage = Stage::set(limits(|l| l.head = SHORT), vec![]).await;
    let mut caller = stage.open(b"GET / HTTP/1.1\r\n").await;
    let drip = async {
        // Ends when the gateway has closed the connection.
        while caller.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(AT_MOST, drip)
        .await
        .expect("the connection ends");
}

#[tokio::test]
async fn idle_connection_is_closed_after_its_request() {
    let stage = Stage::set(limits(|l| l.head = SHORT), vec![answer(200, &[], "{}")]).await;
    let request = stage.post(BODY).replace("connection: close\r\n", "");
    let reply = rest(stage.open(request.as_bytes()).await).await;
    assert_eq!(status(&reply), 200, "{reply}");
}

#[tokio::test]
async fn body_that_does_not_come_is_a_timeout() {
    let stage = Stage::set(limits(|l| l.body = SHORT), vec![]).await;
    let request = stage.post(BODY);
    let reply = rest(stage.open(&request.as_bytes()[..request.len() - 1]).await).await;
    assert_eq!(status(&reply), 408, "{reply}");
    assert_eq!(stage.audited()[0]["refused"], "timeout_error");
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn service_that_never_answers_is_a_timeout_and_is_paid_for() {
    let stage = Stage::raw(limits(|l| l.silence = SHORT), "", true).await;
    let reply = rest(stage.open(stage.post(BODY).as_bytes()).await).await;
    assert_eq!(status(&reply), 504, "{reply}");
    assert!(reply.contains("the upstream does not answer"), "{reply}");
    assert_eq!(stage.audited()[0]["input_tokens"], BODY.len().div_ceil(3));
}

#[tokio::test]
async fn stream_that_stalls_is_cut_off_and_counted_so_far() {
    let raw = concat!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        "65\r\n",
        "data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}}\n\n",
        "\r\n",
    );
    let stage = Stage::raw(limits(|l| l.silence = SHORT), raw, true).await;
    let reply = rest(stage.open(stage.post(BODY).as_bytes()).await).await;
    assert!(reply.contains("message_start"), "{reply}");
    assert!(!reply.ends_with("0\r\n\r\n"), "{reply}");
    let line = &stage.audited()[0];
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&9.into(), &4.into())
    );
}

#[tokio::test]
async fn error_that_stalls_is_a_bad_gateway() {
    let raw = "HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\nhalf";
    let stage = Stage::raw(limits(|l| l.silence = SHORT), raw, true).await;
    let reply = rest(stage.open(stage.post(BODY).as_bytes()).await).await;
    assert_eq!(status(&reply), 502, "{reply}");
}
