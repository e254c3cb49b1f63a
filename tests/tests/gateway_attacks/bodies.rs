//! Bodies that would have the service act, and bodies with two meanings.

use super::stage::Stage;

/// Returns a body with `more` in it.
fn with(more: &str) -> String {
    format!(r#"{{"model":"claude-haiku-4-5","max_tokens":9,{more}}}"#)
}

fn block(block: &str) -> String {
    with(&format!(
        r#""messages":[{{"role":"user","content":[{block}]}}]"#
    ))
}

#[test]
fn what_the_service_would_run_or_fetch_is_refused_by_name() {
    let mut stage = Stage::set(&[]);
    let tool = |kind: &str| {
        with(&format!(
            r#""tools":[{{"name":"x"}},{{"type":"{kind}","name":"y"}}]"#
        ))
    };
    for kind in [
        "web_search_20250305",
        "web_search_20260209",
        "web_fetch_20250910",
        "web_fetch_99991231",
        "web_fetch",
        "code_execution_20250522",
        "code_execution_20250825",
        "bash_code_execution_20250825",
        "text_editor_code_execution_20250825",
        "mcp_toolset",
        "mcp",
        "url",
        "function",
        "advisor_20260301",
        "computer_use_remote",
        "custom_remote",
        "Custom",
        "WEB_SEARCH_20250305",
        " custom",
        "custom ",
        "",
        "tool_search_tool_20251119",
    ] {
        let reply = stage.refuses(kind, stage.post(&tool(kind)), 400, "invalid_request_error");
        assert!(
            reply.text.contains("would act outside of the sandbox"),
            "{kind}: {reply:?}"
        );
    }
    for (what, body) in [
        (
            "web_search_1",
            with(r#""to\u006fls":[{"t\u0079pe":"web\u005fsearch_1"}]"#),
        ),
        (
            "mcp_servers",
            with(r#""mcp_servers":[{"type":"url","url":"https://evil","name":"x"}]"#),
        ),
        ("mcp_servers", with(r#""\u006dcp_servers":[{}]"#)),
        ("container", with(r#""container":"container_1""#)),
        (
            "container",
            with(r#""container":{"skills":[{"type":"custom","skill_id":"s"}]}"#),
        ),
        ("container", with(r#""container":{}"#)),
        ("container", with(r#""container":false"#)),
        (
            "container_upload",
            block(r#"{"type":"container_upload","file_id":"f"}"#),
        ),
        (
            "image by url",
            block(r#"{"type":"image","source":{"type":"url","url":"http://169.254.169.254"}}"#),
        ),
        (
            "document by url",
            block(r#"{"type":"document","source":{"type":"url","url":"https://evil"}}"#),
        ),
        (
            "document by file",
            block(r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#),
        ),
        (
            "image by file",
            block(r#"{"source":{"file_id":"f","type":"file"},"type":"image"}"#),
        ),
        (
            "image by url",
            block(r#"{"type":"image","source":{"url":"https://evil"}}"#),
        ),
        (
            "image by file_id",
            block(r#"{"type":"image","source":{"type":"base64","file_id":"f"}}"#),
        ),
        (
            "image by URL",
            block(r#"{"type":"image","source":{"type":"URL","url":"x"}}"#),
        ),
        (
            "image by s3_uri",
            block(r#"{"type":"image","source":{"type":"s3_uri"}}"#),
        ),
        (
            "image by url",
            block(
                r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url"}}]}"#,
            ),
        ),
        (
            "image by url",
            block(
                r#"{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url"}}]}}"#,
            ),
        ),
        (
            "document by url",
            block(
                r#"{"type":"web_fetch_tool_result","content":{"type":"web_fetch_result","content":{"type":"document","source":{"type":"url"}}}}"#,
            ),
        ),
        (
            "document by file",
            with(r#""system":[{"type":"document","source":{"type":"file","file_id":"f"}}]"#),
        ),
        (
            "image by url",
            with(
                r#""messages":[{"role":"user","content":{"type":"image","source":{"type":"url"}}}]"#,
            ),
        ),
    ] {
        let reply = stage.refuses(&body, stage.post(&body), 400, "invalid_request_error");
        let said = format!("`{what}` would act outside of the sandbox");
        assert!(reply.text.contains(&said), "{body}: {reply:?}");
    }
    stage.end();
}

#[test]
fn body_with_two_meanings_is_refused() {
    let mut stage = Stage::set(&[]);
    for body in [
        with(r#""tools":[],"tools":[{"type":"web_fetch_20250910"}]"#),
        with(r#""tools":[],"\u0074ools":[{"type":"web_fetch_20250910"}]"#),
        with(r#""model":"claude-opus-4-1""#),
        with(r#""max_tokens":64000"#),
        with(r#""stream":false,"stream":true"#),
        with(r#""speed":"standard","speed":"fast""#),
        with(r#""metadata":{},"metadata":{}"#),
        with(r#""tools":[{"type":"custom","type":"web_fetch_20250910"}]"#),
        with(r#""messages":[],"messages":[{"content":[{"type":"container_upload"}]}]"#),
        with(r#""messages":[{"content":"","content":[{"type":"container_upload"}]}]"#),
        block(r#"{"type":"text","type":"container_upload"}"#),
        block(r#"{"type":"image","source":{"type":"base64"},"source":{"type":"url"}}"#),
        block(r#"{"type":"image","source":{"type":"base64","type":"url"}}"#),
        with(r#""Tools":[{"type":"web_fetch_20250910"}]"#),
        with(r#""TOOLS":null"#),
        with("\"tool\u{17f}\":[]"),
        with(r#""mcpServers":[]"#),
        with(r#""MCP_Servers":[]"#),
        with(r#""mcp-servers":[]"#),
        with(r#""Container":"c""#),
        with(r#""maxTokens":64000"#),
        with(r#""Model":"claude-opus-4-1""#),
        with(r#""tools":[{"Type":"web_fetch_20250910"}]"#),
        block(r#"{"Type":"container_upload"}"#),
        block(r#"{"type":"image","Source":{"type":"url"}}"#),
        block(r#"{"type":"image","source":{"Type":"url"}}"#),
        block(r#"{"type":"image","source":{"type":"base64","Url":"https://evil"}}"#),
        with(r#""messages":[{"Content":[{"type":"container_upload"}]}]"#),
        with(r#""messages":[[[{"type":"container_upload"}]]]"#),
        with(r#""tools":[["web_fetch_20250910"]]"#),
        with(r#""tools":{"type":"web_fetch_20250910"}"#),
        with(r#""tools":"web_fetch_20250910""#),
        with(r#""tools":[null]"#),
        with(r#""tools":[{"type":["web_fetch_20250910"]}]"#),
        with(r#""tools":[{"type":{"type":"web_fetch_20250910"}}]"#),
        with(r#""mcp_servers":{"type":"url"}"#),
        with(r#""system":7"#),
        with(r#""a":1}{"model":"m""#),
        with(r#""a":1,"#),
        with(r#""a":01"#),
        with(r#""a":NaN"#),
        with(r#""a":1/*"*/"#),
        with("\"a\":\"\n\""),
        with("'a':1"),
        with("a:1"),
        with("\u{feff}\"a\":1"),
        format!("\u{feff}{}", with(r#""a":1"#)),
        r#"["claude-haiku-4-5",9]"#.to_owned(),
        r#""claude-haiku-4-5""#.to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        String::new(),
        " ".to_owned(),
        "model=claude-haiku-4-5&max_tokens=9".to_owned(),
        r#"{"model":null,"max_tokens":9}"#.to_owned(),
        r#"{"model":["claude-haiku-4-5"],"max_tokens":9}"#.to_owned(),
        r#"{"model":"m","max_tokens":-1}"#.to_owned(),
        r#"{"model":"m","max_tokens":1e3}"#.to_owned(),
        r#"{"model":"m","max_tokens":"9"}"#.to_owned(),
        r#"{"model":"m","max_tokens":18446744073709551616}"#.to_owned(),
        format!(r#"{{"model":"m","messages":{}"#, "[".repeat(1 << 16)),
        format!(r#"{{"model":"m","a":{}"#, r#"{"a":"#.repeat(1 << 16)),
    ] {
        let name: String = body.chars().take(120).collect();
        let reply = stage.refuses(&name, stage.post(&body), 400, "invalid_request_error");
        assert!(reply.text.len() < 1000, "{name}: {reply:?}");
    }
    let key = stage.key();
    for bytes in [
        &b"{\"model\":\"m\",\"a\":\"\xff\"}"[..],
        // Overlong, and half of a pair: other letters to a lenient reader.
        b"{\"model\":\"m\",\"a\":\"\xc1\xb4\"}",
        b"{\"model\":\"m\",\"\xed\xa0\x80\":1}",
        b"\xff\xfe{\0\"\0m\0",
        b"{\0\"\0m\0o\0d\0e\0l\0",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"\x28\xb5\x2f\xfd",
    ] {
        let mut raw = format!(
            "POST /v1/messages HTTP/1.1\r\n{key}content-length: {}\r\n\r\n",
            bytes.len()
        )
        .into_bytes();
        raw.extend_from_slice(bytes);
        stage.refuses("other letters", raw, 400, "invalid_request_error");
    }
    stage.end();
}

#[test]
fn count_of_tokens_is_screened_as_well() {
    let mut stage = Stage::set(&[]);
    let count = |body: &str| {
        let post = stage.post(body);
        post.replace("/v1/messages?beta=true", "/v1/messages/count_tokens")
    };
    let bad = count(&with(r#""mcp_servers":[{}]"#));
    let good = count(&with(r#""messages":[]"#));
    stage.refuses("count", bad, 400, "invalid_request_error");
    let (_, seen) = stage.passes("count", good);
    assert!(
        seen.starts_with("POST /v1/messages/count_tokens HTTP/1.1\r\n"),
        "{seen}"
    );
    stage.end();
}

#[test]
fn what_runs_in_the_sandbox_passes_byte_by_byte() {
    let mut stage = Stage::set(&[]);
    for body in [
        with(
            r#""tools":[{"type":"custom","name":"web_search"},{"name":"Bash","input_schema":{"Type":1}}]"#,
        ),
        with(
            r#""tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"e"}]"#,
        ),
        with(
            r#""tools":[{"type":"computer_20251124","name":"c"},{"type":"memory_20250818","name":"m"}]"#,
        ),
        with(
            r#""tools":[{"type":"tool_search_tool_regex_20251119","name":"s"}],"mcp_servers":[],"container":null"#,
        ),
        block(
            r#"{"type":"tool_use","id":"t","name":"x","input":{"type":"container_upload","source":{"type":"url"},"a":1,"a":2}}"#,
        ),
        block(
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}"#,
        ),
        block(r#"{"type":"document","source":{"type":"text","data":"see http://x"}}"#),
        block(
            r#"{"type":"search_result","source":"https://x","content":[{"type":"text","text":"x"}]}"#,
        ),
        with("\"messages\" : [ ] , \"stream\":\"yes\""),
        with(
            r#""model_id":"x","tool_choice":{"type":"web_search"},"thinking":{"type":"enabled","budget_tokens":1024}"#,
        ),
    ] {
        let (_, seen) = stage.passes(&body, stage.post(&body));
        assert!(seen.ends_with(&format!("\r\n\r\n{body}")), "{seen}");
    }
    stage.end();
}
