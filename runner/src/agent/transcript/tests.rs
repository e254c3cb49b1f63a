//! Lines that Claude Code 2.1.197 really wrote, against the scripted model; ids are replaced.

use proptest::prelude::*;

use super::*;
use crate::agent::Ending;

const WORK: &str = include_str!("work.jsonl");
const RESUME: &str = include_str!("resume.jsonl");
const UNAUTH: &str = include_str!("unauth.jsonl");
const LIMIT: &str = include_str!("limit.jsonl");
const TURNS: &str = include_str!("turns.jsonl");

fn ended(code: i32) -> Circumstances<'static> {
    Circumstances {
        ending: Ending::Code(code),
        stderr: "",
        reset_ms: None,
        is_over_budget: false,
        now_ms: 0,
    }
}

fn hear(protocol: Protocol, bytes: &[u8], code: i32) -> (Vec<Heard>, Report) {
    let mut transcript = Transcript::new(protocol);
    let heard = transcript.push(bytes);
    (heard, transcript.finish(&ended(code)))
}

fn tool(name: &str, summary: &str) -> Heard {
    Heard::Tool {
        name: name.to_owned(),
        summary: summary.to_owned(),
    }
}

#[test]
fn a_session_is_heard_in_order() {
    let (heard, _) = hear(Protocol::ClaudeCode, WORK.as_bytes(), 0);
    assert_eq!(
        heard,
        [
            Heard::Started {
                session: Some("s-1".to_owned()),
                model: Some("claude-opus-4-8[1m]".to_owned()),
                permission_mode: Some("bypassPermissions".to_owned()),
            },
            Heard::Retry {
                attempt: 1,
                error_status: Some(429),
                delay_ms: 1000,
            },
            Heard::Text("I read first.".to_owned()),
            tool("Read", "/workspace/a.txt"),
            Heard::Other,
            tool("Edit", "/workspace/a.txt"),
            tool("Bash", "echo hi; touch /proc/version; true"),
            Heard::Other,
            Heard::Other,
            tool("Write", "/proc/version"),
            tool("Bash", "cat /nope"),
            Heard::Other,
            Heard::Other,
            Heard::Text("Doubled the speed. And more.".to_owned()),
            Heard::Other,
        ]
    );
}

#[test]
fn a_session_adds_up() {
    let (_, report) = hear(Protocol::ClaudeCode, WORK.as_bytes(), 0);
    assert_eq!(
        report,
        Report {
            usage: Usage {
                turns: 6,
                input_tokens: 4000,
                output_tokens: 400,
                cost_usd: Cost::from_microdollars(30_000),
            },
            session: Some("s-1".to_owned()),
            summary: "Doubled the speed.".to_owned(),
            result: "Doubled the speed. And more.".to_owned(),
            tools: [("Bash", 2), ("Edit", 1), ("Read", 1), ("Write", 1)]
                .map(|(n, c)| (n.to_owned(), c))
                .into(),
            denials: 0,
            errors: Vec::new(),
            retries: 1,
            outcome: AgentOutcome::Finished,
        }
    );
}

#[test]
fn a_refused_write_of_a_shell_is_a_denial() {
    let (heard, report) = hear(Protocol::ClaudeCode, RESUME.as_bytes(), 0);
    let message = "/bin/bash: line 1: /proc/sys/kernel/ostype: Permission denied".to_owned();
    let denied = Heard::Denied {
        tool: "Bash".to_owned(),
        message,
        file: None,
    };
    assert_eq!((heard.contains(&denied), report.denials), (true, 1));
}

#[test]
fn a_refusal_by_a_permission_rule_is_counted_once() {
    let lines = concat!(
        r#"{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t1","name":"Write","input":{"file_path":"/x"}},{"type":"tool_use","id":"t2","name":"Bash","input":{"command":"id"}}]}}"#,
        "\n",
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":[{"type":"text","text":"EACCES: permission denied, open '/x'"}]}]}}"#,
        "\n",
        r#"{"type":"result","subtype":"success","is_error":false,"result":"ok","permission_denials":[{"tool_name":"Write","tool_use_id":"t1","tool_input":{}},{"tool_name":"Bash","tool_use_id":"t2","tool_input":{"command":"id"}}]}"#,
        "\n",
    );
    assert_eq!(hear(Protocol::ClaudeCode, lines.as_bytes(), 0).1.denials, 2);
}

#[test]
fn a_refused_key_and_a_limit_are_told_apart() {
    let (_, report) = hear(Protocol::ClaudeCode, UNAUTH.as_bytes(), 1);
    let message = "Invalid API key · Fix external API key".to_owned();
    assert_eq!(
        report.outcome,
        AgentOutcome::Unauthorized {
            message: message.clone()
        }
    );
    assert_eq!(report.errors, [message]);
    let (_, report) = hear(Protocol::ClaudeCode, LIMIT.as_bytes(), 1);
    assert_eq!(report.outcome, AgentOutcome::UsageLimit { reset_ms: None });
}

#[test]
fn a_session_that_used_all_turns_is_finished_and_says_so() {
    let (_, report) = hear(Protocol::ClaudeCode, TURNS.as_bytes(), 1);
    assert_eq!(report.outcome, AgentOutcome::Finished);
    assert_eq!(report.errors, ["Reached maximum number of turns (2)"]);
}

#[test]
fn a_killed_session_still_reports_the_tokens_of_its_answers() {
    let (killed, _) = WORK.rsplit_once("{\"type\":\"result\"").unwrap();
    let mut transcript = Transcript::new(Protocol::ClaudeCode);
    transcript.push(killed.as_bytes());
    let report = transcript.finish(&Circumstances {
        ending: Ending::TimedOut,
        ..ended(0)
    });
    assert_eq!(report.outcome, AgentOutcome::TimedOut);
    assert_eq!((report.usage.turns, report.usage.input_tokens), (4, 4000));
    assert_eq!(report.session.as_deref(), Some("s-1"));
}

#[test]
fn a_line_of_ten_megabytes_and_no_utf8_are_survived() {
    let mut bytes = b"\xff\xfe{\n[1,2]\n\"x\"\n{\"type\":\"new_kind\",\"session_id\":7}\n".to_vec();
    let long = "x".repeat(10 << 20);
    bytes.extend(
        format!(r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{long}"#)
            .bytes(),
    );
    bytes.extend(b"\xff\"}]}}\n");
    let (heard, report) = hear(Protocol::ClaudeCode, &bytes, 0);
    assert_eq!(heard[..4], [const { Heard::Other }; 4]);
    assert_eq!(heard[4], Heard::Text(format!("{}…", "x".repeat(1999))));
    assert!(matches!(report.outcome, AgentOutcome::Failed { .. }));
}

#[test]
fn a_plain_program_is_judged_by_its_exit_code() {
    let (heard, report) = hear(Protocol::None, b"thinking\ndone: 2x\n", 0);
    assert_eq!(
        heard,
        [
            Heard::Text("thinking".to_owned()),
            Heard::Text("done: 2x".to_owned())
        ]
    );
    assert_eq!(
        (report.summary.as_str(), report.outcome),
        ("done: 2x", AgentOutcome::Finished)
    );
    let (_, report) = hear(Protocol::None, b"", 3);
    let message = "ended with exit code 3".to_owned();
    assert_eq!(report.outcome, AgentOutcome::Failed { message });
}

proptest! {
    #[test]
    fn chunks_of_any_size_say_the_same(cuts in prop::collection::vec(0..=WORK.len(), 0..40), protocol in prop::bool::ANY) {
        let protocol = if protocol { Protocol::ClaudeCode } else { Protocol::None };
        let mut cuts = cuts;
        cuts.extend([0, WORK.len()]);
        cuts.sort_unstable();
        let mut transcript = Transcript::new(protocol);
        let heard: Vec<Heard> = cuts
            .windows(2)
            .flat_map(|cut| transcript.push(&WORK.as_bytes()[cut[0]..cut[1]]))
            .collect();
        prop_assert_eq!((heard, transcript.finish(&ended(0))), hear(protocol, WORK.as_bytes(), 0));
    }

    #[test]
    fn no_bytes_end_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        hear(Protocol::ClaudeCode, &bytes, 0);
        hear(Protocol::None, &bytes, 1);
    }
}

#[test]
fn an_agent_that_invents_names_without_end_fills_no_memory() {
    let long = "x".repeat(5000);
    let mut transcript = Transcript::new(Protocol::ClaudeCode);
    for n in 0..MAX_KEPT + 10 {
        let line = format!(
            r#"{{"type":"assistant","session_id":"{long}","message":{{"id":"m{n}","usage":{{}},"content":[{{"type":"tool_use","id":"c{n}","name":"t{n}"}}]}}}}"#
        );
        transcript.push(line.as_bytes());
        transcript.push(b"\n");
    }
    let said = &transcript.said;
    let kept = [said.tools.len(), said.calls.len(), said.messages.len()];
    assert_eq!(kept, [MAX_KEPT; 3]);
    let report = transcript.finish(&ended(0));
    assert_eq!(report.session.unwrap().chars().count(), 200);
}
