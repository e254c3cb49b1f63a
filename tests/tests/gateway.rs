//! `autoclave gateway` as a process: a client on its socket, the scripted model behind it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use e2e::model_server::{ModelServer, Script};
use e2e::stage::autoclave;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const KEY: &str = "sk-ant-test-never-to-be-seen-outside";
const QUESTION: &str = "a-question-that-is-nobodys-business";
const SCRIPT: &str = "sessions: [[{text: an-answer-that-is-nobodys-business}]]";

/// A private folder with a key in a file, and a model to ask.
struct Bench {
    folder: tempfile::TempDir,
    server: ModelServer,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let bench = Self {
            folder,
            server: ModelServer::start(Script::parse(SCRIPT).unwrap()).unwrap(),
        };
        fs::write(bench.path("key"), format!("ANTHROPIC_API_KEY={KEY}\n")).unwrap();
        bench.chmod("key", 0o600);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(autoclave());
        command
            .args(["--json", "gateway"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("AUTOCLAVE_STATE_DIR", self.path("state"))
            .env("AUTOCLAVE_CREDENTIAL_FILE", self.path("key"))
            .env("ANTHROPIC_BASE_URL", self.server.url());
        command
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Running {
            child,
            stdout,
            hello: serde_json::from_str(&line).unwrap(),
        }
    }

    /// Returns the message of a gateway that does not start.
    fn refusal(&self, change: impl FnOnce(&mut Command)) -> String {
        let mut command = self.command(&[]);
        change(&mut command);
        let output: Output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains(KEY));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        message.replace(self.folder.path().to_str().unwrap(), "HERE")
    }
}

struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    hello: Value,
}

impl Running {
    fn text(&self, key: &str) -> &str {
        self.hello[key].as_str().unwrap()
    }

    fn ask(&self, token: &str, max_tokens: u32) -> String {
        let body = json!({
            "model": "claude-haiku-4-5", "max_tokens": max_tokens, "stream": true,
            "tools": [{"name": "Read"}],
            "messages": [{"role": "user", "content": QUESTION}],
        })
        .to_string();
        let mut stream = UnixStream::connect(self.text("socket")).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             x-api-key: {token}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    /// Sends SIGTERM and returns the last line.
    fn terminate(mut self) -> Value {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of no effect after `terminate`; ends the gateway of a test that failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn request_goes_through_with_the_key_of_the_file_and_leaves_one_audit_line() {
    let bench = Bench::new();
    let (socket, audit) = (bench.path("shared"), bench.path("audit.jsonl"));
    let gateway = bench.start(&[
        "--socket",
        socket.to_str().unwrap(),
        "--audit",
        audit.to_str().unwrap(),
        "--max-cost-usd",
        "0.1",
    ]);
    let token = gateway.text("token").to_owned();
    assert_eq!(gateway.hello["env"]["ANTHROPIC_API_KEY"], token);
    assert_eq!(
        gateway.hello["container_env"]["ANTHROPIC_UNIX_SOCKET"],
        "/run/autoclave/gateway.sock"
    );
    assert_eq!(mode(&socket.join("gateway.sock")), 0o666);
    assert_eq!(mode(&audit), 0o600);

    let reply = gateway.ask(&token, 1000);
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(
        reply.contains("an-answer-that-is-nobodys-business"),
        "{reply}"
    );
    let seen = bench.server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers["x-api-key"], KEY);
    assert!(
        gateway
            .ask("autoclave-guess", 1000)
            .starts_with("HTTP/1.1 401")
    );
    // 50,000 tokens at 5 dollars a million are more than there are.
    let dear = gateway.ask(&token, 50_000);
    assert!(dear.contains("may cost up to 0.25"), "{dear}");
    assert_eq!(bench.server.seen().len(), 1);

    let last = gateway.terminate();
    assert_eq!(last["requests"], 3);
    assert!(last["cost_usd"].as_f64().unwrap() > 0.0, "{last}");
    assert!(!socket.join("gateway.sock").exists());
    let text = fs::read_to_string(&audit).unwrap();
    for secret in [KEY, &token, QUESTION, "an-answer-that"] {
        assert!(!text.contains(secret), "{text}");
    }
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let statuses: Vec<_> = lines
        .iter()
        .map(|line| (&line["status"], &line["refused"]))
        .collect();
    assert_eq!(
        statuses,
        [
            (&json!(200), &Value::Null),
            (&json!(401), &json!("authentication_error")),
            (&json!(403), &json!("budget_exceeded")),
        ]
    );
}

#[test]
fn places_are_private_by_default() {
    let bench = Bench::new();
    let gateway = bench.start(&[]);
    let state = bench.path("state");
    assert_eq!(
        gateway.text("socket"),
        state.join("gateway/gateway.sock").to_str().unwrap()
    );
    assert_eq!(
        gateway.text("audit"),
        state.join("gateway-audit.jsonl").to_str().unwrap()
    );
    assert_eq!(mode(&state), 0o700);
    gateway.terminate();
}

#[test]
fn folder_that_others_can_reach_or_change_is_refused() {
    let bench = Bench::new();
    fs::create_dir(bench.path("shared")).unwrap();
    // The temporary folder itself is private; opened, nothing on the way is.
    bench.chmod("", 0o755);
    for (mode, problem) in [
        (0o755, "can be reached by others"),
        (0o711, "can be reached by others"),
        (0o720, "can be changed by others"),
        (0o777, "can be changed by others"),
    ] {
        bench.chmod("shared", mode);
        let refusal = bench.refusal(|command| {
            command.args(["--socket", "shared", "--audit", "audit.jsonl"]);
        });
        assert_eq!(refusal, format!("`shared` {problem}"), "{mode:o}");
    }
    bench.chmod("shared", 0o700);
    bench
        .start(&["--socket", "shared", "--audit", "audit.jsonl"])
        .terminate();
    let inside = bench.refusal(|command| {
        command.args(["--socket", "shared", "--audit", "shared/../shared/a.jsonl"]);
    });
    assert_eq!(
        inside,
        "the audit file `shared/../shared/a.jsonl` lies in the socket's folder"
    );
}

#[test]
fn credential_that_is_open_missing_or_ambiguous_is_refused_without_being_shown() {
    let bench = Bench::new();
    bench.chmod("key", 0o640);
    assert_eq!(
        bench.refusal(|_| {}),
        "the credential file `HERE/key` has mode 640: others than its owner have access"
    );
    bench.chmod("key", 0o600);
    assert_eq!(
        bench.refusal(|command| {
            command.env("CLAUDE_CODE_OAUTH_TOKEN", "another");
        }),
        "the credential file `HERE/key` and `CLAUDE_CODE_OAUTH_TOKEN` differ"
    );
    assert_eq!(
        bench.refusal(|command| {
            command.args(["--credential-file", "missing"]);
        }),
        "could not read the credential file `missing`"
    );
    assert_eq!(
        bench.refusal(|command| {
            command.env_remove("AUTOCLAVE_CREDENTIAL_FILE");
        }),
        "there is no credential"
    );
}

#[test]
fn proxy_certificates_and_prices_that_cannot_be_used_are_refused_by_name() {
    let bench = Bench::new();
    let with = |name: &str, value: &str| {
        bench.refusal(|command| {
            command.env(name, value);
        })
    };
    assert_eq!(
        with("HTTPS_PROXY", "socks5://proxy:1080"),
        "the proxy is no `http://host[:port]`"
    );
    assert_eq!(
        with("SSL_CERT_FILE", "/nowhere/ca.pem"),
        "could not read certificates from `/nowhere/ca.pem`"
    );
    assert_eq!(
        with("AUTOCLAVE_PRICES", bench.path("key").to_str().unwrap()),
        "the prices are not of the form `{\"MODEL\": {\"input\": 3, \"output\": 15}}`"
    );
    assert_eq!(
        with("ANTHROPIC_BASE_URL", "http://api.anthropic.com"),
        "the upstream is neither https nor http on a loopback host"
    );
}
