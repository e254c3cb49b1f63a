//! A turn of the script as the messages API writes it, whole or as server-sent events.

use serde_json::{Value, json};

use super::script::{Turn, TurnUsage};

/// One message of the model, ready to be written.
pub struct Message {
    pub id: String,
    pub model: String,
    pub blocks: Vec<Value>,
    pub usage: TurnUsage,
}

impl Message {
    /// Returns the message for `turn`; `id` tells it and its tool calls from all others.
    pub fn new(turn: Turn, model: &str, id: &str) -> Self {
        let text = turn.text.map(|text| json!({"type": "text", "text": text}));
        let calls = turn.tools.into_iter().enumerate().map(|(n, call)| {
            json!({"type": "tool_use", "id": format!("toolu_{id}_{n}"), "name": call.name, "input": call.input})
        });
        Self {
            id: format!("msg_{id}"),
            model: model.to_owned(),
            blocks: text.into_iter().chain(calls).collect(),
            usage: turn.usage,
        }
    }

    fn stop_reason(&self) -> &'static str {
        if self.blocks.iter().any(|b| b["type"] == "tool_use") {
            "tool_use"
        } else {
            "end_turn"
        }
    }

    /// Returns the message as one JSON value.
    pub fn whole(&self) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": self.blocks, "stop_reason": self.stop_reason(), "stop_sequence": null,
            "usage": self.usage(self.usage.output_tokens),
        })
    }

    /// Returns the message as server-sent events, in order.
    pub fn events(&self) -> Vec<String> {
        let start = json!({"type": "message_start", "message": {
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": self.usage(1),
        }});
        let end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason(), "stop_sequence": null},
            "usage": self.usage(self.usage.output_tokens),
        });
        std::iter::once(start)
            .chain(
                self.blocks
                    .iter()
                    .enumerate()
                    .flat_map(|(n, block)| block_events(n, block)),
            )
            .chain([end, json!({"type": "message_stop"})])
            .map(|event| {
                format!(
                    "event: {}\ndata: {event}\n\n",
                    event["type"].as_str().unwrap_or("ping")
                )
            })
            .collect()
    }

    fn usage(&self, output_tokens: u64) -> Value {
        json!({
            "input_tokens": self.usage.input_tokens,
            "cache_creation_input_tokens": self.usage.cache_creation_input_tokens,
            "cache_read_input_tokens": self.usage.cache_read_input_tokens,
            "output_tokens": output_tokens,
        })
    }
}

fn block_events(index: usize, block: &Value) -> [Value; 3] {
    let (empty, delta) = if block["type"] == "tool_use" {
        let mut empty = block.clone();
        empty["input"] = json!({});
        let input = block["input"].to_string();
        (
            empty,
            json!({"type": "input_json_delta", "partial_json": input}),
        )
    } else {
        let delta = json!({"type": "text_delta", "text": block["text"]});
        (json!({"type": "text", "text": ""}), delta)
    };
    [
        json!({"type": "content_block_start", "index": index, "content_block": empty}),
        json!({"type": "content_block_delta", "index": index, "delta": delta}),
        json!({"type": "content_block_stop", "index": index}),
    ]
}
