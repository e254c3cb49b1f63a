//! What an agent prints, in both protocols: the same however its bytes are cut, and within bounds.
#![no_main]

use autoclave_runner::agent::fuzzing::{Lines, MAX_KEPT};
use autoclave_runner::agent::{Circumstances, Ending, Heard, Report, Transcript};
use autoclave_runner::marker::Protocol;
use libfuzzer_sys::fuzz_target;

const LINE_LIMIT: usize = 16;

fuzz_target!(|output: &[u8]| {
    for protocol in [Protocol::ClaudeCode, Protocol::None] {
        let whole = heard(protocol, [output]);
        assert_eq!(heard(protocol, output.chunks(1)), whole, "cut into bytes");
        assert_eq!(heard(protocol, pieces(output)), whole, "cut into pieces");
        check_bounds(&whole);
    }
    check_lines(output);
});

fn heard<'b>(
    protocol: Protocol,
    chunks: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Heard>, Report) {
    let mut transcript = Transcript::new(protocol);
    let mut heard = Vec::new();
    for chunk in chunks {
        heard.extend(transcript.push(chunk));
    }
    let report = transcript.finish(&Circumstances {
        ending: Ending::Code(0),
        stderr: "",
        reset_ms: None,
        is_over_budget: false,
        now_ms: 1_790_000_000_000,
    });
    (heard, report)
}

/// Returns the bytes in pieces whose lengths follow from the bytes themselves.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut length = bytes.len() % 7;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
        length = usize::from(rest.first().copied().unwrap_or(0)) % 23 + 1;
    }
    pieces
}

fn check_bounds((heard, report): &(Vec<Heard>, Report)) {
    for one in heard {
        match one {
            Heard::Text(text) => assert!(text.chars().count() <= 2000),
            Heard::Tool { name, summary } => {
                assert!(name.chars().count() <= 200 && summary.chars().count() <= 2000);
            }
            Heard::Denied { tool, message } => {
                assert!(tool.chars().count() <= 200 && message.chars().count() <= 2000);
            }
            Heard::Started {
                session,
                model,
                permission_mode,
            } => {
                for text in [session, model, permission_mode].into_iter().flatten() {
                    assert!(text.chars().count() <= 200);
                }
            }
            Heard::Retry { .. } | Heard::Other => {}
        }
    }
    assert!(report.summary.chars().count() <= 200);
    assert!(report.result.chars().count() <= 128 << 10);
    assert!(report.tools.len() <= MAX_KEPT);
    assert!(report.session.iter().all(|id| id.chars().count() <= 200));
    assert!(report.errors.len() <= 101);
    assert!(
        report
            .errors
            .iter()
            .all(|error| error.chars().count() <= 2000)
    );
}

/// Compares the cutter of lines, at a limit that inputs reach, with splitting the whole.
fn check_lines(output: &[u8]) {
    let mut lines = Lines::new(LINE_LIMIT);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for piece in pieces(output) {
        lines.push(piece, |line| seen.push(line.to_vec()));
    }
    lines.finish(|line| seen.push(line.to_vec()));
    let whole = output.strip_suffix(b"\n").unwrap_or(output);
    let all: Vec<&[u8]> = match output {
        b"" => Vec::new(),
        _ => whole.split(|byte| *byte == b'\n').collect(),
    };
    let fitting: Vec<&[u8]> = all
        .iter()
        .copied()
        .filter(|line| line.len() <= LINE_LIMIT)
        .collect();
    assert_eq!(seen, fitting);
    assert_eq!(lines.skipped() as usize, all.len() - fitting.len());
}
