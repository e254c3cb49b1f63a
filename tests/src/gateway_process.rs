//! `autoclave gateway` as a process, and what can be seen of it from outside.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stage::autoclave;

/// The key that must not be seen anywhere but at the service.
pub const KEY: &str = "sk-ant-test-never-to-be-seen-outside";
/// How long anything may take that is waited for; far more than it does.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway in a private folder of its own; killed when dropped.
pub struct GatewayProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The line it printed at the start.
    pub hello: Value,
    folder: tempfile::TempDir,
}

/// One answer as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub text: String,
}

impl GatewayProcess {
    /// Starts one before the service at the URL `upstream`.
    pub fn start(upstream: &str, arguments: &[&str]) -> Self {
        Self::start_through(upstream, arguments, Command::new(autoclave()))
    }

    /// Starts one by way of `command`, which ends up as `autoclave`.
    pub fn start_through(upstream: &str, arguments: &[&str], mut command: Command) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let key = folder.path().join("key");
        fs::write(&key, format!("ANTHROPIC_API_KEY={KEY}\n")).expect("the key's file");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("its mode");
        let stderr = File::create(folder.path().join("stderr")).expect("a file");
        command
            .args(["--json", "gateway", "--socket", "socket"])
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AUTOCLAVE_STATE_DIR", folder.path().join("state"))
            .env("AUTOCLAVE_CREDENTIAL_FILE", &key)
            .env("AUTOCLAVE_LOG", "trace")
            .env("ANTHROPIC_BASE_URL", upstream)
            .stdout(Stdio::piped())
            .stderr(stderr);
        if !arguments.contains(&"--runs") {
            command.args(["--audit", "audit.jsonl"]);
        }
        let mut child = command.spawn().expect("it is built");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it says where it is");
        let hello = serde_json::from_str(&line).unwrap_or_else(|_| {
            let said = fs::read_to_string(folder.path().join("stderr"));
            panic!("the gateway does not start: {line}{said:?}")
        });
        Self {
            child,
            stdout,
            hello,
            folder,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("socket/gateway.sock")
    }

    pub fn token(&self) -> &str {
        self.hello["token"].as_str().expect("it has one")
    }

    /// Sends bytes on a connection of their own and returns all that comes.
    pub fn send(&self, raw: &[u8]) -> Reply {
        send(&self.socket(), raw)
    }

    /// Returns the lines of the audit file, once there are as many.
    pub fn audited(&self, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        wait_until(
            || {
                lines = self.audit();
                lines.len() >= count
            },
            &format!("{count} audit lines"),
        );
        lines
    }

    fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("audit.jsonl")).expect("the audit file");
        let whole = text
            .rsplit_once('\n')
            .map_or("", |(whole, _being_written)| whole);
        let lines = whole.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect()
    }

    /// Kilobytes of memory that it holds.
    pub fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid());
        fs::read_dir(path).expect("it runs").count()
    }

    /// Ends it as a user would, and returns its last line, if any. The key is in nothing that it
    /// wrote.
    pub fn terminate(mut self) -> Option<Value> {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it is text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let stderr = fs::read_to_string(self.path("stderr")).expect("it is text");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let audit = fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        for (name, text) in [
            ("output", &rest),
            ("error output", &stderr),
            ("audit", &audit),
        ] {
            assert!(!text.contains(KEY), "the key is in the {name}");
        }
        serde_json::from_str(rest.lines().last()?).ok()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // Of no effect after `terminate`; ends the gateway of a test that failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Reply {
    /// Returns the status of the first answer; 0 if there is none.
    pub fn status(&self) -> u16 {
        let word = self.text.split(' ').nth(1).unwrap_or_default();
        word.parse().unwrap_or(0)
    }

    /// Returns the `error.type` of an answer of the gateway.
    pub fn kind(&self) -> Option<String> {
        let (_, body) = self.text.split_once("\r\n\r\n")?;
        let error: Value = serde_json::from_str(body).ok()?;
        error["error"]["type"].as_str().map(str::to_owned)
    }
}

/// Sends bytes on a connection of their own and returns all that comes until it is closed.
pub fn send(socket: &Path, raw: &[u8]) -> Reply {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    // Who is refused may find the connection closed before all is written.
    drop(stream.write_all(raw));
    rest(&mut stream)
}

/// Returns all that still comes on a connection, which must end.
pub fn rest(stream: &mut UnixStream) -> Reply {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut got = Vec::new();
    let mut piece = [0; 1 << 14];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => got.extend_from_slice(&piece[..count]),
            // What came before a reset counts.
            Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(cause) => panic!("the connection does not end: {cause}"),
        }
    }
    let text = String::from_utf8_lossy(&got).into_owned();
    assert!(!text.contains(KEY), "the key came back: {text}");
    Reply { text }
}

/// Looks again and again until something is so, which must be soon.
pub fn wait_until(mut is_so: impl FnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
