//! Where a request ends: lengths, chunks, and what comes behind.

use super::stage::{BODY, Stage, lines};

#[test]
fn body_without_one_plain_length_is_refused() {
    let mut stage = Stage::set(&[]);
    let (key, length) = (stage.key(), BODY.len());
    let with = |headers: &str, body: &str| {
        format!("POST /v1/messages HTTP/1.1\r\n{key}{headers}\r\n\r\n{body}")
    };
    let chunked = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let no_length = [
        ("no length", with("x-app: x", "")),
        ("chunks", with("transfer-encoding: chunked", &chunked)),
        (
            "chunks in capitals",
            with("Transfer-Encoding: CHUNKED", &chunked),
        ),
        (
            "length, then chunks",
            with(
                &format!("content-length: {length}\r\ntransfer-encoding: chunked"),
                "0\r\n\r\n",
            ),
        ),
        (
            "chunks, then length",
            with(
                &format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
                "0\r\n\r\n",
            ),
        ),
        (
            "chunks twice",
            with(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
                &chunked,
            ),
        ),
        (
            "chunks within chunks",
            with("transfer-encoding: chunked, chunked", &chunked),
        ),
        (
            "compressed chunks",
            with("transfer-encoding: gzip, chunked", &chunked),
        ),
        (
            "size that is no number",
            with("transfer-encoding: chunked", "zz\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "size below 0",
            with("transfer-encoding: chunked", "-1\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "size with a prefix",
            with("transfer-encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "size beyond numbers",
            with("transfer-encoding: chunked", "fffffffffffffffff\r\n"),
        ),
        (
            "endless size",
            with("transfer-encoding: chunked", &"0".repeat(1 << 16)),
        ),
        (
            "endless extension",
            with(
                "transfer-encoding: chunked",
                &format!("5;{}", "a".repeat(1 << 16)),
            ),
        ),
        (
            "extension with a line feed",
            with("transfer-encoding: chunked", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "chunk without an end",
            with("transfer-encoding: chunked", "5\r\nhelloX0\r\n\r\n"),
        ),
        (
            "trailers",
            with(
                "transfer-encoding: chunked",
                &format!("{length:x}\r\n{BODY}\r\n0\r\nx-api-key: x\r\n\r\n"),
            ),
        ),
        (
            "endless trailers",
            with(
                "transfer-encoding: chunked",
                &format!("0\r\n{}", "x: y\r\n".repeat(1 << 14)),
            ),
        ),
    ];
    for (name, raw) in no_length {
        stage.refuses(name, raw, 411, "invalid_request_error");
    }
    for (name, raw, status) in [
        (
            "chunks that are not the last encoding",
            with("transfer-encoding: chunked, gzip", &chunked),
            400,
        ),
        (
            "another encoding",
            with("transfer-encoding: gzip", "x"),
            400,
        ),
        (
            "no encoding by name",
            with("transfer-encoding: identity", BODY),
            400,
        ),
        (
            "encoding with a dot",
            with("transfer-encoding: .chunked", &chunked),
            400,
        ),
        (
            "encoding with a tab",
            with("transfer-encoding: \x0bchunked", &chunked),
            400,
        ),
        (
            "two lengths",
            with(
                &format!("content-length: {length}\r\ncontent-length: 1"),
                BODY,
            ),
            400,
        ),
        (
            "lengths in a list",
            with(&format!("content-length: {length}, {length}"), BODY),
            400,
        ),
        ("signed length", with("content-length: +3", "abc"), 400),
        ("length below 0", with("content-length: -1", BODY), 400),
        (
            "length in hexadecimals",
            with("content-length: 0x3", "abc"),
            400,
        ),
        (
            "length with a space",
            with("content-length: 3 3", "abc"),
            400,
        ),
        (
            "length beyond numbers",
            with("content-length: 99999999999999999999", ""),
            400,
        ),
        (
            "length that is no number",
            with("content-length: x", BODY),
            400,
        ),
        ("empty length", with("content-length:", BODY), 400),
    ] {
        stage.breaks_off(name, raw, status);
    }
    let large = with("content-length: 33554433", "");
    stage.refuses("a byte too large", large, 413, "request_too_large");
    let far = with("content-length: 18446744073709551614", "");
    stage.breaks_off("far too large", far, 431);
    stage.end();
}

#[test]
fn same_length_twice_is_one() {
    let mut stage = Stage::set(&[]);
    let length = format!("content-length: {}", BODY.len());
    let (_, seen) = stage.passes("twice", stage.post_with(&length));
    assert_eq!(lines(&seen), stage.in_order());
    stage.end();
}

#[test]
fn body_of_another_length_than_announced_is_no_request() {
    let mut stage = Stage::set(&[]);
    // More than announced: the rest is not another request, since the connection is asked to end.
    let post = format!("{}{}", stage.post(BODY), stage.post(BODY));
    let (reply, seen) = stage.passes("more behind the last", post);
    assert_eq!(reply.text.matches("HTTP/1.1 ").count(), 1);
    assert_eq!(lines(&seen), stage.in_order());
    // Half of the announced: no JSON.
    let half = stage.post(BODY).replace(
        &format!("content-length: {}", BODY.len()),
        &format!("content-length: {}", BODY.len() / 2),
    );
    stage.refuses("half", half, 400, "invalid_request_error");
    stage.end();
}

#[test]
fn each_request_in_a_row_is_judged_by_itself() {
    let mut stage = Stage::set(&[]);
    let last = stage.post(BODY);
    let first = last.replace("connection: close\r\n", "");
    let token = stage.gateway.token().to_owned();

    let reply = stage
        .gateway
        .send(format!("{first}{first}{last}").as_bytes());
    assert_eq!(reply.text.matches("HTTP/1.1 200").count(), 3, "{reply:?}");
    assert_eq!(stage.service.seen().len(), 3);
    stage.audited(3, "three in a row");

    for (name, second, answer) in [
        (
            "without the token",
            last.replace(&token, "guess"),
            "HTTP/1.1 401",
        ),
        (
            "to another path",
            last.replace("/messages", "/files"),
            "HTTP/1.1 404",
        ),
        ("no HTTP", "garbage\r\n\r\n".to_owned(), "HTTP/1.1 400"),
    ] {
        let reply = stage
            .gateway
            .send(format!("{first}{second}{last}").as_bytes());
        assert_eq!(reply.status(), 200, "{name}: {reply:?}");
        assert!(reply.text.contains(answer), "{name}: {reply:?}");
        // The third one is not read.
        assert_eq!(
            reply.text.matches("HTTP/1.1 ").count(),
            2,
            "{name}: {reply:?}"
        );
        assert_eq!(stage.service.seen().len(), 1, "{name}");
        stage.audited(2, name);
        stage.control(name, 1);
        stage.audited(1, name);
    }
    // Within the body of a refused one.
    let hidden = format!(
        "POST /v1/files HTTP/1.1\r\n{}content-length: 0\r\n\r\n{last}",
        stage.key()
    );
    stage.refuses("behind a refused one", hidden, 404, "not_found_error");
    let hidden = format!(
        "POST /v1/messages HTTP/1.1\r\n{}transfer-encoding: chunked\r\n\r\n0\r\n\r\n{last}",
        stage.key()
    );
    stage.refuses("behind a last chunk", hidden, 411, "invalid_request_error");
    stage.end();
}

#[test]
fn head_may_come_in_any_pieces() {
    use std::io::Write;
    let mut stage = Stage::set(&[]);
    let mut stream = std::os::unix::net::UnixStream::connect(stage.gateway.socket()).unwrap();
    for byte in stage.post(BODY).as_bytes().chunks(1) {
        stream.write_all(byte).unwrap();
    }
    let reply = e2e::gateway_process::rest(&mut stream);
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert_eq!(lines(&stage.service.seen()[0]), stage.in_order());
    stage.audited(1, "byte by byte");
    stage.end();
}
