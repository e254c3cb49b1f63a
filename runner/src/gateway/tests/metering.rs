//! What is counted, and what the budget stops.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::stage::{BODY, SECRET, Setting, Stage, answer, status};
use crate::model::{Cost, Usage};

const STREAM: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-haiku-4-5\",\"usage\":",
    "{\"input_tokens\":100,\"cache_creation_input_tokens\":2000,\"cache_read_input_tokens\":30000,\"output_tokens\":1}}}\n\n",
    "event: message_delta\n",
    "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":400}}\n\n",
);
/// 100 + 2000 x 1.25 + 30000 x 0.1 at 1 dollar, 400 at 5 dollars a million.
const COUNTED: Usage = Usage {
    turns: 1,
    input_tokens: 32_100,
    output_tokens: 400,
    cost_usd: Cost::ZERO,
};

fn counted() -> Usage {
    Usage {
        cost_usd: Cost::from_microdollars(7_600),
        ..COUNTED
    }
}

fn streamed() -> hyper::Response<crate::gateway::reply::ReplyBody> {
    answer(200, &[("content-type", "text/event-stream")], STREAM)
}

#[tokio::test]
async fn stream_is_counted_and_audited() {
    let stage = Stage::with(vec![streamed()]).await;
    let mark = stage.gateway.metered().usage;
    let reply = stage.send(&stage.post(BODY)).await;
    assert!(reply.contains("\"output_tokens\":400"), "{reply}");
    assert_eq!(stage.gateway.metered().usage.since(mark), counted());
    assert_eq!(stage.gateway.metered().requests, 1);
    assert_eq!(stage.gateway.metered().last_status, Some(200));
    let text = std::fs::read_to_string(&stage.audit).unwrap();
    assert!(!text.contains(SECRET) && !text.contains(stage.gateway.token()));
    let mut line: Value = serde_json::from_str(&text).unwrap();
    line["at_ms"] = json!(0);
    line["ms"] = json!(0);
    let expected = json!({
        "at_ms": 0, "method": "POST", "path": "/v1/messages", "model": "claude-haiku-4-5",
        "status": 200, "input_tokens": 32_100, "output_tokens": 400, "cost_usd": 0.0076,
        "ms": 0, "refused": null,
    });
    assert_eq!(line, expected);
}

#[tokio::test]
async fn whole_answer_is_counted() {
    let body = r#"{"model":"claude-haiku-4-5","usage":{"input_tokens":1000,"output_tokens":100}}"#;
    let stage = Stage::with(vec![answer(
        200,
        &[("content-type", "application/json")],
        body,
    )])
    .await;
    stage.send(&stage.post(BODY)).await;
    let expected = Usage {
        turns: 1,
        input_tokens: 1000,
        output_tokens: 100,
        cost_usd: Cost::from_microdollars(1_500),
    };
    assert_eq!(stage.gateway.metered().usage, expected);
}

#[tokio::test]
async fn used_up_budget_refuses_further_requests() {
    let setting = Setting {
        max_cost: Some(Cost::from_microdollars(7_600)),
        ..Setting::default()
    };
    let stage = Stage::set(setting, vec![streamed(), streamed()]).await;
    assert_eq!(status(&stage.send(&stage.post(BODY)).await), 200);
    assert!(!stage.gateway.metered().budget_exceeded);
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 403);
    assert!(reply.contains("\"type\":\"budget_exceeded\""), "{reply}");
    assert!(stage.gateway.metered().budget_exceeded);
    assert_eq!(stage.gateway.metered().usage, counted());
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn request_that_may_pass_the_budget_is_refused_before_it_is_sent() {
    // 1000 tokens of output at 5 dollars a million, 20 of input at 1.25.
    let worst = 5_000 + 25;
    for (max, expected) in [(worst, 200), (worst - 1, 403)] {
        let setting = Setting {
            max_cost: Some(Cost::from_microdollars(max)),
            ..Setting::default()
        };
        let stage = Stage::set(setting, vec![streamed()]).await;
        let reply = stage.send(&stage.post(BODY)).await;
        assert_eq!(status(&reply), expected, "{reply}");
        assert_eq!(stage.seen().len(), usize::from(expected == 200));
        assert_eq!(stage.gateway.metered().budget_exceeded, expected == 403);
    }
}

#[tokio::test]
async fn price_that_is_not_known_is_refused_under_a_budget() {
    let bodies = [
        (r#"{"model":"claude-haiku-4-5"}"#, "`max_tokens` is missing"),
        (
            r#"{"model":"claude-haiku-4-5","max_tokens":1,"speed":"fast"}"#,
            "the price of speed `fast` is not known",
        ),
        // Priced as the dearest: 1000 tokens at 75 dollars a million.
        (
            r#"{"model":"unknown","max_tokens":1000}"#,
            "may cost up to 0.0752 dollars, and 0.0700 are left",
        ),
    ];
    let setting = Setting {
        max_cost: Some(Cost::from_microdollars(70_000)),
        ..Setting::default()
    };
    let stage = Stage::set(setting, vec![]).await;
    for (body, message) in bodies {
        let reply = stage.send(&stage.post(body)).await;
        assert!(reply.contains(message), "{reply}");
    }
    assert_eq!(stage.seen().len(), 0);
}

#[tokio::test]
async fn requests_under_way_cannot_pass_the_budget_together() {
    let (mut events, stream) = futures::channel::mpsc::channel::<bytes::Bytes>(1);
    let frames = futures::StreamExt::map(stream, |b| Ok(hyper::body::Frame::data(b)));
    let body = http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(frames));
    let mut first = answer(200, &[("content-type", "text/event-stream")], "");
    drop(std::mem::replace(first.body_mut(), body));
    let setting = Setting {
        max_cost: Some(Cost::from_microdollars(8_000)),
        ..Setting::default()
    };
    let stage = Stage::set(setting, vec![first, streamed()]).await;
    let mut one = stage.open(stage.post(BODY).as_bytes()).await;
    events
        .try_send("data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n".into())
        .unwrap();
    let mut piece = [0; 16];
    assert_ne!(one.read(&mut piece).await.unwrap(), 0);
    // 5,025 of 8,000 are set aside: the other one waits, and has not reached the service.
    let request = stage.post(BODY);
    let mut two = stage.open(request.as_bytes()).await;
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), two.read(&mut piece));
    assert!(waiting.await.is_err());
    assert_eq!(stage.seen().len(), 1);
    drop(events);
    let mut rest = String::new();
    one.read_to_string(&mut rest).await.unwrap();
    two.read_to_string(&mut rest).await.unwrap();
    assert_eq!(stage.seen().len(), 1);
    assert_eq!(stage.audited().len(), 2);
}

#[tokio::test]
async fn nothing_passes_while_the_audit_file_cannot_be_written() {
    let setting = Setting {
        audit: Some("/dev/full".into()),
        ..Setting::default()
    };
    let stage = Stage::set(setting, vec![streamed(), streamed()]).await;
    assert_eq!(status(&stage.send(&stage.post(BODY)).await), 200);
    let reply = stage.send(&stage.post(BODY)).await;
    assert_eq!(status(&reply), 503);
    assert!(reply.contains("\"type\":\"audit_failed\""), "{reply}");
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn end_of_a_rate_limit_is_noted() {
    let limited = answer(
        429,
        &[("anthropic-ratelimit-unified-reset", "1800000000")],
        "{}",
    );
    let stage = Stage::with(vec![limited]).await;
    let reply = stage.send(&stage.post(BODY)).await;
    assert!(reply.contains("anthropic-ratelimit-unified-reset: 1800000000"));
    let metered = stage.gateway.metered();
    assert_eq!(metered.last_status, Some(429));
    assert_eq!(metered.rate_limit_reset_ms, Some(1_800_000_000_000));
    assert_eq!(metered.usage, Usage::default());
}

#[tokio::test]
async fn refused_credential_is_noted() {
    let stage = Stage::with(vec![answer(401, &[], "{}")]).await;
    assert_eq!(status(&stage.send(&stage.post(BODY)).await), 401);
    assert!(stage.gateway.metered().auth_failed);
}

#[tokio::test]
async fn caller_that_leaves_still_pays_for_its_request() {
    let (events, stream) = futures::channel::mpsc::channel::<bytes::Bytes>(1);
    let frames = futures::StreamExt::map(stream, |b| Ok(hyper::body::Frame::data(b)));
    let body = http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(frames));
    let mut endless = answer(200, &[("content-type", "text/event-stream")], "");
    drop(std::mem::replace(endless.body_mut(), body));
    let stage = Stage::with(vec![endless]).await;
    let mut caller = stage.open(stage.post(BODY).as_bytes()).await;
    let mut piece = [0; 16];
    assert_ne!(caller.read(&mut piece).await.unwrap(), 0);
    drop(caller);
    let audit = stage.audit.clone();
    stage.gateway.stop().await;
    drop(events);
    let line: Value = serde_json::from_str(&std::fs::read_to_string(audit).unwrap()).unwrap();
    assert_eq!(line["input_tokens"], json!(BODY.len().div_ceil(3)));
}
