//! Which request bodies are let in: none that makes the service act for the sandbox.
//!
//! The service can fetch addresses, search, run code and read stored files on behalf of a request.
//! Each of these is a way out of the sandbox.

mod blocks;
mod object;
mod tools;

use serde::de::{IgnoredAny, MapAccess};

use self::blocks::{Blocks, CacheControl};
use self::object::{Fields, Object, shown};
use self::tools::Tool;
use super::pricing::CachedFor;
use super::reply::Refusal;

/// Whether tools that the service runs are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTools {
    Allowed,
    Refused,
}

/// What a body asks for, as far as it decides the price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub model: String,
    pub max_tokens: Option<u64>,
    pub cached_for: CachedFor,
    /// What has a price of its own that is not known, for people.
    pub unpriced: Option<String>,
}

/// The parts of a messages request that matter here.
#[derive(Default)]
struct Body {
    model: Option<String>,
    max_tokens: Option<u64>,
    speed: Option<String>,
    inference_geo: Option<String>,
    tools: Option<Vec<Object<Tool>>>,
    mcp_servers: Option<Vec<IgnoredAny>>,
    container: Option<IgnoredAny>,
    cache_control: Option<Object<CacheControl>>,
    system: Blocks,
    messages: Option<Vec<Object<Message>>>,
}

#[derive(Default)]
struct Message {
    content: Blocks,
}

/// Returns what a body asks for.
///
/// # Errors
///
/// The [`Refusal`] to answer with: not JSON, no model, or something that the service would run.
pub fn screen(body: &[u8], server_tools: ServerTools) -> Result<Ask, Refusal> {
    // The JSON reader does not look into texts that it skips.
    let body = std::str::from_utf8(body)
        .map_err(|cause| Refusal::invalid(format!("the body is not UTF-8: {cause}")))?;
    let Object(body): Object<Body> = serde_json::from_str(body).map_err(|cause| {
        let cause = shown(&cause.to_string());
        Refusal::invalid(format!("the body is no messages request: {cause}"))
    })?;
    if server_tools == ServerTools::Refused
        && let Some(what) = body.server_side()
    {
        return Err(Refusal::new(
            hyper::StatusCode::BAD_REQUEST,
            "invalid_request_error",
            format!(
                "`{}` would act outside of the sandbox and is not allowed",
                shown(&what)
            ),
        ));
    }
    let (cached_for, unpriced) = (body.cached_for(), body.unpriced());
    let model = body
        .model
        .ok_or_else(|| Refusal::invalid("the body is no messages request: it has no `model`"))?;
    Ok(Ask {
        model,
        max_tokens: body.max_tokens,
        cached_for,
        unpriced,
    })
}

impl Fields for Body {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "model" => self.model = map.next_value()?,
            "max_tokens" => self.max_tokens = map.next_value()?,
            "speed" => self.speed = map.next_value()?,
            "inference_geo" => self.inference_geo = map.next_value()?,
            "tools" => self.tools = map.next_value()?,
            "mcp_servers" => self.mcp_servers = map.next_value()?,
            "container" => self.container = map.next_value()?,
            "cache_control" => self.cache_control = map.next_value()?,
            "system" => self.system = map.next_value()?,
            "messages" => self.messages = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Fields for Message {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "content" => self.content = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
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
        tools
            .find_map(|Object(tool)| tool.server_side())
            .or_else(|| self.blocks().find_map(Blocks::server_side))
    }

    fn cached_for(&self) -> CachedFor {
        let mut tools = self.tools.iter().flatten();
        if blocks::is_for_an_hour(self.cache_control.as_ref())
            || tools.any(|Object(tool)| blocks::is_for_an_hour(tool.cache_control.as_ref()))
            || self.blocks().any(Blocks::are_for_an_hour)
        {
            CachedFor::Hour
        } else {
            CachedFor::Minutes
        }
    }

    /// Returns what asks for another price than the table's.
    fn unpriced(&self) -> Option<String> {
        let named = |name: &str, value: &Option<String>, usual: &str| {
            let value = value.as_deref().filter(|value| *value != usual)?;
            Some(format!("{name} `{value}`"))
        };
        named("speed", &self.speed, "standard")
            .or_else(|| named("inference_geo", &self.inference_geo, "global"))
    }

    fn blocks(&self) -> impl Iterator<Item = &Blocks> {
        let messages = self.messages.iter().flatten();
        [&self.system]
            .into_iter()
            .chain(messages.map(|Object(message)| &message.content))
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
            { "type": "text_editor_20250728", "name": "edit" },
            { "type": "computer_20251124", "name": "computer" },
            { "type": "memory_20250818", "name": "memory" },
            { "type": "tool_search_tool_regex_20251119", "name": "search" },
            { "type": "tool_search_tool_bm25", "name": "search" },
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
            "bash_code_execution_20250825",
            "text_editor_code_execution_20250825",
            "tool_search_tool_web_20251119",
            "Custom",
            "",
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
    fn key_that_a_laxer_reader_takes_for_another_is_refused() {
        let message = |body: &str| {
            let refused = screen(body.as_bytes(), ServerTools::Refused);
            let message = refused.unwrap_err().message;
            let cause = message.strip_prefix("the body is no messages request: ");
            let (cause, _line) = cause.unwrap().split_once(" at line").unwrap();
            cause.to_owned()
        };
        for (body, key, meant) in [
            (r#"{"model":"m","Tools":[]}"#, "Tools", "tools"),
            (r#"{"model":"m","tool\u017f":[]}"#, "tool\u{17f}", "tools"),
            (
                r#"{"model":"m","mcpServers":[]}"#,
                "mcpServers",
                "mcp_servers",
            ),
            (
                r#"{"model":"m","MAX-TOKENS":9}"#,
                "MAX-TOKENS",
                "max_tokens",
            ),
            (
                r#"{"model":"m","tools":[{"Type":"custom"}]}"#,
                "Type",
                "type",
            ),
            (
                r#"{"model":"m","messages":[{"content":[{"SOURCE":{}}]}]}"#,
                "SOURCE",
                "source",
            ),
        ] {
            assert_eq!(message(body), format!("`{key}` is written `{meant}`"));
        }
        assert_eq!(
            message(r#"{"model":"m","stream":true,"stream":false}"#),
            "duplicate field `stream`"
        );
        // What a tool takes is its own affair.
        let input = r#"{"model":"m","messages":[{"content":[{"type":"tool_use","input":{"Type":1,"type":2,"type":3}}]}]}"#;
        assert!(screen(input.as_bytes(), ServerTools::Refused).is_ok());
    }

    #[test]
    fn body_that_others_may_read_in_another_way_is_refused() {
        for body in [
            &br#"["m"]"#[..],
            br#"{"model":"m","messages":[[[]]]}"#,
            br#"{"model":"m","metadata":"\xff"}"#,
            b"{\"model\":\"m\",\"metadata\":\"\xc1\xb4\"}",
            br#"{"model":"m"}{"model":"m"}"#,
            br#"{"model":"m",}"#,
            br#"{"model":"m"/**/}"#,
            br#"{"max_tokens":1}"#,
            br#"{"model":"m","max_tokens":1.5}"#,
            br#"{"model":"m","max_tokens":-1}"#,
            br#"{"model":"m","max_tokens":"1"}"#,
        ] {
            let refused = screen(body, ServerTools::Refused).unwrap_err();
            assert_eq!(refused.status, 400, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn source_by_address_is_refused_whatever_it_calls_itself() {
        let with = |source: Value| {
            let block = json!({ "type": "image", "source": source });
            screened(&json!({ "messages": [{ "content": [block] }] }))
        };
        assert_eq!(with(json!({ "url": "https://x" })), refusal("image by url"));
        assert_eq!(
            with(json!({ "type": "base64", "file_id": "f" })),
            refusal("image by file_id")
        );
        assert_eq!(with(json!({ "type": "URL" })), refusal("image by URL"));
        assert_eq!(with(json!({ "type": "s3" })), refusal("image by s3"));
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
                cached_for: CachedFor::Minutes,
                unpriced: Some("speed `fast`".to_owned()),
            }
        );
        let usual = ask(r#"{"model":"m","speed":"standard","inference_geo":"global"}"#);
        assert_eq!(usual.unpriced, None);
        let elsewhere = ask(r#"{"model":"m","inference_geo":"us"}"#);
        assert_eq!(elsewhere.unpriced.unwrap(), "inference_geo `us`");
    }

    #[test]
    fn cache_for_an_hour_is_found_wherever_it_is_asked_for() {
        let cache = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
        let result =
            format!(r#"[{{"content":[{{"type":"tool_result","content":[{{{cache}}}]}}]}}]"#);
        let bodies = [
            format!(r#"{{"model":"m",{cache}}}"#),
            format!(r#"{{"model":"m","tools":[{{{cache}}}]}}"#),
            format!(r#"{{"model":"m","system":[{{{cache}}}]}}"#),
            format!(r#"{{"model":"m","messages":{result}}}"#),
        ];
        for body in bodies {
            let cached_for = |body: &str| {
                let ask = screen(body.as_bytes(), ServerTools::Refused);
                ask.unwrap().cached_for
            };
            assert_eq!(cached_for(&body), CachedFor::Hour, "{body}");
            let short = body.replace("1h", "5m");
            assert_eq!(cached_for(&short), CachedFor::Minutes, "{short}");
        }
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
