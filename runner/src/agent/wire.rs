//! Values out of stream-json lines; a value that is missing or of another type is empty or zero.

use serde_json::Value;

use crate::model::{Cost, Usage};

use super::text::cut;

const SUMMARY_CHARS: usize = 200;
/// The longest path that a system call takes; see path_resolution(7).
const PATH_CHARS: usize = 4096;
/// Of an id or a name: the agent chooses them, and they are kept.
const NAME_CHARS: usize = 200;

/// The parts of a `usage` that were read by the model.
pub const INPUT_TOKENS: [&str; 3] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
];

/// Returns the totals of a `result` line: those by model, which count every model that worked,
/// where there are any.
pub fn usage(line: &Value) -> Usage {
    let mut total = Usage {
        turns: whole(&line["num_turns"]).try_into().unwrap_or(u32::MAX),
        cost_usd: Cost::from(line["total_cost_usd"].as_f64().unwrap_or(0.0)),
        ..Usage::default()
    };
    let mut add = |input: u64, output: u64| {
        total += Usage {
            input_tokens: input,
            output_tokens: output,
            ..Usage::default()
        };
    };
    if let Some(models) = line["modelUsage"]
        .as_object()
        .filter(|models| !models.is_empty())
    {
        for model in models.values() {
            let input = input_tokens(
                model,
                [
                    "inputTokens",
                    "cacheCreationInputTokens",
                    "cacheReadInputTokens",
                ],
            );
            add(input, whole(&model["outputTokens"]));
        }
    } else {
        let usage = &line["usage"];
        add(
            input_tokens(usage, INPUT_TOKENS),
            whole(&usage["output_tokens"]),
        );
    }
    total
}

pub fn input_tokens(usage: &Value, names: [&str; 3]) -> u64 {
    names
        .iter()
        .fold(0, |sum, name| sum.saturating_add(whole(&usage[*name])))
}

/// Returns what a tool call is about: its command, file, pattern or address, else its input.
pub fn tool_summary(input: &Value) -> String {
    let telling = [
        "command",
        "file_path",
        "notebook_path",
        "pattern",
        "url",
        "query",
        "description",
    ];
    let text = telling.iter().find_map(|name| input[*name].as_str());
    match text {
        Some(text) => cut(
            text.trim().lines().next().unwrap_or_default(),
            SUMMARY_CHARS,
        ),
        None => cut(&input.to_string(), SUMMARY_CHARS),
    }
}

/// Returns the file that a tool call is about.
pub fn file_of(input: &Value) -> Option<String> {
    let mut names = ["file_path", "notebook_path"].iter();
    let file = names.find_map(|name| input[*name].as_str())?;
    Some(cut(file, PATH_CHARS))
}

pub fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => {
            let texts: Vec<&str> = blocks(parts)
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect();
            texts.join("\n")
        }
    }
}

pub fn blocks(content: &Value) -> &[Value] {
    content.as_array().map_or(&[], Vec::as_slice)
}

/// Returns an id or a name, cut to 200 characters.
pub fn name(value: &Value) -> Option<String> {
    value.as_str().map(|text| cut(text, NAME_CHARS))
}

/// Returns a count that may be written as a fraction; what is no count is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates"
)]
pub fn whole(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_f64().map(|number| number as u64))
        .unwrap_or(0)
}

pub fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| status.try_into().ok())
}
