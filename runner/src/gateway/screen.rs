//! Which request bodies are let in: none that makes the service act for the sandbox.
//!
//! The service can fetch addresses, search, run code and read stored files on behalf of a request.
//! Each of these is a way out of the sandbox.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::reply::Refusal;

/// Beginnings of the types of tools that run on the caller's side, or only look through the list of
/// tools. What is not listed is refused, tools to come included.
const LOCAL_TOOLS: [&str; 6] = [
    "custom",
    "bash_",
    "text_editor_",
    "computer_",
    "memory_",
    "tool_search_tool_",
];
const MAX_SHOWN: usize = 80;

/// Whether tools that the service runs are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTools {
    Allowed,
    Refused,
}

/// The parts of a messages request that matter here. A key that occurs twice is an error.
#[derive(Deserialize)]
struct Body {
    model: String,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    speed: Option<String>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    mcp_servers: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    container: Option<IgnoredAny>,
    #[serde(default)]
    system: Blocks,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Blocks,
}

#[derive(Deserialize)]
struct Block {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    source: Source,
    #[serde(default)]
    content: Blocks,
}

/// Content blocks; text and anything else that is not a list or an object holds none.
#[derive(Default)]
struct Blocks(Vec<Block>);

/// The `type` of an object; anything else has none.
#[derive(Default)]
struct Source {
    kind: Option<String>,
    content: Blocks,
}

/// What a body asks for, as far as it decides the price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub model: String,
    pub max_tokens: Option<u64>,
    /// Another speed than the standard one, at another price.
    pub speed: Option<String>,
}

/// Returns what a body asks for.
///
/// # Errors
///
/// The [`Refusal`] to answer with: not JSON, no model, or something that the service would run.
pub fn screen(body: &[u8], server_tools: ServerTools) -> Result<Ask, Refusal> {
    // What is passed over is not held against UTF-8, and whoever mends it may read other keys.
    let body = std::str::from_utf8(body)
        .map_err(|cause| Refusal::invalid(format!("the body is not UTF-8: {cause}")))?;
    let body: Body = serde_json::from_str(body)
        .map_err(|cause| Refusal::invalid(format!("the body is no messages request: {cause}")))?;
    if server_tools == ServerTools::Refused
        && let Some(what) = body.server_side()
    {
        let shown: String = what.chars().take(MAX_SHOWN).collect();
        return Err(Refusal::new(
            hyper::StatusCode::BAD_REQUEST,
            "invalid_request_error",
            format!("`{shown}` would act outside of the sandbox and is not allowed"),
        ));
    }
    Ok(Ask {
        model: body.model,
        max_tokens: body.max_tokens,
        speed: body.speed.filter(|speed| speed != "standard"),
    })
}

impl Body {
    /// Returns the name of the first thing that would act on the service's side.
    fn server_side(&self) -> Option<String> {
        if self.mcp_servers.as_ref().is_some_and(|s| !s.is_empty()) {
            return Some("mcp_servers".to_owned());
        }
        if self.container.is_some() {
            return Some("container".to_owned());
        }
        let mut tools = self.tools.iter().flatten();
        let kinds = tools.find_map(|tool| {
            let kind = tool.kind.as_deref()?;
            let is_local = LOCAL_TOOLS.iter().any(|local| {
                if local.ends_with('_') {
                    kind.starts_with(local)
                } else {
                    kind == *local
                }
            });
            (!is_local).then(|| kind.to_owned())
        });
        let contents = self.messages.iter().map(|message| &message.content);
        kinds.or_else(|| {
            [&self.system]
                .into_iter()
                .chain(contents)
                .find_map(Blocks::server_side)
        })
    }
}

impl Blocks {
    fn server_side(&self) -> Option<String> {
        self.0.iter().find_map(|block| {
            if block.kind == "container_upload" {
                return Some(block.kind.clone());
            }
            match block.source.kind.as_deref() {
                Some(source @ ("url" | "file")) => Some(format!("{} by {source}", block.kind)),
                _ => block
                    .content
                    .server_side()
                    .or_else(|| block.source.content.server_side()),
            }
        })
    }
}

impl<'de> Deserialize<'de> for Blocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlocksVisitor)
    }
}

struct BlocksVisitor;

impl<'de> Visitor<'de> for BlocksVisitor {
    type Value = Blocks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of content blocks")
    }

    fn visit_unit<E>(self) -> Result<Blocks, E> {
        Ok(Blocks::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Blocks, E> {
        Ok(Blocks::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blocks, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = seq.next_element()? {
            blocks.push(block);
        }
        Ok(Blocks(blocks))
    }

    /// Results of server tools hold one object where others hold a list.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Blocks, A::Error> {
        let block = Block::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Blocks(vec![block]))
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or an object with a type")
    }

    fn visit_unit<E>(self) -> Result<Source, E> {
        Ok(Source::default())
    }

    /// The source of a search result is a text.
    fn visit_str<E>(self, _: &str) -> Result<Source, E> {
        Ok(Source::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
        let block = Block::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Source {
            kind: Some(block.kind),
            content: block.content,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn screened(extra: &Value) -> Result<String, String> {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        screen(body.to_string().as_bytes(), ServerTools::Refused)
            .map(|ask| ask.model)
            .map_err(|refusal| refusal.message)
    }

    fn refusal(what: &str) -> Result<String, String> {
        Err(format!(
            "`{what}` would act outside of the sandbox and is not allowed"
        ))
    }

    #[test]
    fn local_tools_are_let_in() {
        let tools = json!({ "tools": [
            { "name": "Edit", "input_schema": { "type": "object" } },
            { "type": "custom", "name": "Read" },
            { "type": null, "name": "Write" },
            { "type": "bash_20250124", "name": "bash" },
        ], "mcp_servers": [], "container": null });
        assert_eq!(screened(&tools), Ok("m".to_owned()));
    }

    #[test]
    fn tools_of_the_service_are_refused_by_name() {
        for kind in [
            "web_search_20250305",
            "web_fetch_20250910",
            "code_execution_20250825",
            "mcp_toolset",
            "custom_cloud",
            "something_new",
        ] {
            let tools = json!({ "tools": [{ "name": "a" }, { "type": kind, "name": "b" }] });
            assert_eq!(screened(&tools), refusal(kind));
        }
        assert_eq!(
            screened(&json!({ "mcp_servers": [{ "url": "https://x" }] })),
            refusal("mcp_servers")
        );
        assert_eq!(screened(&json!({ "container": "c" })), refusal("container"));
    }

    #[test]
    fn content_that_the_service_would_fetch_is_refused_at_any_depth() {
        let image = json!({ "type": "image", "source": { "type": "url", "url": "https://x" } });
        let file = json!({ "type": "document", "source": { "type": "file", "file_id": "f" } });
        let inside =
            json!({ "type": "document", "source": { "type": "content", "content": [image] } });
        let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": [file] });
        let with = |block: &Value| screened(&json!({ "messages": [{ "content": [block] }] }));
        assert_eq!(with(&image), refusal("image by url"));
        assert_eq!(with(&file), refusal("document by file"));
        assert_eq!(with(&inside), refusal("image by url"));
        assert_eq!(with(&result), refusal("document by file"));
        assert_eq!(
            with(&json!({ "type": "container_upload", "file_id": "f" })),
            refusal("container_upload")
        );
    }

    #[test]
    fn what_a_model_wrote_as_tool_input_is_let_in() {
        let content = json!([
            { "type": "tool_use", "input": { "type": "image", "source": { "type": "url" } } },
            { "type": "tool_result", "content": "text" },
            { "type": "image", "source": { "type": "base64", "data": "AA==" } },
        ]);
        let messages = json!({ "messages": [{ "content": content }] });
        assert_eq!(screened(&messages), Ok("m".to_owned()));
    }

    #[test]
    fn key_that_occurs_twice_or_hides_in_escapes_does_not_slip_through() {
        let twice = br#"{"model":"m","tools":[],"tools":[{"type":"web_fetch_1"}]}"#;
        let escaped = br#"{"model":"m","to\u006fls":[{"t\u0079pe":"web\u005ffetch_1"}]}"#;
        let message = |body: &[u8]| screen(body, ServerTools::Refused).unwrap_err().message;
        assert_eq!(
            message(twice),
            "the body is no messages request: duplicate field `tools` at line 1 column 31"
        );
        assert_eq!(Err(message(escaped)), refusal("web_fetch_1"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_wherever_they_are() {
        let body = b"{\"model\":\"m\",\"metadata\":{\"us\xffer\":1}}";
        assert_eq!(
            screen(body, ServerTools::Refused).unwrap_err().message,
            "the body is not UTF-8: invalid utf-8 sequence of 1 bytes from index 28"
        );
    }

    #[test]
    fn allowed_server_tools_are_let_in() {
        let body = br#"{"model":"m","tools":[{"type":"web_search_20250305"}]}"#;
        let ask = screen(body, ServerTools::Allowed).map(|ask| ask.model);
        assert_eq!(ask, Ok("m".to_owned()));
    }

    #[test]
    fn what_decides_the_price_is_read() {
        let ask = |body: &str| screen(body.as_bytes(), ServerTools::Refused).unwrap();
        let fast = ask(r#"{"model":"m","max_tokens":7,"speed":"fast"}"#);
        assert_eq!(
            fast,
            Ask {
                model: "m".to_owned(),
                max_tokens: Some(7),
                speed: Some("fast".to_owned()),
            }
        );
        assert_eq!(ask(r#"{"model":"m","speed":"standard"}"#).speed, None);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let depth = 100_000;
        let body = format!(
            r#"{{"model":"m","messages":[{{"content":{}"#,
            r#"[{"content":"#.repeat(depth)
        );
        assert_eq!(
            screen(body.as_bytes(), ServerTools::Refused)
                .unwrap_err()
                .status,
            400
        );
    }
}
