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
    let mark = stage.gateway.mark();
    let reply = stage.send(&stage.post(BODY)).await;
    assert!(reply.contains("\"output_tokens\":400"), "{reply}");
    assert_eq!(stage.gateway.usage_since(mark), counted());
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
    assert_eq!(stage.gateway.mark(), expected);
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
    assert_eq!(stage.gateway.mark(), counted());
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
