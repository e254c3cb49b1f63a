//! A gateway under attack, and the service behind it.

use e2e::gateway_process::{GatewayProcess, KEY, Reply};
use e2e::hostile_service::{HostileService, Play};
use serde_json::Value;

pub const BODY: &str = r#"{"model":"claude-haiku-4-5","max_tokens":1000,"messages":[]}"#;

pub struct Stage {
    // Ends before the service does.
    pub gateway: GatewayProcess,
    pub service: HostileService,
    /// Audit lines that were looked at.
    audited: usize,
}

impl Stage {
    pub fn set(arguments: &[&str]) -> Self {
        let service = HostileService::start();
        Self {
            gateway: GatewayProcess::start(&service.url(), arguments),
            service,
            audited: 0,
        }
    }

    /// Returns the two headers that every request needs.
    pub fn key(&self) -> String {
        format!("host: localhost\r\nx-api-key: {}\r\n", self.gateway.token())
    }

    /// Returns a request in order, the last one of its connection.
    pub fn post(&self, body: &str) -> String {
        format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\n{}connection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key(),
            body.len()
        )
    }

    /// Returns a request in order with `headers` before its own.
    pub fn post_with(&self, headers: &str) -> String {
        let post = self.post(BODY);
        post.replacen("\r\n", &format!("\r\n{headers}\r\n"), 1)
    }

    /// Returns the audit lines since the last look, of which there must be `count`.
    pub fn audited(&mut self, count: usize, name: &str) -> Vec<Value> {
        let lines = self.gateway.audited(self.audited + count);
        let new = lines[self.audited..].to_vec();
        assert_eq!(new.len(), count, "{name}: {new:?}");
        self.audited = lines.len();
        new
    }

    /// Sends what must be refused by the gateway itself.
    pub fn refuses(&mut self, name: &str, raw: impl AsRef<[u8]>, status: u16, kind: &str) -> Reply {
        let reply = self.gateway.send(raw.as_ref());
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (status, Some(kind)),
            "{name}: {reply:?}"
        );
        assert_eq!(reply.text.matches("HTTP/1.1 ").count(), 1, "{name}");
        assert!(reply.text.contains("\r\nconnection: close\r\n"), "{name}");
        assert_eq!(self.service.seen(), [""; 0], "{name}");
        self.control(name, 1);
        let line = self.audited(2, name).swap_remove(0);
        assert_eq!(
            (&line["status"], &line["refused"]),
            (&status.into(), &kind.into()),
            "{name}"
        );
        reply
    }

    /// Sends what is no HTTP: answered without a body, or not at all where `status` is 0.
    pub fn breaks_off(&mut self, name: &str, raw: impl AsRef<[u8]>, status: u16) {
        let reply = self.gateway.send(raw.as_ref());
        assert_eq!(reply.status(), status, "{name}: {reply:?}");
        assert!(
            reply.text.is_empty() || reply.text.contains("\r\ncontent-length: 0\r\n"),
            "{name}: {reply:?}"
        );
        assert_eq!(self.service.seen(), [""; 0], "{name}");
        self.control(name, 1);
        let line = self.audited(2, name).swap_remove(0);
        let refused = (&line["status"], &line["refused"], &line["path"]);
        let expected = (&Value::Null, &"malformed_request".into(), &"".into());
        assert_eq!(refused, expected, "{name}");
    }

    /// Sends what passes, and returns the answer and what the service got.
    pub fn passes(&mut self, name: &str, raw: impl AsRef<[u8]>) -> (Reply, String) {
        let reply = self.gateway.send(raw.as_ref());
        assert_eq!(reply.status(), 200, "{name}: {reply:?}");
        let mut seen = self.service.seen();
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        self.control(name, 1);
        let line = self.audited(2, name).swap_remove(0);
        let expected = (&200.into(), &Value::Null);
        assert_eq!((&line["status"], &line["refused"]), expected, "{name}");
        (reply, seen.swap_remove(0))
    }

    /// Has the service answer a request in order with `play`. Returns what the caller is answered,
    /// and the audit line.
    pub fn answered(&mut self, name: &str, play: Play) -> (Reply, Value) {
        self.service.play(play);
        let post = self.post(BODY);
        let reply = self.gateway.send(post.as_bytes());
        assert_eq!(self.service.seen().len(), 1, "{name}: it is asked once");
        self.control(name, 1);
        let line = self.audited(2, name).swap_remove(0);
        (reply, line)
    }

    /// Sends requests in order, each of which must get to the service as it should and be answered.
    pub fn control(&self, name: &str, count: usize) {
        for _ in 0..count {
            let reply = self.gateway.send(self.post(BODY).as_bytes());
            assert_eq!(reply.status(), 200, "after {name}: {reply:?}");
            assert!(reply.text.contains("\"output_tokens\":4"), "after {name}");
            let seen = self.service.seen();
            assert_eq!(seen.len(), 1, "after {name}");
            assert_eq!(lines(&seen[0]), self.in_order(), "after {name}");
        }
    }

    /// As [`control`](Self::control), after `before` other requests that the service gets.
    pub fn control_after(&self, before: usize, name: &str) {
        let reply = self.gateway.send(self.post(BODY).as_bytes());
        assert_eq!(reply.status(), 200, "after {name}: {reply:?}");
        let seen = self.service.seen();
        assert_eq!(seen.len(), before + 1, "after {name}");
        assert_eq!(lines(&seen[before]), self.in_order(), "after {name}");
    }

    /// Returns what the service gets of a request in order.
    pub fn in_order(&self) -> Vec<String> {
        let host = self.service.url().replace("http://", "");
        [
            "POST /v1/messages?beta=true HTTP/1.1",
            "",
            &format!("content-length: {}", BODY.len()),
            "content-type: application/json",
            &format!("host: {host}"),
            &format!("x-api-key: {KEY}"),
            BODY,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Ends the gateway; the key is in nothing that it wrote.
    pub fn end(self) {
        assert_ne!(self.audited, 0, "something was tried");
        self.gateway.terminate();
    }
}

/// Returns the lines of a request: the first, the headers in the order of the alphabet, the body.
pub fn lines(request: &str) -> Vec<String> {
    let mut lines: Vec<String> = request.split("\r\n").map(str::to_owned).collect();
    let last = lines.len() - 1;
    lines[1..last].sort();
    lines
}
