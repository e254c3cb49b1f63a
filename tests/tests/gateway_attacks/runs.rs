//! `autoclave gateway --runs`: runs against one another, and the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use e2e::gateway_process::{GatewayProcess, KEY, Reply, rest, send, wait_until};
use e2e::hostile_service::HostileService;
use serde_json::{Value, json};

use super::stage::BODY;

/// A run's part of a gateway, spoken to by hand.
pub struct Run {
    pub socket: PathBuf,
    pub token: String,
    lines: BufReader<UnixStream>,
}

impl Run {
    pub fn open(gateway: &GatewayProcess) -> Self {
        let mut lines = BufReader::new(say(gateway, b"{\"open\":{\"max_cost_usd\":null}}\n"));
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(!line.contains(KEY));
        let opened: Value = serde_json::from_str(&line).unwrap();
        let opened = &opened["opened"];
        let name = opened["run"].as_str().unwrap();
        Self {
            socket: gateway.path(&format!("socket/{name}/gateway.sock")),
            token: opened["env"]["ANTHROPIC_API_KEY"]
                .as_str()
                .unwrap()
                .to_owned(),
            lines,
        }
    }

    pub fn audited(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.contains(KEY));
        serde_json::from_str(&line).unwrap()
    }

    /// Ends the run, and returns the lines not read before.
    pub fn close(self) -> Vec<Value> {
        self.lines
            .get_ref()
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
        let lines = self.lines.lines();
        lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect()
    }

    fn ask(&self, token: &str) -> Reply {
        let post = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        send(&self.socket, post.as_bytes())
    }
}

fn say(gateway: &GatewayProcess, said: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(gateway.path("socket/control.sock")).unwrap();
    // Who says too much is not listened to.
    drop(stream.write_all(said));
    stream
}

#[test]
fn token_of_one_run_is_nothing_to_another() {
    let service = HostileService::start();
    let gateway = GatewayProcess::start(&service.url(), &["--runs"]);
    let (mut one, mut other) = (Run::open(&gateway), Run::open(&gateway));
    assert_ne!(one.token, other.token);
    for (run, token) in [(&one, &other.token), (&other, &one.token)] {
        let reply = run.ask(token);
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (401, Some("authentication_error")),
            "{reply:?}"
        );
    }
    assert_eq!(service.seen(), [""; 0]);
    for run in [&mut one, &mut other] {
        assert_eq!(run.audited()["refused"], "authentication_error");
        assert_eq!(run.ask(&run.token).status(), 200);
        assert_eq!(run.audited()["status"], 200);
    }
    assert_eq!(service.seen().len(), 2);
    // A run that has ended leaves nothing, and its token is worth nothing.
    let (token, socket) = (one.token.clone(), one.socket.clone());
    assert_eq!(one.close(), [Value::Null; 0]);
    assert!(!socket.exists());
    assert_eq!(other.ask(&token).status(), 401);
    assert_eq!(service.seen(), [""; 0]);
    gateway.terminate();
}

#[test]
fn nonsense_on_the_control_socket_opens_nothing() {
    let service = HostileService::start();
    let gateway = GatewayProcess::start(&service.url(), &["--runs"]);
    let folder = gateway.path("socket");
    let before = gateway.descriptors();
    for said in [
        &b"\n"[..],
        b"garbage\n",
        b"\0\xff\n",
        b"{\"open\":{\"max_cost_usd\":null,\"credential\":true}}\n",
        b"{\"open\":{\"max_cost_usd\":null},\"read\":{\"run\":\"x\"}}\n",
        b"{\"stop\":{}}\n",
        b"{\"read\":{\"run\":null}}\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        &vec![b'a'; 1 << 20],
        &[b"{\"open\":".repeat(1 << 13), b"\n".to_vec()].concat(),
    ] {
        let mut stream = say(&gateway, said);
        drop(stream.shutdown(std::net::Shutdown::Write));
        let reply = rest(&mut stream);
        assert_eq!(
            reply.text,
            "",
            "{:?}",
            String::from_utf8_lossy(&said[..said.len().min(80)])
        );
    }
    for run in ["", "x", "../x", "00000000000000000000000000000000"] {
        let read = json!({ "read": { "run": run } });
        let reply = rest(&mut say(&gateway, format!("{read}\n").as_bytes()));
        assert_eq!(
            reply.text, "{\"failed\":\"there is no such run\"}\n",
            "{run}"
        );
    }
    wait_until(|| gateway.descriptors() == before, "closed descriptors");
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["control.sock"]);
    // The control: it opens for who asks in order.
    let mut run = Run::open(&gateway);
    assert_eq!(run.ask(&run.token).status(), 200);
    assert_eq!(run.audited()["status"], 200);
    gateway.terminate();
}

#[test]
fn run_that_takes_its_lines_late_gets_all_of_them() {
    let service = HostileService::start();
    let gateway = GatewayProcess::start(&service.url(), &["--runs"]);
    let run = Run::open(&gateway);
    // Far more than the connection holds, of requests that are refused.
    let count = 3_000;
    for _ in 0..count {
        assert_eq!(send(&run.socket, b"x\r\n\r\n").status(), 400);
    }
    let lines = run.close();
    assert_eq!(lines.len(), count);
    assert!(
        lines
            .iter()
            .all(|line| line["refused"] == "malformed_request")
    );
    gateway.terminate();
}
