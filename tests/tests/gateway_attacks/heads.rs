//! Request lines and headers.

use super::stage::{BODY, Stage, lines};

const HEADER: &str = "a header";

#[test]
fn head_that_is_no_http_is_not_interpreted() {
    let mut stage = Stage::set(&[]);
    let key = stage.key();
    let token = stage.gateway.token().to_owned();
    for (name, raw, status) in [
        (
            "line feed in the target",
            format!("GET /v1/models\nx: HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "return in the target",
            format!("GET /v1/models\rx HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "null in the target",
            format!("GET /v1/models/a\0b HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "null in the method",
            format!("G\0T /v1/models HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "space in the target",
            format!("GET /v1/models /x HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "tab behind the method",
            format!("GET\t/v1/models HTTP/1.1\r\n{key}\r\n"),
            400,
        ),
        ("no target", format!("GET HTTP/1.1\r\n{key}\r\n"), 400),
        ("no version", format!("GET /v1/models\r\n{key}\r\n"), 400),
        (
            "unknown version",
            format!("GET /v1/models HTTP/1.2\r\n{key}\r\n"),
            400,
        ),
        (
            "second version",
            format!("GET /v1/models HTTP/2.0\r\n{key}\r\n"),
            400,
        ),
        (
            "lower-case version",
            format!("GET /v1/models http/1.1\r\n{key}\r\n"),
            400,
        ),
        (
            "empty name",
            format!("GET /v1/models HTTP/1.1\r\n{key}: x\r\n\r\n"),
            400,
        ),
        (
            "name with a space",
            format!("GET /v1/models HTTP/1.1\r\n{key}x app: x\r\n\r\n"),
            400,
        ),
        (
            "space before the colon",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app : x\r\n\r\n"),
            400,
        ),
        (
            "no colon",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app\r\n\r\n"),
            400,
        ),
        (
            "null in a name",
            format!("GET /v1/models HTTP/1.1\r\n{key}x\0app: x\r\n\r\n"),
            400,
        ),
        (
            "null in a value",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app: a\0b\r\n\r\n"),
            400,
        ),
        (
            "return in a value",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app: a\rb\r\n\r\n"),
            400,
        ),
        (
            "bell in a value",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app: a\x07b\r\n\r\n"),
            400,
        ),
        (
            "folded header",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-app: a\r\n b\r\n\r\n"),
            400,
        ),
        (
            "folded first header",
            format!("GET /v1/models HTTP/1.1\r\n {key}\r\n"),
            400,
        ),
        (
            "folded token",
            format!("GET /v1/models HTTP/1.1\r\nhost: h\r\nx-api-key:\r\n {token}\r\n\r\n"),
            400,
        ),
        (
            "other letters in a name",
            format!("GET /v1/models HTTP/1.1\r\n{key}x-äpp: x\r\n\r\n"),
            400,
        ),
        (
            "TLS",
            "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03 \r\n\r\n".to_owned(),
            400,
        ),
        (
            "endless header",
            format!(
                "GET /v1/models HTTP/1.1\r\n{key}x-app: {}",
                "a".repeat(1 << 20)
            ),
            431,
        ),
        (
            "endless name",
            format!("GET /v1/models HTTP/1.1\r\n{key}{}", "a".repeat(1 << 20)),
            431,
        ),
        (
            "endless target",
            format!("GET /{}", "a".repeat(1 << 20)),
            431,
        ),
        ("endless method", "A".repeat(1 << 20), 431),
        (
            "endless headers",
            format!(
                "GET /v1/models HTTP/1.1\r\n{key}{}",
                "x-app: x\r\n".repeat(1 << 15)
            ),
            431,
        ),
        (
            "65 headers",
            format!(
                "GET /v1/models HTTP/1.1\r\n{key}{}\r\n",
                "x-app: x\r\n".repeat(63)
            ),
            431,
        ),
        // The library knows the beginning of HTTP/2, and hangs up.
        (
            "HTTP/2 without asking",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            0,
        ),
    ] {
        stage.breaks_off(name, raw, status);
    }
    stage.end();
}

#[test]
fn head_that_asks_for_more_than_the_messages_api_is_refused_by_name() {
    let mut stage = Stage::set(&[]);
    let (key, length) = (stage.key(), BODY.len());
    let token = stage.gateway.token().to_owned();
    let head = |first: &str, more: &str| format!("{first} HTTP/1.1\r\n{key}{more}\r\n");
    let models = |more: &str| head("GET /v1/models", more);
    for (name, raw) in [
        ("absolute form", head("GET http://evil/v1/models", "")),
        (
            "absolute form of ourselves",
            head("GET http://localhost/v1/models", ""),
        ),
        (
            "absolute form with TLS",
            head("GET https://evil:1/v1/models", ""),
        ),
        ("two hosts", models("host: evil\r\n")),
        ("two hosts alike", models("host: localhost\r\n")),
        (
            "no host",
            format!("GET /v1/models HTTP/1.1\r\nx-api-key: {token}\r\n\r\n"),
        ),
        (
            "websocket",
            models(
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            ),
        ),
        (
            "HTTP/2 by upgrade",
            models(
                "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
            ),
        ),
        (
            "upgrade without a connection header",
            models("upgrade: h2c\r\n"),
        ),
        (
            "upgrade to TLS",
            models("connection: upgrade\r\nupgrade: TLS/1.2\r\n"),
        ),
        (
            "old version",
            format!("GET /v1/models HTTP/1.0\r\n{key}\r\n"),
        ),
        (
            "body where none belongs",
            format!("GET /v1/models HTTP/1.1\r\n{key}content-length: 5\r\n\r\nhello"),
        ),
        (
            "tunnel to the service's port",
            head("CONNECT 127.0.0.1:80", ""),
        ),
        ("tunnel to a host", head("CONNECT evil:443", "")),
    ] {
        stage.refuses(name, raw, 400, "invalid_request_error");
    }
    for method in [
        "TRACE", "OPTIONS", "PUT", "DELETE", "PATCH", "HEAD", "get", "Post", "PROPFIND", "X",
    ] {
        let raw = head(
            &format!("{method} /v1/messages"),
            &format!("content-length: {length}\r\n"),
        );
        // A HEAD is answered without a body.
        if method == "HEAD" {
            let reply = stage.gateway.send(raw.as_bytes());
            assert_eq!(reply.status(), 404, "{reply:?}");
            assert_eq!(stage.audited(1, method)[0]["refused"], "not_found_error");
            assert_eq!(stage.service.seen(), [""; 0]);
        } else {
            stage.refuses(method, raw, 404, "not_found_error");
        }
    }
    for (name, raw) in [
        ("all of the server", head("OPTIONS *", "")),
        ("get of messages", head("GET /v1/messages", "")),
        (
            "post of models",
            head("POST /v1/models", "content-length: 2\r\n\r\n{}"),
        ),
        (
            "post of the probe",
            head("POST /", "content-length: 2\r\n\r\n{}"),
        ),
    ] {
        stage.refuses(name, raw, 404, "not_found_error");
    }
    // As much of each as the library takes.
    let big = "a".repeat(63 * 1024);
    stage.refuses(
        "large in sum",
        models(&format!(
            "x-app: {big}\r\nx-stainless-a: {}\r\n",
            "a".repeat(1200)
        )),
        431,
        "request_too_large",
    );
    stage.end();
}

#[test]
fn headers_that_are_not_meant_for_the_service_do_not_get_there() {
    let mut stage = Stage::set(&[]);
    for header in [
        "connection: x-api-key, content-type",
        "connection: keep-alive, host",
        "keep-alive: timeout=1000",
        "proxy-connection: keep-alive",
        "te: trailers, deflate",
        "trailer: x-api-key",
        "via: 1.1 evil",
        "forwarded: for=1.2.3.4;host=evil;proto=https",
        "x-forwarded-for: 1.2.3.4",
        "x-forwarded-host: evil",
        "x-original-url: /v1/files",
        "x-rewrite-url: /v1/files",
        "x-http-method-override: DELETE",
        "x-method-override: DELETE",
        "accept-encoding: gzip, br",
        "content-encoding: gzip",
        "content-md5: 00",
        "content-range: bytes 0-1/2",
        "range: bytes=0-1",
        "if-none-match: *",
        "origin: http://evil",
        "referer: http://evil",
        "anthropic-organization-id: another",
        "anthropic-workspace-id: another",
        "anthropic-admin: 1",
        "x-stainless: 1",
        "x-amz-date: 1",
        "max-forwards: 0",
    ] {
        let (_, seen) = stage.passes(header, stage.post_with(header));
        assert_eq!(lines(&seen), stage.in_order(), "{header}");
    }
    // Answered here, before the body is read.
    let reply = stage
        .gateway
        .send(stage.post_with("expect: 100-continue").as_bytes());
    let answer = reply.text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n");
    assert!(
        answer.unwrap().starts_with("HTTP/1.1 200 OK\r\n"),
        "{reply:?}"
    );
    assert_eq!(lines(&stage.service.seen()[0]), stage.in_order());
    stage.audited(1, "expect");
    stage.end();
}

#[test]
fn headers_that_pass_come_alone() {
    let mut stage = Stage::set(&[]);
    for header in [
        "accept: application/json",
        "anthropic-version: 2023-06-01",
        "user-agent: claude-cli/2.1 (external)",
        "x-stainless-os: Linux",
        "anthropic-beta: mcp-client-2025-11-20,files-api-2025-04-14",
    ] {
        let (_, seen) = stage.passes(header, stage.post_with(header));
        let mut expected = stage.in_order();
        let last = expected.len() - 1;
        expected.insert(last, header.to_owned());
        expected[1..=last].sort();
        assert_eq!(lines(&seen), expected, "{header}");
    }
    // Taken apart and put together: nothing but names and commas is left.
    let betas = "anthropic-beta: a-1,, b-2 ,oauth-2025-04-20\r\nanthropic-beta: \u{e4}\r\nanthropic-beta: c-3";
    let (_, seen) = stage.passes(HEADER, stage.post_with(betas));
    assert!(
        seen.contains("\r\nanthropic-beta: a-1,b-2,c-3\r\n"),
        "{seen}"
    );
    assert_eq!(seen.matches("anthropic-beta").count(), 1);
    // Only the media type that the body was read as.
    for kind in [
        "application/json; charset=utf-7",
        "text/html",
        "application/x-www-form-urlencoded",
    ] {
        let post = stage.post(BODY).replace(
            "content-type: application/json",
            &format!("content-type: {kind}"),
        );
        let (_, seen) = stage.passes(kind, post);
        assert_eq!(lines(&seen), stage.in_order(), "{kind}");
    }
    stage.end();
}
