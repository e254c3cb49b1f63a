//! What a sandboxed command can and cannot do, on the real kernel.

mod changes;
mod hosts;
mod lifetime;
mod limits;
mod paths;
mod processes;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::time::Duration;

use autoclave_policies::{Grant, Identity, Level, Limits, Plan, Policy, PolicyRules, RepoPath};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Feature, Mode, ProcessOptions, ProcessSandbox};
use crate::model::{Change, ChangeKind, FileKind, SnapshotEntry};
use crate::sandbox::{
    ChangeLimits, Changes, Execution, Exit, Finished, Network, OutputSink, Sandbox, Snapshot,
    Stream,
};

const UID: u32 = 64_500;

struct Bench {
    sandbox: ProcessSandbox,
    plan: Plan,
    snapshot: Snapshot,
    /// Removed with the bench, unless others use it.
    state: Option<TempDir>,
}

#[derive(Default)]
struct Captured {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl OutputSink for Captured {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        assert!(chunk.len() <= 64 << 10);
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(chunk),
            Stream::Stderr => self.stderr.extend_from_slice(chunk),
        }
    }
}

fn path(text: &str) -> RepoPath {
    RepoPath::try_from(text).unwrap()
}

fn file(name: &str, text: &str) -> SnapshotEntry {
    SnapshotEntry {
        path: path(name),
        kind: FileKind::File {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        },
    }
}

fn plan() -> Plan {
    let is_root = nix::unistd::geteuid().is_root();
    let mut grants = vec![
        Grant::Tree {
            path: path("free"),
            created: false,
        },
        Grant::Tree {
            path: path("target"),
            created: true,
        },
    ];
    grants.push(Grant::File {
        path: path("mixed/mutable.txt"),
    });
    if is_root {
        grants.push(Grant::Open {
            path: Some(path("mixed")),
        });
    }
    Plan {
        version: 1,
        level: Level::Sealed,
        identity: if is_root {
            Identity::SecondUid { uid: UID, gid: UID }
        } else {
            Identity::SameUser
        },
        grants,
        in_place: Vec::new(),
        views: Vec::new(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
        limits: Limits {
            memory_bytes: 256 << 20,
            cpus: 2.0,
            pids: 100,
            disk_bytes: 64 << 20,
        },
    }
}

/// The sandbox on this host, and on it without what this host has.
async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for without in [&[][..], &[Feature::Overlay], &[Feature::Namespaces]] {
        benches.push(bench_without(without).await);
    }
    benches
}

/// Those of [`benches`] that have namespaces.
async fn sealed_benches() -> Vec<Bench> {
    let mut benches = benches().await;
    benches.retain(|bench| bench.mode() != Mode::Alone);
    benches
}

async fn bench() -> Bench {
    bench_without(&[]).await
}

async fn bench_without(without: &[Feature]) -> Bench {
    let state = tempfile::tempdir().unwrap();
    let mut bench = bench_in(state.path(), without).await;
    bench.state = Some(state);
    bench
}

async fn bench_in(state: &std::path::Path, without: &[Feature]) -> Bench {
    let sandbox = ProcessSandbox::new(&ProcessOptions {
        state: state.to_owned(),
        run_label: format!("test-{}", uuid::Uuid::new_v4().simple()),
        without: without.to_vec(),
    })
    .unwrap();
    let mut plan = plan();
    plan.level = sandbox.level();
    let mut entries = [
        file("README.md", "hello\n"),
        file("free/a.txt", "a\n"),
        file("free/sub/b.txt", "b\n"),
        file("mixed/mutable.txt", "m\n"),
        file("mixed/immutable.txt", "i\n"),
    ]
    .into_iter()
    .map(Ok);
    let snapshot = sandbox.import(&mut entries, &plan).await.unwrap();
    Bench {
        sandbox,
        plan,
        snapshot,
        state: None,
    }
}

impl Drop for Bench {
    /// Tells which of [`benches`] a failed test was at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mode = self.sandbox.shared.mode;
            std::io::Write::write_all(&mut std::io::stderr(), format!("{mode:?}\n").as_bytes())
                .unwrap();
        }
    }
}

impl Bench {
    fn mode(&self) -> Mode {
        self.sandbox.shared.mode
    }

    fn execution(&self, argv: &[&str]) -> Execution<'_> {
        let argv = argv.iter().map(OsString::from).collect();
        Execution::offline(&self.snapshot, &self.plan, argv, Duration::from_secs(60))
    }

    async fn shell(&self, script: &str) -> (Finished, String) {
        let mut captured = Captured::default();
        let execution = self.execution(&["sh", "-c", script]);
        let finished = self
            .sandbox
            .execute(execution, &mut captured)
            .await
            .unwrap();
        captured.stdout.extend(captured.stderr);
        (finished, String::from_utf8(captured.stdout).unwrap())
    }
}

/// The policy that [`plan`] is compiled from.
fn policy() -> Arc<Policy> {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let rules = PolicyRules {
        mutable: texts(&["free/", "mixed/mutable.txt"]),
        scratch: texts(&["target/"]),
        ..PolicyRules::default()
    };
    Arc::new(Policy::new(&rules).unwrap())
}

async fn changes(finished: &Finished) -> Changes {
    let limits = ChangeLimits::default();
    let changes = finished.remains.changes(policy(), limits);
    changes.await.unwrap()
}

fn write(name: &str, text: &str) -> Change {
    Change {
        path: path(name),
        kind: ChangeKind::Write {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        },
    }
}

/// Tries a write in Python, which tells the errno; prints `ok` where it went through.
fn attempt(code: &str) -> String {
    format!(
        "python3 -c 'import os,errno,socket\ntry:\n  {code}\n  print(\"ok\")\nexcept OSError as e: print(errno.errorcode[e.errno])'"
    )
}
