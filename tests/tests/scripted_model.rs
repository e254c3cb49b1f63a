//! The real Claude Code, driven by the scripted model over loopback, heard by the runner.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use autoclave_runner::agent::{
    AgentOutcome, Circumstances, Ending, Report, Transcript, launch, locate,
};
use autoclave_runner::marker::{AgentSpec, Protocol};
use e2e::model_server::{ModelServer, Script};

/// Runs Claude Code on the host, in `folder`, with nothing of the user's environment.
fn run_claude(server: &ModelServer, folder: &Path, resume: Option<&str>) -> (Output, Report) {
    let command = env::var("AUTOCLAVE_TEST_CLAUDE").unwrap_or_else(|_| "claude".to_owned());
    let program = locate(&command, env::var_os("PATH").as_deref())
        .expect("Claude Code is on the PATH or named by AUTOCLAVE_TEST_CLAUDE");
    let spec = AgentSpec {
        from_host: false,
        name: "claude".to_owned(),
        model: None,
        permission_mode: "bypassPermissions".to_owned(),
        allowed_tools: Vec::new(),
        disallowed_tools: Vec::new(),
        command: vec![command],
        protocol: Protocol::ClaudeCode,
        max_turns: Some(20),
    };
    let launch = launch(&spec, &program.host, "make it faster", resume);
    let mut child = Command::new(&launch.argv[0])
        .args(&launch.argv[1..])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.join("home"))
        .env("ANTHROPIC_BASE_URL", server.url())
        .env("ANTHROPIC_API_KEY", "test-key")
        .envs(&launch.env)
        // More would only wait longer for the same answer.
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .current_dir(folder.join("work"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&launch.stdin)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let mut transcript = Transcript::new(Protocol::ClaudeCode);
    transcript.push(&output.stdout);
    let report = transcript.finish(&Circumstances {
        ending: Ending::Code(output.status.code().unwrap()),
        stderr: &String::from_utf8_lossy(&output.stderr),
        reset_ms: None,
        is_over_budget: false,
        now_ms: 0,
    });
    (output, report)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("work")).unwrap();
    fs::create_dir(folder.path().join("home")).unwrap();
    folder
}

#[test]
fn claude_code_reads_edits_runs_a_shell_and_goes_on_when_resumed() {
    let folder = folder();
    let file = folder.path().join("work/a.txt");
    fs::write(&file, "one\n").unwrap();
    let name = file.to_str().unwrap();
    let script = format!(
        r#"
sessions:
- turns:
  - text: I read first.
    tools: [{{name: Read, input: {{file_path: {name}}}}}]
  - tools: [{{name: Edit, input: {{file_path: {name}, old_string: one, new_string: two}}}}]
  - tools: [{{name: Bash, input: {{command: "cat a.txt; echo x > /proc/sys/kernel/ostype"}}}}]
  - text: Doubled it. There is more to say.
  rework:
  - - {{tools: [{{name: Bash, input: {{command: "echo again > b.txt"}}}}]}}
    - {{text: Repaired.}}
"#
    );
    let server = ModelServer::start(Script::parse(&script).unwrap()).unwrap();

    let (output, report) = run_claude(&server, folder.path(), None);
    assert_eq!(report.outcome, AgentOutcome::Finished, "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
    assert_eq!(report.summary, "Doubled it.");
    assert_eq!(
        (report.usage.input_tokens, report.usage.output_tokens),
        (4000, 400)
    );
    assert_eq!((report.denials, report.retries), (1, 0));
    let shell = server.tool_results().pop().unwrap();
    assert!(shell.is_error);
    assert!(shell.text.contains("two\n"), "{}", shell.text);
    assert!(
        shell
            .text
            .contains("/proc/sys/kernel/ostype: Permission denied"),
        "{}",
        shell.text
    );

    let (output, report) = run_claude(&server, folder.path(), report.session.as_deref());
    assert_eq!(report.result, "Repaired.", "{output:?}");
    assert_eq!(
        fs::read_to_string(folder.path().join("work/b.txt")).unwrap(),
        "again\n"
    );
    let keys: Vec<_> = server
        .seen()
        .iter()
        .filter_map(|seen| seen.headers.get("x-api-key").cloned())
        .collect();
    assert!(
        !keys.is_empty() && keys.iter().all(|key| key == "test-key"),
        "{keys:?}"
    );
}

#[test]
fn each_refusal_of_the_service_reaches_the_report() {
    let folder = folder();
    let refuse = |status: u16, kind: &str| {
        let turn = format!(
            "{{error: {{status: {status}, type: {kind}, headers: {{x-should-retry: 'false'}}}}}}"
        );
        format!("- [{}]\n", [turn.as_str(); 5].join(", "))
    };
    let script = format!(
        "sessions:\n{}{}{}",
        refuse(403, "permission_error"),
        refuse(429, "rate_limit_error"),
        refuse(529, "overloaded_error")
    );
    let server = ModelServer::start(Script::parse(&script).unwrap()).unwrap();
    let outcome = || run_claude(&server, folder.path(), None).1.outcome;
    assert_eq!(outcome().word(), "unauthorized");
    assert_eq!(outcome().word(), "usage_limit");
    assert_eq!(outcome().word(), "overloaded");
}
