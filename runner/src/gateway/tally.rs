//! Counts the tokens of one response while it streams past.

use serde::Deserialize;
use serde_json::Value;

use super::pricing::Tokens;

/// Bytes of one line of an event stream, and of one whole JSON body, that are looked at.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of text per token, where the service's own count is missing; on the safe side for English.
const BYTES_PER_TOKEN: u64 = 3;

/// Reads usage out of a response body that comes in pieces of any size.
#[derive(Debug)]
pub struct Tally {
    shape: Shape,
    /// The current line (event stream) or everything so far (JSON).
    pending: Vec<u8>,
    /// Bytes of the current line or body, where it is too long to be looked at; otherwise 0.
    overlong: u64,
    model: Option<String>,
    told: Told,
    /// The service told the number of output tokens, and no text came after it.
    is_final: bool,
    /// Bytes of text seen, and of what is no event and may be text.
    text_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    EventStream,
    Json,
}

/// What the service reported: totals, which only grow.
#[derive(Debug, Default)]
struct Told {
    input: Option<u64>,
    /// The hour's included.
    cache_write: u64,
    cache_write_hour: u64,
    cache_read: u64,
    output: u64,
    web_searches: u64,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    message: Option<Message>,
    usage: Option<ReportedUsage>,
    delta: Option<Piece>,
    content_block: Option<Piece>,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    usage: Option<ReportedUsage>,
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct ReportedUsage {
    input_tokens: Option<Value>,
    cache_creation_input_tokens: Option<Value>,
    cache_creation: Option<CacheCreation>,
    cache_read_input_tokens: Option<Value>,
    output_tokens: Option<Value>,
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Deserialize)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<Value>,
}

#[derive(Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<Value>,
}

impl Tally {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            pending: Vec::new(),
            overlong: 0,
            model: None,
            told: Told::default(),
            is_final: false,
            text_bytes: 0,
        }
    }

    /// Takes the next piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        match self.shape {
            Shape::EventStream => {
                let mut lines = piece.split(|b| *b == b'\n');
                if let Some(first) = lines.next() {
                    self.keep(first);
                }
                for line in lines {
                    self.end_line();
                    self.keep(line);
                }
            }
            Shape::Json => {
                self.text_bytes += piece.len() as u64;
                self.keep(piece);
            }
        }
    }

    /// Takes the end of the body.
    pub fn finish(&mut self) {
        match self.shape {
            Shape::EventStream => self.end_line(),
            Shape::Json => {
                if let Ok(message) = serde_json::from_slice::<Message>(&self.pending) {
                    self.model = message.model;
                    self.update(message.usage);
                }
            }
        }
        self.pending = Vec::new();
    }

    /// Returns the model that the service named.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns the tokens counted; what the service did not tell is estimated from `request_bytes`
    /// and the text seen, so that cutting a response off does not make it free.
    pub fn tokens(&self, request_bytes: u64) -> Tokens {
        let told = &self.told;
        let output = if self.is_final {
            told.output
        } else {
            told.output.max(self.text_bytes.div_ceil(BYTES_PER_TOKEN))
        };
        Tokens {
            input: told.input.unwrap_or(estimate(request_bytes).input),
            cache_write: told.cache_write.saturating_sub(told.cache_write_hour),
            cache_write_hour: told.cache_write_hour,
            cache_read: told.cache_read,
            output,
            web_searches: told.web_searches,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overlong > 0 {
            self.overlong += bytes.len() as u64;
        } else if self.pending.len() + bytes.len() > KEPT_BYTES {
            self.overlong = (self.pending.len() + bytes.len()) as u64;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let overlong = std::mem::take(&mut self.overlong);
        let line = std::mem::take(&mut self.pending);
        let event = line.strip_prefix(b"data:").map(serde_json::from_slice);
        match event {
            Some(Ok(event)) => self.count(event),
            Some(Err(_)) | None if overlong == 0 && is_without_text(&line) => {}
            // Whoever reads less strictly may find text in it.
            Some(Err(_)) | None => self.count_text(overlong + line.len() as u64),
        }
        // The same memory for the next line.
        self.pending = line;
        self.pending.clear();
    }

    fn count(&mut self, event: Event) {
        match event.kind.as_str() {
            "message_start" => {
                if let Some(message) = event.message {
                    self.model = message.model;
                    self.update(message.usage);
                    self.is_final = false;
                }
            }
            "message_delta" => self.update(event.usage),
            _ => {
                for piece in [event.delta, event.content_block].into_iter().flatten() {
                    let texts = [piece.text, piece.thinking, piece.partial_json];
                    let bytes = texts.iter().flatten().map(String::len).sum::<usize>();
                    self.count_text(bytes as u64);
                }
            }
        }
    }

    fn count_text(&mut self, bytes: u64) {
        self.text_bytes += bytes;
        self.is_final &= bytes == 0;
    }

    /// Takes what is reported anew. What is no number of tokens counts as not told.
    fn update(&mut self, usage: Option<ReportedUsage>) {
        let Some(usage) = usage else { return };
        let told = &mut self.told;
        told.input = told.input.max(count(usage.input_tokens));
        let hour = usage
            .cache_creation
            .and_then(|c| c.ephemeral_1h_input_tokens);
        let searches = usage.server_tool_use.and_then(|s| s.web_search_requests);
        let output = count(usage.output_tokens);
        self.is_final |= output.is_some();
        for (total, reported) in [
            (
                &mut told.cache_write,
                count(usage.cache_creation_input_tokens),
            ),
            (&mut told.cache_write_hour, count(hour)),
            (&mut told.cache_read, count(usage.cache_read_input_tokens)),
            (&mut told.output, output),
            (&mut told.web_searches, count(searches)),
        ] {
            *total = reported.map_or(*total, |reported| reported.max(*total));
        }
    }
}

/// Returns a number of tokens: whole, or rounded up; none that is below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not below 0, and what is too large becomes the largest"
)]
fn count(reported: Option<Value>) -> Option<u64> {
    let reported = reported?;
    let rounded = || reported.as_f64().filter(|count| *count >= 0.0);
    reported
        .as_u64()
        .or_else(|| rounded().map(|count| count.ceil() as u64))
}

/// Says whether a line of an event stream is one of those beside the data.
fn is_without_text(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let fields: [&[u8]; 4] = [b"event:", b"id:", b"retry:", b":"];
    line.is_empty() || line == b"data: [DONE]" || fields.iter().any(|field| line.starts_with(field))
}

/// Returns what a request of `request_bytes` costs at least, where no response told.
pub fn estimate(request_bytes: u64) -> Tokens {
    Tokens {
        input: request_bytes.div_ceil(BYTES_PER_TOKEN),
        ..Tokens::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: message_start\n",
        "data: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-haiku-4-5\",\"usage\":",
        "{\"input_tokens\":10,\"cache_creation_input_tokens\":200,\"cache_read_input_tokens\":3000,\"output_tokens\":1,",
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":150,\"ephemeral_1h_input_tokens\":50}}}}\n\n",
        "event: content_block_delta\r\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"123456789\"}}\r\n\r\n",
        "event: message_delta\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42}}\n\n",
    );

    const COUNTED: Tokens = Tokens {
        input: 10,
        cache_write: 150,
        cache_write_hour: 50,
        cache_read: 3000,
        output: 42,
        web_searches: 0,
    };

    #[test]
    fn pieces_of_any_size_count_the_same() {
        for size in [1, 2, 7, 100, STREAM.len()] {
            let mut tally = Tally::new(Shape::EventStream);
            for piece in STREAM.as_bytes().chunks(size) {
                tally.push(piece);
            }
            tally.finish();
            assert_eq!(tally.tokens(0), COUNTED, "pieces of {size}");
            assert_eq!(tally.model(), Some("claude-haiku-4-5"));
        }
    }

    #[test]
    fn stream_cut_before_the_final_count_is_estimated_from_its_text() {
        let cut = STREAM.find("event: message_delta").unwrap();
        let mut tally = Tally::new(Shape::EventStream);
        tally.push(&STREAM.as_bytes()[..cut]);
        tally.finish();
        assert_eq!(
            tally.tokens(0),
            Tokens {
                output: 3,
                ..COUNTED
            }
        );
    }

    #[test]
    fn whole_json_body_is_counted() {
        let mut tally = Tally::new(Shape::Json);
        tally.push(b"{\"model\":\"m\",\"usage\":{\"input_tok");
        tally.push(b"ens\":5,\"output_tokens\":7}}");
        tally.finish();
        let expected = Tokens {
            input: 5,
            output: 7,
            ..Tokens::default()
        };
        assert_eq!(tally.tokens(900), expected);
    }

    #[test]
    fn garbage_is_estimated_from_the_request() {
        let mut tally = Tally::new(Shape::EventStream);
        tally.push(b"data: {not json\n\ndata: 7\n\n\0\xff\n");
        tally.finish();
        // 15 + 7 + 2 bytes that may be text to somebody.
        let expected = Tokens {
            output: 8,
            ..estimate(900)
        };
        assert_eq!(tally.tokens(900), expected);
        assert_eq!(estimate(900).input, 300);
    }

    #[test]
    fn endless_line_does_not_grow_the_buffer() {
        let mut tally = Tally::new(Shape::EventStream);
        for _ in 0..9 {
            tally.push(&vec![b'x'; 1024 * 1024]);
        }
        assert_eq!(tally.pending.len(), 0);
        tally.push(b"\n");
        tally.push(STREAM.as_bytes());
        assert_eq!(tally.tokens(0), COUNTED);
    }

    /// Returns what a stream of these events comes to, for a request of 30 bytes.
    fn counted(events: &[&str]) -> Tokens {
        let mut tally = Tally::new(Shape::EventStream);
        for event in events {
            tally.push(format!("data: {event}\n\n").as_bytes());
        }
        tally.finish();
        tally.tokens(30)
    }

    const START: &str =
        r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}"#;
    const TEXT: &str = r#"{"type":"content_block_delta","delta":{"text":"123456789012"}}"#;

    #[test]
    fn numbers_that_make_no_sense_do_not_make_an_answer_cheaper() {
        let with = |usage: &str| {
            let delta = format!(r#"{{"type":"message_delta","usage":{usage}}}"#);
            let tokens = counted(&[START, TEXT, &delta]);
            (tokens.input, tokens.output)
        };
        assert_eq!(with(r#"{"output_tokens":4}"#), (7, 4));
        // 12 bytes of text.
        assert_eq!(with(r#"{"output_tokens":-4}"#), (7, 4));
        assert_eq!(with(r#"{"output_tokens":null}"#), (7, 4));
        assert_eq!(with("{}"), (7, 4));
        assert_eq!(with("null"), (7, 4));
        assert_eq!(with(r#"{"output_tokens":0}"#), (7, 1));
        assert_eq!(with(r#"{"input_tokens":-1,"output_tokens":5}"#), (7, 5));
        assert_eq!(with(r#"{"input_tokens":3,"output_tokens":4.2}"#), (7, 5));
        assert_eq!(with(r#"{"output_tokens":1e30}"#), (7, u64::MAX));
        // No JSON: 12 bytes of text, and a line of 60 that may be some.
        assert_eq!(with(r#"{"output_tokens":NaN}"#), (7, 24));
    }

    #[test]
    fn text_behind_the_final_count_counts() {
        let last = r#"{"type":"message_delta","usage":{"output_tokens":2}}"#;
        assert_eq!(counted(&[START, last]).output, 2);
        assert_eq!(counted(&[START, last, TEXT]).output, 4);
        let block = r#"{"type":"content_block_start","content_block":{"text":"123456789012"}}"#;
        assert_eq!(counted(&[START, last, block]).output, 4);
    }

    #[test]
    fn body_of_another_kind_than_announced_is_not_free() {
        let whole = r#"{"model":"m","content":[{"text":"12345678901234567890"}],"usage":{}}"#;
        for shape in [Shape::EventStream, Shape::Json] {
            let mut tally = Tally::new(shape);
            tally.push(whole.as_bytes());
            tally.finish();
            let tokens = tally.tokens(30);
            assert_eq!(
                (tokens.input, tokens.output),
                (10, whole.len().div_ceil(3) as u64)
            );
        }
    }
}
