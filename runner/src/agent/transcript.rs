//! What an agent says, read as it comes.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::marker::Protocol;
use crate::model::{Cost, Usage};

use super::denial::{Called, refusal};
use super::lines::{Lines, MAX_LINE_BYTES};
use super::outcome::{Circumstances, ResultLine, judge, judge_exit};
use super::text::{cut, first_sentence, last_line};
use super::wire::{
    INPUT_TOKENS, blocks, file_of, input_tokens, name, result_text, status, tool_summary, usage,
    whole,
};
use super::{AgentOutcome, Report};

const TEXT_CHARS: usize = 2_000;
const RESULT_CHARS: usize = 64 << 10;
const MAX_ERRORS: usize = 100;
/// How many tools by name, and how many calls and answers by id, are told apart. What comes after
/// them counts in sums, and is not known again.
pub const MAX_KEPT: usize = 10_000;

/// One thing that an agent said.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Started {
        session: Option<String>,
        model: Option<String>,
        permission_mode: Option<String>,
    },
    /// Written for people; cut to 2,000 characters.
    Text(String),
    Tool {
        name: String,
        summary: String,
    },
    /// A tool call that the sandbox or a permission rule refused.
    Denied {
        tool: String,
        message: String,
        /// The file that the call names, as the agent wrote it.
        file: Option<String>,
    },
    Retry {
        attempt: u32,
        error_status: Option<u16>,
        delay_ms: u64,
    },
    /// A line that says nothing of the above, known or not.
    Other,
}

/// Reads an agent's standard output, in chunks of any size, and adds up what it says.
///
/// Nothing in it is trusted: what is no JSON, no UTF-8, of another shape, or over
/// [`MAX_LINE_BYTES`] changes nothing but counters.
#[derive(Debug)]
pub struct Transcript {
    protocol: Protocol,
    lines: Lines,
    said: Said,
}

/// A tool call: the tool's name, and the file that it names.
#[derive(Debug, Clone)]
struct Call {
    tool: String,
    file: Option<String>,
}

/// What was said until now.
#[derive(Debug, Default)]
struct Said {
    session: Option<String>,
    /// Called tools by the id of the call.
    calls: HashMap<String, Call>,
    tools: BTreeMap<String, u32>,
    /// Ids of the calls that were refused.
    denied: HashSet<String>,
    denials: u32,
    errors: Vec<String>,
    retries: u32,
    /// Input and output tokens by message id, for a session that ends without a result.
    messages: HashMap<String, (u64, u64)>,
    /// The `error` of the last answer.
    answer_error: Option<String>,
    result: Option<ResultLine>,
    usage: Option<Usage>,
    /// The end of a plain-text agent's output.
    tail: String,
}

impl Transcript {
    /// Returns a reader of what an agent of `protocol` prints.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            lines: Lines::new(MAX_LINE_BYTES),
            said: Said::default(),
        }
    }

    /// Takes the next bytes; returns what the lines that end in them say, in order.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        let Self {
            protocol,
            lines,
            said,
        } = self;
        lines.push(chunk, |line| said.line(*protocol, line, &mut heard));
        heard
    }

    /// Returns what is known when the agent has ended.
    pub fn finish(mut self, circumstances: &Circumstances<'_>) -> Report {
        let mut last = Vec::new();
        let Self {
            protocol,
            lines,
            said,
        } = &mut self;
        lines.finish(|line| said.line(*protocol, line, &mut last));
        match lines.skipped() {
            0 => {}
            n => said.error(&format!(
                "{n} lines of over {MAX_LINE_BYTES} bytes were skipped"
            )),
        }
        self.said.report(self.protocol, circumstances)
    }
}

impl Said {
    fn line(&mut self, protocol: Protocol, line: &[u8], heard: &mut Vec<Heard>) {
        let text = String::from_utf8_lossy(line);
        match protocol {
            Protocol::ClaudeCode => match serde_json::from_str(&text) {
                Ok(line) => self.json(&line, heard),
                Err(_) => heard.push(Heard::Other),
            },
            Protocol::None => {
                self.tail.push_str(&text);
                self.tail.push('\n');
                if self.tail.len() > 2 * RESULT_CHARS {
                    let from = self.tail.len() - RESULT_CHARS;
                    let from = (from..self.tail.len()).find(|&at| self.tail.is_char_boundary(at));
                    self.tail.drain(..from.unwrap_or(0));
                }
                if let Some(message) = text.strip_prefix("denied: ") {
                    self.denials = self.denials.saturating_add(1);
                    let (tool, message) = ("command".to_owned(), cut(message, TEXT_CHARS));
                    let file = None;
                    heard.push(Heard::Denied {
                        tool,
                        message,
                        file,
                    });
                } else if !text.trim().is_empty() {
                    heard.push(Heard::Text(cut(&text, TEXT_CHARS)));
                }
            }
        }
    }

    fn json(&mut self, line: &Value, heard: &mut Vec<Heard>) {
        let before = heard.len();
        if let Some(session) = name(&line["session_id"]) {
            self.session = Some(session);
        }
        match (line["type"].as_str(), line["subtype"].as_str()) {
            (Some("system"), Some("init")) => heard.push(Heard::Started {
                session: self.session.clone(),
                model: name(&line["model"]),
                permission_mode: name(&line["permissionMode"]),
            }),
            (Some("system"), Some("api_retry")) => {
                self.retries = self.retries.saturating_add(1);
                heard.push(Heard::Retry {
                    attempt: whole(&line["attempt"]).try_into().unwrap_or(u32::MAX),
                    error_status: status(&line["error_status"]),
                    delay_ms: whole(&line["retry_delay_ms"]),
                });
            }
            (Some("assistant"), _) => self.answer(line, heard),
            (Some("user"), _) => {
                for block in blocks(&line["message"]["content"]) {
                    self.tool_result(block, heard);
                }
            }
            (Some("result"), _) => self.result(line, heard),
            _ => {}
        }
        if heard.len() == before {
            heard.push(Heard::Other);
        }
    }

    fn answer(&mut self, line: &Value, heard: &mut Vec<Heard>) {
        let message = &line["message"];
        let usage = &message["usage"];
        if let (Some(id), true) = (name(&message["id"]), usage.is_object()) {
            let input = input_tokens(usage, INPUT_TOKENS);
            let tokens = (input, whole(&usage["output_tokens"]));
            keep(&mut self.messages, id, tokens);
        }
        self.answer_error = name(&line["error"]);
        for block in blocks(&message["content"]) {
            match block["type"].as_str() {
                Some("text") => {
                    let text = block["text"].as_str().unwrap_or_default();
                    if self.answer_error.is_some() {
                        self.error(text);
                    }
                    if !text.trim().is_empty() {
                        heard.push(Heard::Text(cut(text, TEXT_CHARS)));
                    }
                }
                Some("tool_use") => {
                    let tool = name(&block["name"]).unwrap_or_else(|| "?".to_owned());
                    if let Some(id) = name(&block["id"]) {
                        let call = Call {
                            tool: tool.clone(),
                            file: file_of(&block["input"]),
                        };
                        keep(&mut self.calls, id, call);
                    }
                    self.count(&tool);
                    heard.push(Heard::Tool {
                        summary: tool_summary(&block["input"]),
                        name: tool,
                    });
                }
                _ => {}
            }
        }
    }

    fn tool_result(&mut self, block: &Value, heard: &mut Vec<Heard>) {
        if block["type"] != "tool_result" {
            return;
        }
        let id = name(&block["tool_use_id"]).unwrap_or_default();
        let Call { tool, file } = self.calls.get(&id).cloned().unwrap_or_else(|| Call {
            tool: "?".to_owned(),
            file: None,
        });
        let called = match (block["is_error"] == true, tool.as_str()) {
            (true, _) => Called::Failed,
            (false, "Bash") => Called::ShellSucceeded,
            (false, _) => Called::Succeeded,
        };
        let text = result_text(&block["content"]);
        if let Some(message) = refusal(called, &text) {
            let message = cut(message, TEXT_CHARS);
            self.deny(id);
            heard.push(Heard::Denied {
                tool,
                message,
                file,
            });
        }
    }

    fn result(&mut self, line: &Value, heard: &mut Vec<Heard>) {
        for denial in blocks(&line["permission_denials"]) {
            let id = name(&denial["tool_use_id"]).unwrap_or_default();
            if !self.denied.contains(&id) {
                self.deny(id);
                heard.push(Heard::Denied {
                    tool: name(&denial["tool_name"]).unwrap_or_else(|| "?".to_owned()),
                    message: format!(
                        "a permission rule refused: {}",
                        tool_summary(&denial["tool_input"])
                    ),
                    file: file_of(&denial["tool_input"]),
                });
            }
        }
        for error in blocks(&line["errors"]) {
            self.error(error.as_str().unwrap_or_default());
        }
        let text = line["result"].as_str().unwrap_or_default();
        self.usage = Some(usage(line));
        self.result = Some(ResultLine {
            subtype: name(&line["subtype"]).unwrap_or_default(),
            is_error: line["is_error"] == true,
            status: status(&line["api_error_status"]),
            error: self.answer_error.clone(),
            text: match text {
                "" => self.errors.last().cloned().unwrap_or_default(),
                text => cut(text, RESULT_CHARS),
            },
        });
    }

    fn deny(&mut self, id: String) {
        if self.denied.len() < MAX_KEPT {
            self.denied.insert(id);
        }
        self.denials = self.denials.saturating_add(1);
    }

    fn count(&mut self, tool: &str) {
        if let Some(count) = self.tools.get_mut(tool) {
            *count = count.saturating_add(1);
        } else if self.tools.len() < MAX_KEPT {
            self.tools.insert(tool.to_owned(), 1);
        }
    }

    fn error(&mut self, text: &str) {
        if self.errors.len() < MAX_ERRORS && !text.is_empty() {
            self.errors.push(cut(text, TEXT_CHARS));
        }
    }

    fn report(self, protocol: Protocol, circumstances: &Circumstances<'_>) -> Report {
        let (outcome, summary, result) = match protocol {
            Protocol::ClaudeCode => {
                let outcome = judge(self.result.as_ref(), circumstances);
                let text = self
                    .result
                    .as_ref()
                    .map(|r| r.text.clone())
                    .unwrap_or_default();
                (outcome, first_sentence(&text), text)
            }
            Protocol::None => (
                judge_exit(circumstances),
                last_line(&self.tail),
                cut(&self.tail, 2 * RESULT_CHARS),
            ),
        };
        let mut errors = self.errors;
        if let AgentOutcome::Failed { message }
        | AgentOutcome::Unauthorized { message }
        | AgentOutcome::Overloaded { message } = &outcome
            && !errors.contains(message)
        {
            errors.push(cut(message, TEXT_CHARS));
        }
        let sum = |messages: &HashMap<String, (u64, u64)>| Usage {
            turns: messages.len().try_into().unwrap_or(u32::MAX),
            input_tokens: messages.values().fold(0, |sum, m| sum.saturating_add(m.0)),
            output_tokens: messages.values().fold(0, |sum, m| sum.saturating_add(m.1)),
            cost_usd: Cost::ZERO,
        };
        Report {
            usage: self.usage.unwrap_or_else(|| sum(&self.messages)),
            session: self.session,
            summary,
            result,
            tools: self.tools,
            denials: self.denials,
            errors,
            retries: self.retries,
            outcome,
        }
    }
}

/// Keeps a value by its id, unless too many others are kept.
fn keep<T>(kept: &mut HashMap<String, T>, id: String, value: T) {
    if kept.len() < MAX_KEPT || kept.contains_key(&id) {
        kept.insert(id, value);
    }
}

#[cfg(test)]
mod tests;
