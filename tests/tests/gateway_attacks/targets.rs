//! Paths and queries.

use super::stage::{BODY, Stage, lines};

#[test]
fn path_in_another_spelling_is_not_found() {
    let mut stage = Stage::set(&[]);
    let (key, length) = (stage.key(), BODY.len());
    for path in [
        "/v1/messages/",
        "//v1/messages",
        "/v1//messages",
        "/v1/./messages",
        "/v1/messages/.",
        "/v1/messages/..",
        "/v1/messages/../files",
        "/v1/x/../messages",
        "/../v1/messages",
        "/v1/%2e%2e/v1/messages",
        "/v1/%2E%2e/messages",
        "/v1%2fmessages",
        "/v1%2Fmessages",
        "/v1%5cmessages",
        "/v1/%6dessages",
        "/v1/message%73",
        "/v1/messages%00",
        "/v1/messages%0d%0ax-evil:1",
        "/v1/messages%20",
        "/v1/messages%3fbeta",
        "/v1/messages;x=1",
        "/v1;x/messages",
        "/v1/messages,x",
        "/v1/messages.json",
        "/V1/messages",
        "/v1/Messages",
        "/v1/messages/batches",
        "/v1/messages/count_tokens/",
        "/v1/messages/count_tokens/../batches",
        "/v1/files",
        "/v1/files/file_1/content",
        "/v1/skills",
        "/v1/complete",
        "/v1/organizations/me",
        "/v1/organizations/api_keys",
        "/v1/agents",
        "/v1/sessions",
        "/v1/environments",
        "/api/oauth/usage",
        "/api/hello",
        "/api/event_logging/batch",
        "/mcp",
        "/metrics",
        "/.well-known/x",
        "/v1",
        "/v1/",
    ] {
        let post = format!("POST {path} HTTP/1.1\r\n{key}content-length: {length}\r\n\r\n{BODY}");
        stage.refuses(path, post, 404, "not_found_error");
    }
    for path in [
        "/v1/models/",
        "/v1/models/..",
        "/v1/models/.",
        "/v1/models/.hidden",
        "/v1/models/a..b",
        "/v1/models/../files",
        "/v1/models/..%2ffiles",
        "/v1/models/%2e%2e%2ffiles",
        "/v1/models/a/b",
        "/v1/models/a//b",
        "/v1/models/a%00",
        "/v1/models/a;b",
        "/v1/models/a%",
        "/v1/models/a~b",
        "/v1/models/a+b",
        "//v1/models",
    ] {
        let get = format!("GET {path} HTTP/1.1\r\n{key}\r\n");
        stage.refuses(path, get, 404, "not_found_error");
    }
    let long = format!("GET /v1/models/{} HTTP/1.1\r\n{key}\r\n", "a".repeat(129));
    stage.refuses("long name", long, 404, "not_found_error");
    for path in [
        "/v1/models/a\\..\\files",
        "/v1/models/<x>",
        "/v1/models/a\"b",
        "/v1/models/a{b}",
    ] {
        let get = format!("GET {path} HTTP/1.1\r\n{key}\r\n");
        let reply = stage.gateway.send(get.as_bytes());
        assert!(matches!(reply.status(), 400 | 404), "{path}: {reply:?}");
        assert_eq!(stage.service.seen(), [""; 0], "{path}");
        stage.audited(1, path);
        stage.control(path, 1);
        stage.audited(1, path);
    }
    stage.end();
}

#[test]
fn query_that_is_not_plain_is_refused() {
    let mut stage = Stage::set(&[]);
    let (key, token) = (stage.key(), stage.gateway.token().to_owned());
    for query in [
        "a=%0d%0ax-evil:1",
        "a=%00",
        "a=%2e",
        "a=b;c=d",
        "a=/../files",
        "url=http://evil",
        "a=b?c",
        "a=b+c",
        "a[]=b",
        "a='b'",
        "a=@b",
    ] {
        let get = format!("GET /v1/models?{query} HTTP/1.1\r\n{key}\r\n");
        stage.refuses(query, get, 400, "invalid_request_error");
    }
    let long = format!("GET /v1/models?{} HTTP/1.1\r\n{key}\r\n", "a".repeat(129));
    stage.refuses("long query", long, 400, "invalid_request_error");
    // The token counts in its header only.
    for query in [
        format!("x-api-key={token}"),
        format!("token={token}"),
        format!("api_key={token}"),
    ] {
        let get = format!("GET /v1/models?{query} HTTP/1.1\r\nhost: h\r\n\r\n");
        stage.refuses(&query, get, 401, "authentication_error");
    }
    let audit = std::fs::read_to_string(stage.gateway.path("audit.jsonl")).unwrap();
    assert!(!audit.contains(&token), "queries are not written down");
    stage.end();
}

#[test]
fn target_that_passes_is_passed_as_it_is() {
    let mut stage = Stage::set(&[]);
    let key = stage.key();
    for (target, passed) in [
        ("/v1/models", "/v1/models"),
        ("/v1/models?", "/v1/models?"),
        (
            "/v1/models?limit=100&after_id=a",
            "/v1/models?limit=100&after_id=a",
        ),
        (
            "/v1/models/claude-opus-4-5@20251101",
            "/v1/models/claude-opus-4-5@20251101",
        ),
        // A fragment is the caller's own, and stays there.
        ("/v1/models#/../files", "/v1/models"),
    ] {
        let get = format!("GET {target} HTTP/1.1\r\n{key}connection: close\r\n\r\n");
        let (_, seen) = stage.passes(target, get);
        assert_eq!(lines(&seen)[0], format!("GET {passed} HTTP/1.1"));
    }
    stage.end();
}
