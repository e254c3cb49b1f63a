//! A service that tells nonsense about what an answer took.

use e2e::hostile_service::Play;

use super::stage::{BODY, Stage};

const START: &str = r#"data: {"type":"message_start","message":{"model":"claude-haiku-4-5","usage":{"input_tokens":100,"cache_creation_input_tokens":10,"cache_read_input_tokens":1000,"output_tokens":1}}}"#;
/// 30 bytes: 10 tokens, as long as nobody says better.
const TEXT: &str = r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"123456789012345678901234567890"}}"#;

/// Returns what is counted of an answer of these events.
fn counted(stage: &mut Stage, events: &[&str]) -> (u64, u64) {
    let name = events.join("\n");
    let events: String = events.iter().map(|event| format!("{event}\n\n")).collect();
    let (reply, line) = stage.answered(&name, Play::events(&events));
    assert!(reply.text.ends_with(&events), "{name}: it passes as it is");
    let number = |key: &str| line[key].as_u64().unwrap();
    (number("input_tokens"), number("output_tokens"))
}

#[test]
fn usage_that_makes_no_sense_does_not_make_an_answer_cheaper() {
    let mut stage = Stage::set(&[]);
    assert_eq!(counted(&mut stage, &[START, TEXT]), (1110, 10));
    for (usage, expected) in [
        (r#"{"output_tokens":50}"#, (1110, 50)),
        (r#"{"output_tokens":7}"#, (1110, 7)),
        (r#"{"output_tokens":-50}"#, (1110, 10)),
        (r#"{"output_tokens":"50"}"#, (1110, 10)),
        (r#"{"output_tokens":null}"#, (1110, 10)),
        (r#"{"output_tokens":[]}"#, (1110, 10)),
        (r#"{"output_tokens":50.5}"#, (1110, 51)),
        (r#"{"output_tokens":-0.0}"#, (1110, 1)),
        ("{}", (1110, 10)),
        ("null", (1110, 10)),
        (
            r#"{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":50}"#,
            (1110, 50),
        ),
        (r#"{"input_tokens":-100,"output_tokens":50}"#, (1110, 50)),
        (r#"{"input_tokens":200,"output_tokens":50}"#, (1210, 50)),
        (
            r#"{"output_tokens":18446744073709551615}"#,
            (1110, u64::MAX),
        ),
        (
            r#"{"output_tokens":18446744073709551616}"#,
            (1110, u64::MAX),
        ),
        (r#"{"output_tokens":1e300}"#, (1110, u64::MAX)),
        (
            r#"{"input_tokens":18446744073709551615,"output_tokens":50}"#,
            (u64::MAX, 50),
        ),
    ] {
        let delta = format!(r#"data: {{"type":"message_delta","usage":{usage}}}"#);
        assert_eq!(
            counted(&mut stage, &[START, TEXT, &delta]),
            expected,
            "{usage}"
        );
    }
    // No JSON at all: the whole line may be text to somebody.
    for usage in [
        r#"{"output_tokens":NaN}"#,
        r#"{"output_tokens":Infinity}"#,
        r#"{"output_tokens":1e400}"#,
        r#"{"output_tokens":1,"output_tokens":0,"output_tokens":}"#,
        "50",
    ] {
        let delta = format!(r#"data: {{"type":"message_delta","usage":{usage}}}"#);
        let output = (30 + delta.len()).div_ceil(3) as u64;
        assert_eq!(
            counted(&mut stage, &[START, TEXT, &delta]),
            (1110, output),
            "{usage}"
        );
    }
    stage.end();
}

#[test]
fn events_in_an_odd_order_or_form_are_not_free() {
    let mut stage = Stage::set(&[]);
    let end = r#"data: {"type":"message_delta","usage":{"output_tokens":2}}"#;
    let request = BODY.len().div_ceil(3) as u64;
    assert_eq!(counted(&mut stage, &[START, end, TEXT]), (1110, 10));
    assert_eq!(counted(&mut stage, &[START, end, START, TEXT]), (1110, 10));
    assert_eq!(counted(&mut stage, &[START, TEXT, end, end]), (1110, 2));
    assert_eq!(counted(&mut stage, &[TEXT]), (request, 10));
    assert_eq!(counted(&mut stage, &[end]), (request, 2));
    assert_eq!(
        counted(
            &mut stage,
            &["data: [DONE]", ": hello", "event: x", "id: 1", "retry: 1"]
        ),
        (request, 0)
    );
    let plain = "plain text of 26 characters";
    assert_eq!(counted(&mut stage, &[plain]), (request, 9));
    // Ends of lines that are returns make one long line.
    let returns = format!("{START}\r\r{TEXT}\r\r{end}");
    assert_eq!(
        counted(&mut stage, &[&returns]),
        (request, returns.len().div_ceil(3) as u64)
    );

    let whole =
        r#"{"content":[{"text":"123456789012345678901234567890"}],"usage":{"output_tokens":-1}}"#;
    for kind in [
        "application/json",
        "text/plain",
        "text/event-stream",
        "Text/Event-Stream",
        "",
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n{whole}");
        let (_, line) = stage.answered(kind, Play::bytes(&raw));
        assert_eq!(line["output_tokens"], whole.len().div_ceil(3), "{kind}");
        assert_eq!(line["input_tokens"], request, "{kind}");
    }
    stage.end();
}
