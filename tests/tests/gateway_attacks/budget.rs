//! Callers that want more than their budget.

use e2e::gateway_process::GatewayProcess;
use e2e::hostile_service::{HostileService, Play};

use super::stage::{BODY, Stage};

#[test]
fn requests_at_once_cannot_pass_the_budget_together() {
    // 1000 tokens of output at 5 dollars a million, 20 of input at 1.25: five of them are 0.025125.
    let mut stage = Stage::set(&["--max-cost-usd", "0.0252", "--patience-s", "2"]);
    for _ in 0..64 {
        stage.service.play(Play::stall(""));
    }
    let post = stage.post(BODY);
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| stage.gateway.send(post.as_bytes()).status()))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    // Those that were let in are not answered; the others waited for their money in vain.
    assert_eq!(replies, [504; 64]);
    let lines = stage.audited(64, "64 at once");
    let paid = lines.iter().filter(|line| line["cost_usd"] != 0.0).count();
    assert_eq!(stage.service.seen().len(), paid);
    assert!(
        (5..=10).contains(&paid),
        "5 at a time, and as many when these have cost little: {paid}"
    );
    stage.end();
}

#[test]
fn price_that_is_hidden_from_the_gateway_is_none() {
    let mut stage = Stage::set(&["--max-cost-usd", "0.01"]);
    for (body, status, kind) in [
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":2000}"#,
            403,
            "budget_exceeded",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":18446744073709551615}"#,
            403,
            "budget_exceeded",
        ),
        (
            r#"{"model":"claude-haiku-4-5"}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":null}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"max_tokens":9999}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"Max_Tokens":9999}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"max_\u0074okens":9999}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","model":"claude-opus-4-1","max_tokens":1}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"speed":"fast"}"#,
            400,
            "invalid_request_error",
        ),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"inference_geo":"us"}"#,
            400,
            "invalid_request_error",
        ),
        // Dearer models under names that are like cheaper ones.
        (
            r#"{"model":"claude-opus-4-1-haiku-4-5","max_tokens":1000}"#,
            403,
            "budget_exceeded",
        ),
        (
            r#"{"model":"\u0063laude-opus-4-1","max_tokens":1000}"#,
            403,
            "budget_exceeded",
        ),
        (
            r#"{"model":" claude-opus-4-1","max_tokens":1000}"#,
            403,
            "budget_exceeded",
        ),
        (
            r#"{"model":"CLAUDE-HAIKU-4-5","max_tokens":1000}"#,
            403,
            "budget_exceeded",
        ),
        (r#"{"model":"","max_tokens":1000}"#, 403, "budget_exceeded"),
    ] {
        let reply = stage.gateway.send(stage.post(body).as_bytes());
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (status, Some(kind)),
            "{body}: {reply:?}"
        );
        assert_eq!(stage.service.seen(), [""; 0], "{body}");
        assert_eq!(stage.audited(1, body)[0]["refused"], kind, "{body}");
    }
    // A cache for an hour makes 7,300 bytes of input cost 4,900 microdollars instead of 3,050.
    let cached = |ttl: &str| {
        let text = "a".repeat(7_200);
        format!(
            r#"{{"model":"claude-haiku-4-5","max_tokens":1200,"system":[{{"text":"{text}","cache_control":{{"ttl":"{ttl}"}}}}]}}"#
        )
    };
    let dear = stage.gateway.send(stage.post(&cached("1h")).as_bytes());
    assert_eq!(dear.kind().as_deref(), Some("budget_exceeded"), "{dear:?}");
    let usual = stage.gateway.send(stage.post(&cached("5m")).as_bytes());
    assert_eq!(usual.status(), 200, "{usual:?}");
    stage.service.seen();
    stage.audited(2, "caches");
    stage.control("all of these", 1);
    stage.audited(1, "all of these");
    stage.end();
}

#[test]
fn answer_that_costs_far_more_than_it_may_ends_the_budget() {
    let service = HostileService::start();
    let gateway = GatewayProcess::start(&service.url(), &["--max-cost-usd", "1"]);
    let post = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        gateway.token(),
        BODY.len()
    );
    let end =
        "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":18446744073709551615}}\n\n";
    service.play(Play::events(end));
    assert_eq!(gateway.send(post.as_bytes()).status(), 200);
    gateway.audited(1);
    for _ in 0..2 {
        let reply = gateway.send(post.as_bytes());
        assert_eq!(
            reply.kind().as_deref(),
            Some("budget_exceeded"),
            "{reply:?}"
        );
    }
    assert_eq!(service.seen().len(), 1);
    let last = gateway.terminate().unwrap();
    assert_eq!(last["requests"], 3);
}
