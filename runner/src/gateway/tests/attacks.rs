//! Requests made to get around the gateway: refused, and the service sees nothing.

use super::stage::{BODY, SECRET, Setting, Stage, answer, status};

async fn stage() -> Stage {
    Stage::with(vec![answer(200, &[], "{}")]).await
}

#[tokio::test]
async fn attacks_on_the_framing_do_not_reach_the_service() {
    let stage = stage().await;
    let key = format!(
        "host: localhost\r\nx-api-key: {}\r\n",
        stage.gateway.token()
    );
    let length = BODY.len();
    let big = "a".repeat(100 * 1024);
    let many = "x-app: 1\r\n".repeat(100);
    let attacks = [
        (
            "both framings",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400..500,
        ),
        (
            "both framings, other order",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n"
            ),
            400..500,
        ),
        (
            "two lengths",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: {length}\r\ncontent-length: 1\r\n\r\n{BODY}"
            ),
            400..500,
        ),
        (
            "two hosts",
            format!(
                "POST /v1/messages HTTP/1.1\r\nhost: evil\r\n{key}content-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "absolute form",
            format!(
                "POST http://evil/v1/messages HTTP/1.1\r\n{key}content-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "connect",
            format!("CONNECT evil:443 HTTP/1.1\r\n{key}\r\n"),
            400..405,
        ),
        (
            "upgrade",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}connection: upgrade\r\nupgrade: h2c\r\ncontent-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "line break in a header",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}x-app: a\rb\r\ncontent-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "null in a header",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}x-app: a\0b\r\ncontent-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "null in the path",
            format!("GET /v1/models/a\0b HTTP/1.1\r\n{key}\r\n"),
            400..401,
        ),
        (
            "escaped dots",
            format!(
                "POST /v1/%2e%2e/v1/messages HTTP/1.1\r\n{key}content-length: {length}\r\n\r\n{BODY}"
            ),
            404..405,
        ),
        (
            "escaped null",
            format!("GET /v1/models/a%00 HTTP/1.1\r\n{key}\r\n"),
            404..405,
        ),
        (
            "dots",
            format!(
                "POST /v1/messages/../files HTTP/1.1\r\n{key}content-length: {length}\r\n\r\n{BODY}"
            ),
            404..405,
        ),
        (
            "two slashes",
            format!("POST //v1/messages HTTP/1.1\r\n{key}content-length: {length}\r\n\r\n{BODY}"),
            404..405,
        ),
        (
            "big header",
            format!("POST /v1/messages HTTP/1.1\r\n{key}x-app: {big}\r\n\r\n"),
            431..432,
        ),
        (
            "big target",
            format!("GET /v1/models/{big} HTTP/1.1\r\n{key}\r\n"),
            400..432,
        ),
        (
            "many headers",
            format!("POST /v1/messages HTTP/1.1\r\n{key}{many}\r\n"),
            431..432,
        ),
        (
            "old version",
            format!("GET /v1/models HTTP/1.0\r\n{key}\r\n"),
            400..401,
        ),
        (
            "announced too large",
            format!("POST /v1/messages HTTP/1.1\r\n{key}content-length: 33554433\r\n\r\n"),
            413..414,
        ),
        (
            "endless chunks",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}transfer-encoding: chunked\r\n\r\nffffffff\r\n"
            ),
            411..412,
        ),
        (
            "encodings in a row",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n"
            ),
            400..500,
        ),
        (
            "space before the colon",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}transfer-encoding : chunked\r\ncontent-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "folded header",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}x-app: a\r\n b\r\ncontent-length: {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "signed length",
            format!("POST /v1/messages HTTP/1.1\r\n{key}content-length: +3\r\n\r\nabc"),
            400..401,
        ),
        (
            "length beyond numbers",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: 99999999999999999999\r\n\r\n"
            ),
            400..414,
        ),
        (
            "lengths in a list",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: {length}, {length}\r\n\r\n{BODY}"
            ),
            400..401,
        ),
        (
            "no host",
            format!(
                "GET /v1/models HTTP/1.1\r\nx-api-key: {}\r\n\r\n",
                stage.gateway.token()
            ),
            400..401,
        ),
        (
            "websocket",
            format!(
                "GET /v1/models HTTP/1.1\r\n{key}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
            400..401,
        ),
        (
            "HTTP/2 without asking",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            0..401,
        ),
        (
            "all of the server",
            format!("OPTIONS * HTTP/1.1\r\n{key}\r\n"),
            404..405,
        ),
        (
            "trace",
            format!("TRACE /v1/messages HTTP/1.1\r\n{key}\r\n"),
            404..405,
        ),
        (
            "escaped letter",
            format!("GET /v1/model%73 HTTP/1.1\r\n{key}\r\n"),
            404..405,
        ),
        (
            "escaped slash",
            format!("GET /v1/models/..%2ffiles HTTP/1.1\r\n{key}\r\n"),
            404..405,
        ),
        (
            "backslash",
            format!("GET /v1/models/..\\files HTTP/1.1\r\n{key}\r\n"),
            400..405,
        ),
        (
            "line break in the query",
            format!("GET /v1/models?a=%0d%0ax-evil:1 HTTP/1.1\r\n{key}\r\n"),
            400..401,
        ),
        (
            "body where none belongs",
            format!("GET /v1/models HTTP/1.1\r\n{key}content-length: 5\r\n\r\nhello"),
            400..401,
        ),
        (
            "compressed",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-encoding: gzip\r\ncontent-length: 6\r\n\r\n\u{1f}\u{7f}\u{8}\0\0\0"
            ),
            400..401,
        ),
        (
            "byte order mark",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: {}\r\n\r\n\u{feff}{BODY}",
                length + 3
            ),
            400..401,
        ),
        (
            "two bodies in one",
            format!(
                "POST /v1/messages HTTP/1.1\r\n{key}content-length: {}\r\n\r\n{BODY}{BODY}",
                2 * length
            ),
            400..401,
        ),
        (
            "not JSON",
            format!("POST /v1/messages HTTP/1.1\r\n{key}content-length: 3\r\n\r\nabc"),
            400..401,
        ),
    ];
    for (name, raw, expected) in attacks {
        let reply = stage.send(&raw).await;
        assert!(expected.contains(&status(&reply)), "{name}: {reply}");
        assert_eq!(stage.seen().len(), 0, "{name}");
    }
    // The control: the same service does see a request that is in order.
    assert_eq!(status(&stage.send(&stage.post(BODY)).await), 200);
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn second_request_behind_the_first_needs_the_token_of_its_own() {
    let stage = stage().await;
    let last = stage.post(BODY);
    let request = last.replace("connection: close\r\n", "");
    let bare = last.replace(stage.gateway.token(), "another");
    let reply = stage.send(&format!("{request}{bare}")).await;
    assert_eq!(status(&reply), 200);
    assert!(reply.contains("HTTP/1.1 401"), "{reply}");
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn missing_and_wrong_tokens_are_unauthorized() {
    let (stage, other) = (stage().await, stage().await);
    let right = stage.post(BODY);
    let token = stage.gateway.token();
    for wrong in [
        right.replace(&format!("x-api-key: {token}\r\n"), ""),
        right.replace(token, "autoclave-guess"),
        right.replace(token, other.gateway.token()),
    ] {
        let reply = stage.send(&wrong).await;
        assert_eq!(status(&reply), 401, "{reply}");
        assert!(reply.contains("\"type\":\"authentication_error\""));
    }
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn request_behind_a_refused_one_is_not_read() {
    let stage = stage().await;
    let last = stage.post(BODY);
    let refused = last
        .replace("connection: close\r\n", "")
        .replace("/v1/messages", "/v1/files");
    let reply = stage.send(&format!("{refused}{last}")).await;
    assert_eq!(status(&reply), 404);
    assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{reply}");
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn nothing_of_the_callers_credentials_or_route_reaches_the_service() {
    let stage = stage().await;
    let odd = "\
        Authorization: Bearer stolen\r\n\
        proxy-authorization: Basic stolen\r\n\
        cookie: session=stolen\r\n\
        x-goog-api-key: stolen\r\n\
        x-amz-security-token: stolen\r\n\
        anthropic-organization-id: stolen\r\n\
        x-forwarded-for: 10.0.0.1\r\n\
        x-forwarded-host: evil\r\n\
        x-original-url: /v1/files\r\n\
        x-http-method-override: DELETE\r\n\
        forwarded: host=evil\r\n\
        via: 1.1 evil\r\n\
        te: trailers\r\n\
        expect: 100-continue\r\n\
        content-type: application/json; charset=utf-7\r\n";
    let request = stage.post(BODY).replacen(
        "\r\ncontent-type: application/json\r\n",
        &format!("\r\n{odd}"),
        1,
    );
    let reply = stage.send(&request).await;
    assert!(reply.contains("HTTP/1.1 200"), "{reply}");
    let seen = stage.seen();
    let mut headers: Vec<String> = seen[0]
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .filter(|header| !header.starts_with("host: 127.0.0.1:"))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            format!("content-length: {}", BODY.len()),
            "content-type: application/json".to_owned(),
            format!("x-api-key: {SECRET}"),
        ]
    );
}

#[tokio::test]
async fn host_of_the_caller_decides_nothing() {
    let stage = stage().await;
    let request = stage
        .post(BODY)
        .replace("host: localhost", "host: evil.example:1");
    assert_eq!(status(&stage.send(&request).await), 200);
    let seen = stage.seen();
    let host = seen[0].headers["host"].to_str().unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
}

#[tokio::test]
async fn answer_that_is_no_http_is_a_bad_gateway() {
    for raw in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "",
    ] {
        let stage = Stage::raw(Setting::default(), raw, false).await;
        let reply = stage.send(&stage.post(BODY)).await;
        assert_eq!(status(&reply), 502, "{raw}: {reply}");
    }
}

#[tokio::test]
async fn truncated_answer_is_not_passed_off_as_whole() {
    let raw = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100\r\n\r\ndata: {}\n\n";
    let stage = Stage::raw(Setting::default(), raw, false).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert!(reply.contains("content-length: 100"), "{reply}");
    assert!(
        reply.split("\r\n\r\n").nth(1).unwrap().len() < 100,
        "{reply}"
    );
    assert_eq!(stage.audited()[0]["input_tokens"], BODY.len().div_ceil(3));
}

#[tokio::test]
async fn tools_of_the_service_are_refused() {
    let stage = stage().await;
    let cases = [
        (
            r#"{"model":"m","tools":[{"type":"web_fetch_20250910","name":"f"}]}"#,
            "`web_fetch_20250910` would act outside",
        ),
        (
            r#"{"model":"m","to\u006fls":[{"\u0074ype":"web\u005fsearch_1"}]}"#,
            "`web_search_1` would act outside",
        ),
        (
            r#"{"model":"m","tools":[{"type":"custom","type":"web_search_1"}]}"#,
            "duplicate field `type`",
        ),
        (
            r#"{"model":"m","tools":null,"tools":[{"type":"web_search_1"}]}"#,
            "duplicate field `tools`",
        ),
        (
            r#"{"model":"m","messages":[],"messages":[{"content":[{"type":"image","source":{"type":"url"}}]}]}"#,
            "duplicate field `messages`",
        ),
        (
            r#"{"model":"m","messages":[{"content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url"}}]}}]}]}]}"#,
            "`image by url` would act outside",
        ),
        (
            r#"{"model":"m","system":[{"type":"document","source":{"type":"file","file_id":"f"}}]}"#,
            "`document by file` would act outside",
        ),
        (
            r#"{"model":"m","mcp_servers":[{"type":"url","url":"https://evil"}]}"#,
            "`mcp_servers` would act outside",
        ),
        (
            r#"{"model":"m","tools":{"type":"web_search_1"}}"#,
            "the body is no messages request",
        ),
    ];
    for (body, message) in cases {
        let reply = stage.send(&stage.post(body)).await;
        assert_eq!(status(&reply), 400, "{body}");
        assert!(reply.contains(message), "{body}: {reply}");
        assert_eq!(stage.seen().len(), 0, "{body}");
    }
}

#[tokio::test]
async fn body_counts_against_the_room_for_all_until_its_answer_has_ended() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100\r\n\r\ndata";
    let stage = Stage::raw(Setting::default(), head, true).await;
    let free = || stage.gateway.proxy.held_kib.available_permits();
    let all = free();
    let body = format!(r#"{{"model":"m","system":"{}"}}"#, "a".repeat(9_000));
    let mut caller = stage.open(stage.post(&body).as_bytes()).await;
    let mut answer = String::new();
    while !answer.ends_with("data") {
        let mut piece = [0; 1024];
        let count = tokio::io::AsyncReadExt::read(&mut caller, &mut piece).await;
        answer.push_str(std::str::from_utf8(&piece[..count.unwrap()]).unwrap());
    }
    assert_eq!(free(), all - 9);
    drop(caller);
    // Settled when the gateway has noticed.
    while free() != all {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.audited().len(), 1);
}
