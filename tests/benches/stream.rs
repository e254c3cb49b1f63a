//! How fast an agent's stream is read: megabytes a second of stream-json.
//!
//! `cargo bench -p e2e --bench stream`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and one that cannot go on has failed"
)]

use std::time::Instant;

use autoclave_runner::agent::Transcript;
use autoclave_runner::marker::Protocol;
use serde_json::json;

/// What the sandbox hands over at once, at most.
const CHUNK: usize = 64 << 10;
const BYTES: usize = 64 << 20;
const ROUNDS: usize = 5;

fn main() {
    println!(
        "stream                     |   MB | lines   | MB/s (median of {ROUNDS}) | against copying"
    );
    println!("---------------------------|------|---------|--------------------|----------------");
    for (name, session) in [
        ("short lines (tool calls)", turn(200)),
        ("usual lines (4 KB results)", turn(4 << 10)),
        ("long lines (1 MB results)", turn(1 << 20)),
    ] {
        let stream = session.repeat(BYTES / session.len() + 1);
        let megabytes = stream.len() as f64 / 1e6;
        let lines = stream.split(|byte| *byte == b'\n').count() - 1;
        // Interleaved, so that both see the same machine.
        let (mut read, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            read.push(seconds(|| parse(&stream)));
            copied.push(seconds(|| copy(&stream)));
        }
        let (read, copied) = (median(read), median(copied));
        println!(
            "{name:<26} | {megabytes:4.0} | {lines:7} | {:18.0} | {:14.1}x",
            megabytes / read,
            read / copied
        );
    }
}

/// One turn of a session as Claude Code prints it, with a tool result of `size` bytes.
fn turn(size: usize) -> Vec<u8> {
    let text = "fn main() { println!(\"\\u{1f980}\"); }\n".repeat(size / 36 + 1);
    let lines = [
        json!({"type": "assistant", "session_id": "s", "message": {"id": "m", "role": "assistant",
            "content": [{"type": "text", "text": "I look at the file first, then at its tests."},
                {"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "/workspace/src/main.rs"}}],
            "usage": {"input_tokens": 12, "cache_read_input_tokens": 20_000, "output_tokens": 40}}}),
        json!({"type": "user", "session_id": "s", "message": {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "is_error": false, "content": text}]}}),
    ];
    lines
        .iter()
        .flat_map(|line| format!("{line}\n").into_bytes())
        .collect()
}

fn parse(stream: &[u8]) -> usize {
    let mut transcript = Transcript::new(Protocol::ClaudeCode);
    let heard = stream
        .chunks(CHUNK)
        .map(|chunk| transcript.push(chunk).len())
        .sum();
    assert_ne!(heard, 0, "the stream says something");
    heard
}

/// The least that any reader does: every byte is copied once.
fn copy(stream: &[u8]) -> usize {
    let mut copied = Vec::with_capacity(CHUNK);
    for chunk in stream.chunks(CHUNK) {
        copied.clear();
        copied.extend_from_slice(std::hint::black_box(chunk));
        std::hint::black_box(&copied);
    }
    copied.len()
}

fn seconds(work: impl FnOnce() -> usize) -> f64 {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}
