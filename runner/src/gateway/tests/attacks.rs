//! Requests made to get around the gateway: refused, and the service sees nothing.

use super::stage::{BODY, Stage, answer, status};

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
    let request = stage.post(BODY);
    let bare = request.replace(stage.gateway.token(), "another");
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
async fn tools_of_the_service_are_refused() {
    let stage = stage().await;
    let body = r#"{"model":"m","tools":[{"type":"web_fetch_20250910","name":"f"}]}"#;
    let reply = stage.send(&stage.post(body)).await;
    assert_eq!(status(&reply), 400);
    assert!(
        reply.contains("`web_fetch_20250910` would act outside"),
        "{reply}"
    );
    assert_eq!(stage.seen().len(), 0);
}
