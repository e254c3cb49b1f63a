//! Counts the tokens of one response while it streams past.

use serde::Deserialize;

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
    /// The current line or body is too long and is not looked at.
    is_overlong: bool,
    model: Option<String>,
    tokens: Option<Tokens>,
    /// The service told the final number of output tokens.
    is_final: bool,
    /// Bytes of text seen.
    text_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    EventStream,
    Json,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    message: Option<Message>,
    usage: Option<ReportedUsage>,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    usage: Option<ReportedUsage>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct ReportedUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Deserialize)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}

impl Tally {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            pending: Vec::new(),
            is_overlong: false,
            model: None,
            tokens: None,
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
                    self.is_final = message.usage.is_some();
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
        let mut tokens = self.tokens.unwrap_or_else(|| estimate(request_bytes));
        if !self.is_final {
            tokens.output = tokens.output.max(self.text_bytes.div_ceil(BYTES_PER_TOKEN));
        }
        tokens
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > KEPT_BYTES {
            self.is_overlong = true;
            self.pending.clear();
        }
        if !self.is_overlong {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let is_overlong = std::mem::take(&mut self.is_overlong);
        if let Some(event) = self.pending.strip_prefix(b"data:")
            && !is_overlong
            && let Ok(event) = serde_json::from_slice::<Event>(event)
        {
            self.count(event);
        }
        self.pending.clear();
    }

    fn count(&mut self, event: Event) {
        match event.kind.as_str() {
            "message_start" => {
                if let Some(message) = event.message {
                    self.model = message.model;
                    self.update(message.usage);
                }
            }
            "message_delta" => {
                self.is_final |= event.usage.is_some();
                self.update(event.usage);
            }
            _ => {
                if let Some(delta) = event.delta {
                    let texts = [delta.text, delta.thinking, delta.partial_json];
                    self.text_bytes += texts
                        .iter()
                        .flatten()
                        .map(|text| text.len() as u64)
                        .sum::<u64>();
                }
            }
        }
    }

    /// Replaces what is reported anew; the service reports totals, not differences.
    fn update(&mut self, usage: Option<ReportedUsage>) {
        let Some(usage) = usage else { return };
        let tokens = self.tokens.get_or_insert_default();
        if let Some(count) = usage.input_tokens {
            tokens.input = count;
        }
        if let Some(count) = usage.cache_creation_input_tokens {
            tokens.cache_write = count.saturating_sub(tokens.cache_write_hour);
        }
        if let Some(count) = usage
            .cache_creation
            .and_then(|c| c.ephemeral_1h_input_tokens)
        {
            let all = tokens.cache_write.saturating_add(tokens.cache_write_hour);
            tokens.cache_write_hour = count;
            tokens.cache_write = all.saturating_sub(count);
        }
        if let Some(count) = usage.cache_read_input_tokens {
            tokens.cache_read = count;
        }
        if let Some(count) = usage.output_tokens {
            tokens.output = count;
        }
        if let Some(count) = usage.server_tool_use.and_then(|s| s.web_search_requests) {
            tokens.web_searches = count;
        }
    }
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
        assert_eq!(tally.tokens(900), estimate(900));
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
}
