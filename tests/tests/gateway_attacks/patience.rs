//! Callers that take their time.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use e2e::gateway_process::{rest, wait_until};

use super::stage::{BODY, Stage};

const IMPATIENT: [&str; 2] = ["--patience-s", "1"];

#[test]
fn head_that_does_not_come_ends_the_connection() {
    let mut stage = Stage::set(&IMPATIENT);
    let key = stage.key();
    let begun = [
        String::new(),
        "P".to_owned(),
        "\r\n\r\n\r\n".to_owned(),
        "POST /v1/mess".to_owned(),
        "POST /v1/messages HTTP/1.1\r\n".to_owned(),
        format!("POST /v1/messages HTTP/1.1\r\n{key}x-app"),
        format!("POST /v1/messages HTTP/1.1\r\n{key}content-length: 5\r\n"),
    ];
    let mut waiting: Vec<UnixStream> = begun
        .iter()
        .map(|begun| {
            let mut stream = UnixStream::connect(stage.gateway.socket()).unwrap();
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        })
        .collect();
    for (begun, stream) in begun.iter().zip(&mut waiting) {
        let reply = rest(stream);
        assert_eq!(reply.text, "", "{begun:?}");
    }
    // A byte now and then does not help.
    let mut dripping = UnixStream::connect(stage.gateway.socket()).unwrap();
    dripping.write_all(b"GET / HTTP/1.1\r\nx: ").unwrap();
    wait_until(
        || dripping.write_all(b"y").is_err(),
        "the end of a dripping head",
    );
    // None of them was a request.
    stage.control("slow heads", 1);
    stage.audited(1, "slow heads");
    stage.end();
}

#[test]
fn body_that_does_not_come_is_a_timeout() {
    let mut stage = Stage::set(&IMPATIENT);
    let post = stage.post(BODY);
    let (without, half) = (post.len() - BODY.len(), post.len() - 1);
    for (name, sent) in [("no body", without), ("half a body", half)] {
        let mut stream = UnixStream::connect(stage.gateway.socket()).unwrap();
        stream.write_all(&post.as_bytes()[..sent]).unwrap();
        let reply = rest(&mut stream);
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (408, Some("timeout_error")),
            "{name}: {reply:?}"
        );
        assert_eq!(stage.service.seen(), [""; 0], "{name}");
        assert_eq!(
            stage.audited(1, name)[0]["refused"],
            "timeout_error",
            "{name}"
        );
    }
    // As large as one may be, a byte at a time.
    let mut dripping = UnixStream::connect(stage.gateway.socket()).unwrap();
    let large = post.replace(
        &format!("content-length: {}", BODY.len()),
        "content-length: 33554432",
    );
    dripping.write_all(large.as_bytes()).unwrap();
    wait_until(
        || dripping.write_all(b" ").is_err(),
        "the end of a dripping body",
    );
    assert_eq!(stage.audited(1, "dripping")[0]["refused"], "timeout_error");
    stage.control("slow bodies", 1);
    stage.audited(1, "slow bodies");
    stage.end();
}

#[test]
fn idle_connections_give_way_to_others() {
    let mut stage = Stage::set(&IMPATIENT);
    let before = stage.gateway.descriptors();
    // As many as are served at a time, with and without a request before.
    let first = stage.post(BODY).replace("connection: close\r\n", "");
    let mut idle: Vec<UnixStream> = (0..64)
        .map(|_| UnixStream::connect(stage.gateway.socket()).unwrap())
        .collect();
    for stream in &mut idle[..8] {
        stream.write_all(first.as_bytes()).unwrap();
    }
    // Waits until one of them is closed.
    stage.control_after(8, "64 idle connections");
    for stream in &mut idle {
        rest(stream);
    }
    wait_until(
        || stage.gateway.descriptors() <= before,
        "closed descriptors",
    );
    stage.audited(9, "64 idle connections");
    stage.end();
}

#[test]
fn caller_that_does_not_read_holds_up_nobody_else() {
    let mut stage = Stage::set(&[]);
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let mut deaf = Vec::new();
    for _ in 0..8 {
        stage
            .service
            .play(e2e::hostile_service::Play::endless(stream, "data: x\n\n"));
        let mut caller = UnixStream::connect(stage.gateway.socket()).unwrap();
        caller
            .set_write_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        caller.write_all(stage.post(BODY).as_bytes()).unwrap();
        deaf.push(caller);
    }
    wait_until(
        || stage.service.seen_count() == 8,
        "all of them at the service",
    );
    stage.service.seen();
    stage.control("deaf callers", 3);
    stage.audited(3, "deaf callers");
    drop(deaf);
    // They pay all the same.
    for line in stage.audited(8, "deaf callers that left") {
        assert_eq!(line["status"], 200);
        assert_ne!(line["cost_usd"], 0.0);
    }
    stage.end();
}

#[test]
fn caller_that_leaves_before_the_answer_pays_for_its_request() {
    let mut stage = Stage::set(&[]);
    stage.service.play(e2e::hostile_service::Play::stall(""));
    let mut caller = UnixStream::connect(stage.gateway.socket()).unwrap();
    caller.write_all(stage.post(BODY).as_bytes()).unwrap();
    wait_until(
        || stage.service.seen_count() == 1,
        "the request at the service",
    );
    drop(caller);
    let line = stage.audited(1, "left").swap_remove(0);
    assert_eq!(line["status"], serde_json::Value::Null);
    assert_eq!(line["input_tokens"], BODY.len().div_ceil(3));
    stage.service.seen();
    stage.control("one that left", 1);
    stage.audited(1, "left");
    stage.end();
}
