//! What a sandboxed command can and cannot do, on the real kernel.

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
        Execution {
            snapshot: &self.snapshot,
            plan: &self.plan,
            argv: argv.iter().map(OsString::from).collect(),
            env: BTreeMap::new(),
            stdin: Vec::new(),
            network: Network::None,
            views: Vec::new(),
            timeout: Duration::from_secs(60),
            cancel: CancellationToken::new(),
        }
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

#[tokio::test(flavor = "current_thread")]
async fn true_runs_and_changes_nothing() {
    for bench in benches().await {
        let (finished, output) = bench.shell("true").await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        assert_eq!(changes(&finished).await, Changes::default());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_to_a_mutable_file_is_a_change() {
    for bench in benches().await {
        let (finished, output) = bench.shell("echo new > free/a.txt").await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        assert_eq!(
            changes(&finished).await.accepted,
            [write("free/a.txt", "new\n")]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn exits_are_told_apart() {
    for bench in benches().await {
        assert_eq!(bench.shell("exit 7").await.0.exit, Exit::Code(7));
        assert_eq!(bench.shell("kill -9 $$").await.0.exit, Exit::Signal(9));
        let mut output = Captured::default();
        let missing = bench.execution(&["no-such-program"]);
        let finished = bench.sandbox.execute(missing, &mut output).await.unwrap();
        let errno = nix::libc::ENOENT;
        assert_eq!(finished.exit, Exit::NotStarted { errno });
    }
}

#[tokio::test(flavor = "current_thread")]
async fn standard_input_arrives_whole_and_ends() {
    for bench in benches().await {
        let mut output = Captured::default();
        let mut execution = bench.execution(&["sha256sum"]);
        execution.stdin = vec![b'x'; 1 << 20];
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b  -\n"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn edits_creations_deletions_and_renames_are_changes() {
    for bench in benches().await {
        let script = "set -e; sed -i s/a/A/ free/a.txt; mkdir free/new; echo n > free/new/n.txt
        chmod +x free/new/n.txt; mv free/sub free/moved; touch README.unlisted 2>/dev/null || true
        ln -s a.txt free/link; ln -s /etc/passwd free/bad; mkfifo free/fifo
        sed -i s/m/M/ mixed/mutable.txt 2>/dev/null || echo M > mixed/mutable.txt";
        let (finished, output) = bench.shell(script).await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        let changes = changes(&finished).await;
        let script = ChangeKind::Write {
            bytes: b"n\n".to_vec(),
            executable: true,
        };
        let link = ChangeKind::Link {
            target: b"a.txt".to_vec(),
        };
        let change = |name, kind| Change {
            path: path(name),
            kind,
        };
        assert_eq!(
            changes.accepted,
            [
                write("free/a.txt", "A\n"),
                change("free/link", link),
                write("free/moved/b.txt", "b\n"),
                change("free/new/n.txt", script),
                change("free/sub/b.txt", ChangeKind::Delete),
                write("mixed/mutable.txt", "M\n"),
            ]
        );
        let dropped: Vec<_> = changes
            .dropped
            .iter()
            .map(|dropped| format!("{}: {}", dropped.path, dropped.why))
            .collect();
        assert_eq!(
            dropped,
            [
                "free/bad: a link that leaves the mutable set",
                "free/fifo: a fifo"
            ]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_directory_made_anew_loses_what_it_held() {
    for bench in benches().await {
        let (finished, _) = bench
        .shell("rm -r free && mkdir free 2>/dev/null; rm -r free/sub; mkdir free/sub; echo c > free/sub/c")
        .await;
        assert_eq!(finished.exit, Exit::Code(0));
        let changes = changes(&finished).await;
        let delete = |name| Change {
            path: path(name),
            kind: ChangeKind::Delete,
        };
        assert_eq!(
            changes.accepted,
            [
                delete("free/a.txt"),
                delete("free/sub/b.txt"),
                write("free/sub/c", "c\n"),
            ]
        );
    }
}

/// Tries a write in Python, which tells the errno; prints `ok` where it went through.
fn attempt(code: &str) -> String {
    format!(
        "python3 -c 'import os,errno,socket\ntry:\n  {code}\n  print(\"ok\")\nexcept OSError as e: print(errno.errorcode[e.errno])'"
    )
}

#[tokio::test(flavor = "current_thread")]
async fn immutable_files_cannot_be_written_removed_or_replaced() {
    for bench in benches().await {
        let is_root = nix::unistd::geteuid().is_root();
        for (code, errno) in [
            ("open(\"free/a.txt\", \"a\")", "ok"),
            ("open(\"mixed/mutable.txt\", \"a\")", "ok"),
            ("open(\"target/out\", \"w\")", "ok"),
            (
                "import tempfile; open(tempfile.gettempdir() + \"/x\", \"w\")",
                "ok",
            ),
            ("open(os.path.expanduser(\"~/x\"), \"w\")", "ok"),
            ("open(\"README.md\", \"a\")", "EACCES"),
            ("open(\"new.txt\", \"w\")", "EACCES"),
            ("open(\"mixed/immutable.txt\", \"a\")", "EACCES"),
            (
                "os.unlink(\"mixed/immutable.txt\")",
                if is_root { "EPERM" } else { "EACCES" },
            ),
            (
                "os.rename(\"mixed/mutable.txt\", \"mixed/immutable.txt\")",
                if is_root { "EPERM" } else { "EACCES" },
            ),
            ("os.rename(\"mixed\", \"gone\")", "EACCES"),
            (
                "open(\"/usr/x\", \"w\")",
                match bench.mode() {
                    Mode::Overlay | Mode::Copy => "EROFS",
                    Mode::Alone => "EACCES",
                },
            ),
            ("open(\"/etc/passwd\", \"a\")", "EACCES"),
        ] {
            let (_, output) = bench.shell(&attempt(code)).await;
            assert_eq!(output.trim(), errno, "{code}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn network_has_only_loopback_that_works() {
    for bench in sealed_benches().await {
        let (_, output) = bench.shell("tail -n +3 /proc/net/dev | cut -d: -f1").await;
        assert_eq!(output.trim(), "lo");
        let code = "s = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(s.getsockname())";
        assert_eq!(bench.shell(&attempt(code)).await.1.trim(), "ok");
        let code = "socket.create_connection((\"192.0.2.1\", 80), 1)";
        assert_eq!(bench.shell(&attempt(code)).await.1.trim(), "ENETUNREACH");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn only_own_processes_environment_and_no_privilege_are_seen() {
    for bench in benches().await {
        let is_alone = bench.mode() == Mode::Alone;
        if !is_alone {
            let (_, pids) = bench.shell("ls /proc | grep -c '^[0-9]'").await;
            let pids: u32 = pids.trim().parse().unwrap();
            assert!((2..=5).contains(&pids), "{pids} processes");
        }
        let mut output = Captured::default();
        let mut execution = bench.execution(&["env"]);
        execution.env.insert("EXTRA".to_owned(), "1".to_owned());
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        let mut env: Vec<_> = std::str::from_utf8(&output.stdout)
            .unwrap()
            .lines()
            .collect();
        env.sort_unstable();
        if is_alone {
            let own = bench.sandbox.shared.folder.path().to_str().unwrap();
            let (moved, kept): (Vec<_>, Vec<_>) = env.into_iter().partition(|v| v.contains(own));
            let names = moved.iter().filter_map(|v| v.split('=').next());
            assert_eq!(
                names.collect::<Vec<_>>(),
                [
                    "CLAUDE_CODE_TMPDIR",
                    "GIT_CONFIG_VALUE_0",
                    "HOME",
                    "TEMP",
                    "TMP",
                    "TMPDIR"
                ]
            );
            env = kept;
            env.insert(3, "GIT_CONFIG_VALUE_0=/workspace");
            env.insert(4, "HOME=/home/agent");
        }
        assert_eq!(
            env,
            [
                "EXTRA=1",
                "GIT_CONFIG_COUNT=1",
                "GIT_CONFIG_KEY_0=safe.directory",
                "GIT_CONFIG_VALUE_0=/workspace",
                "HOME=/home/agent",
                "PATH=/usr/local/bin:/usr/bin:/bin"
            ]
        );
        let (_, status) = bench
        .shell("egrep '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t' ' '; ls /proc/self/fd | wc -l")
        .await;
        assert_eq!(
            status,
            "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
         CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n4\n"
        );
        if is_alone {
            continue;
        }
        let (_, root) = bench.shell("ls /; ls /home /run; ls -A /tmp").await;
        for secret in ["root", "work", "srv", "mnt"] {
            assert!(!root.lines().any(|line| line == secret), "{root}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_timeout_kills_daemons_too() {
    for bench in benches().await {
        let mut output = Captured::default();
        let marker = format!("{}.125", 10_000 + std::process::id());
        let script =
            format!("setsid sh -c 'sleep {marker} & sleep {marker}' & echo up; sleep {marker}");
        let mut execution = bench.execution(&["sh", "-c", &script]);
        execution.timeout = Duration::from_millis(500);
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::TimedOut);
        assert_eq!(output.stdout, b"up\n");
        assert_eq!(processes_with(&marker), 0);
        assert!(finished.wall < Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn cancelling_kills_the_command() {
    for bench in benches().await {
        let execution = bench.execution(&["sh", "-c", "echo up; exec sleep 1000"]);
        let mut output = CancelWhenUp(execution.cancel.clone());
        let finished = bench.sandbox.execute(execution, &mut output).await;
        assert_eq!(finished.unwrap().exit, Exit::Cancelled);
    }
}

struct CancelWhenUp(CancellationToken);

impl OutputSink for CancelWhenUp {
    fn write(&mut self, _: Stream, _: &[u8]) {
        self.0.cancel();
    }
}

/// Counts this host's processes with `word` in their command line.
fn processes_with(word: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| {
            String::from_utf8_lossy(line)
                .split('\0')
                .any(|found| found == word)
        })
        .count()
}

#[tokio::test(flavor = "current_thread")]
async fn a_kept_result_is_the_start_of_the_next_execution() {
    for mut bench in benches().await {
        let (finished, _) = bench
        .shell("echo k > free/kept; rm free/a.txt; rm -r free/sub; mkdir free/sub; echo h > ~/h; truncate -s 20M free/sparse")
        .await;
        assert_eq!(finished.exit, Exit::Code(0));
        bench.snapshot = finished.remains.into_snapshot().await.unwrap();
        let (finished, output) = bench
            .shell("cat free/kept ~/h; ls free free/sub; stat -c %u free/kept")
            .await;
        let uid = nix::unistd::geteuid();
        let uid = if uid.is_root() { UID } else { uid.as_raw() };
        assert_eq!(
            output,
            format!("k\nh\nfree:\nkept\nsparse\nsub\n\nfree/sub:\n{uid}\n")
        );
        assert_eq!(changes(&finished).await, Changes::default());
        let added = vec![file("free/a.txt", "again\n"), file("README.md", "r2\n")];
        let removed = vec![path("free/kept"), path("mixed/mutable.txt")];
        let derived = bench
            .sandbox
            .derive(&bench.snapshot, added, removed, &bench.plan)
            .await
            .unwrap();
        bench.snapshot = derived;
        let (finished, output) = bench
            .shell("cat README.md free/a.txt; ls free mixed; echo x >> free/a.txt")
            .await;
        assert_eq!(
            output,
            "r2\nagain\nfree:\na.txt\nsparse\nsub\n\nmixed:\nimmutable.txt\n"
        );
        assert_eq!(
            changes(&finished).await.accepted,
            [write("free/a.txt", "again\nx\n")]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn executions_leave_nothing_that_grows_and_the_backend_nothing_at_all() {
    let list = |folder: &std::path::Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    for bench in benches().await {
        let folder = bench.sandbox.shared.folder.path().to_owned();
        let mut seen = Vec::new();
        for _ in 0..3 {
            drop(bench.shell("echo x > free/a.txt").await.0);
            seen.push(list(&folder));
        }
        let (expected, slot): (&[&str], _) = match bench.mode() {
            Mode::Overlay | Mode::Copy => (
                &["canary", "ground-1", "layer-0", "slot-2"],
                folder.join("slot-2"),
            ),
            Mode::Alone => (&["canary", "layer-0", "slot-1"], folder.join("slot-1")),
        };
        assert_eq!(seen[0], expected);
        assert_eq!((&seen[1], &seen[2]), (&seen[0], &seen[0]));
        assert_eq!(list(&slot), ["mount", "status"]);
        assert_eq!(list(&slot.join("mount")), [] as [&str; 0]);
        // Two at once need two slots, and both are used again.
        let (one, two) = tokio::join!(bench.shell("true"), bench.shell("true"));
        drop((one, two));
        assert_eq!(list(&folder).len(), seen[0].len() + 1);
        drop(bench.shell("true").await.0);
        assert_eq!(list(&folder).len(), seen[0].len() + 1);
        drop(bench);
        assert!(!folder.exists());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn forbidden_system_calls_fail_with_a_control() {
    for bench in benches().await {
        let none = "EAFNOSUPPORT";
        for (arguments, sealed, alone) in [
            ("AF_INET, socket.SOCK_STREAM", "ok", none),
            ("AF_UNIX, socket.SOCK_DGRAM", "ok", none),
            ("AF_NETLINK, socket.SOCK_RAW, 0", "ok", none),
            ("AF_INET, socket.SOCK_RAW, 1", "EPERM", none),
            ("AF_INET, socket.SOCK_STREAM, 262", "EPROTONOSUPPORT", none),
            ("AF_PACKET, socket.SOCK_DGRAM", none, none),
            ("AF_VSOCK, socket.SOCK_STREAM", none, none),
            ("AF_NETLINK, socket.SOCK_RAW, 9", "EPROTONOSUPPORT", none),
        ] {
            let expected = match bench.mode() {
                Mode::Overlay | Mode::Copy => sealed,
                Mode::Alone => alone,
            };
            let code = format!("socket.socket(socket.{arguments})");
            let (_, output) = bench.shell(&attempt(&code)).await;
            assert_eq!(output.trim(), expected, "{code}");
        }
        let (_, output) = bench.shell(&attempt("socket.socketpair()")).await;
        assert_eq!(output.trim(), "ok");
        // By number, because Python has no words for them: getpid is the control, then io_uring_setup,
        // keyctl, userfaultfd, bpf, perf_event_open, clone3.
        let code = "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for n in (39, 425, 250, 323, 321, 298, 435):
  print(ctypes.get_errno() if libc.syscall(n, 0, 0, 0, 0, 0) < 0 else 'ok', end=' ')";
        if cfg!(target_arch = "x86_64") {
            let mut output = Captured::default();
            let execution = bench.execution(&["python3", "-c", code]);
            let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
            assert_eq!(finished.exit, Exit::Code(0));
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(found, "ok 38 1 1 1 1 38 ");
        }
        let (_, output) = bench
            .shell("unshare -U true; unshare -m true; mount -t tmpfs x /tmp")
            .await;
        assert_eq!(output.matches("not permitted").count(), 2, "{output}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn memory_processes_and_disk_are_limited() {
    for bench in benches().await {
        let has_cgroup = bench.sandbox.shared.host.cgroup;
        let hog = "exec python3 -c 'b = [bytearray(1 << 24) for _ in range(200)]'";
        let (finished, output) = bench.shell(hog).await;
        if has_cgroup {
            assert_eq!(finished.exit, Exit::OutOfMemory);
        } else {
            assert_eq!(finished.exit, Exit::Code(1));
            assert!(output.contains("MemoryError"), "{output}");
        }
        let forks = "import os, sys
n = 0
try:
  while n < 900:
    if os.fork() == 0: os.read(os.pipe()[0], 1)
    n += 1
except OSError as e: print(e.errno, n <= int(sys.argv[1]))";
        let mut output = Captured::default();
        // By uid, what else the user runs (other tests here) comes and goes.
        let most = match bench.mode() {
            Mode::Alone if !has_cgroup => "400",
            Mode::Overlay | Mode::Copy | Mode::Alone => "100",
        };
        let execution = bench.execution(&["python3", "-c", forks, most]);
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        assert_eq!(output.stdout, b"11 True\n");
        let (_, output) = bench
        .shell("head -c 80M /dev/zero > ${TMPDIR-/tmp}/a; rm ${TMPDIR-/tmp}/a; head -c 40M /dev/zero > free/b; head -c 40M /dev/zero > free/c")
        .await;
        // Without a tmpfs only single files are limited.
        let (full, too_large) = match bench.mode() {
            Mode::Overlay | Mode::Copy => (1, 1),
            Mode::Alone => (0, 1),
        };
        assert_eq!(output.matches("No space left").count(), full, "{output}");
        assert_eq!(
            output.matches("File size limit").count() + output.matches("too large").count(),
            too_large,
            "{output}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_a_plain_change_is_dropped_by_name() {
    for bench in benches().await {
        let has_sockets = bench.mode() != Mode::Alone;
        let mut script = "cd free; echo s > suid; chmod 4755 suid; echo l > hard1; ln hard1 hard2
        truncate -s 60M sparse; echo ok > ok; mkdir -p d/.git; echo x > d/.git/x; mkfifo fifo\n"
            .to_owned();
        if has_sockets {
            script += "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'";
        }
        let (finished, output) = bench.shell(&script).await;
        assert_eq!(output, "");
        let limits = ChangeLimits {
            entries: 10,
            total_bytes: 1000,
            path_bytes: 100,
        };
        let found = finished.remains.changes(policy(), limits);
        let found = found.await.unwrap();
        assert_eq!(found.accepted, [write("free/ok", "ok\n")]);
        let dropped: Vec<_> = found
            .dropped
            .iter()
            .map(|dropped| format!("{}: {}", dropped.path, dropped.why))
            .collect();
        let mut expected = vec![
            "free/d/.git: inside a `.git` folder",
            "free/fifo: a fifo",
            "free/hard1: a file with several hard links",
            "free/hard2: a file with several hard links",
            "free/sock: a socket",
            "free/sparse: larger than what is left of the allowed bytes",
            "free/suid: a set-user-ID or set-group-ID file",
        ];
        expected.retain(|line| has_sockets || !line.ends_with("a socket"));
        assert_eq!(dropped, expected);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn scratch_is_passed_over_in_silence_and_not_searched() {
    for bench in benches().await {
        let script = "mkdir -p target/a/.git; cd target; echo x > a/.git/x; echo x > .gitignore
            mkfifo pipe; echo x > x; chmod 4755 x; ln x y; ln -s / z; mkdir -m 0 closed
            echo new > ../free/a.txt";
        let (finished, output) = bench.shell(script).await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        let expected = Changes {
            accepted: vec![write("free/a.txt", "new\n")],
            dropped: Vec::new(),
        };
        assert_eq!(changes(&finished).await, expected);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_gateway_folder_and_views_are_read_only() {
    for mut bench in benches().await {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let socket = folder.path().join("gateway.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        bench.plan.views.push(autoclave_policies::View {
            source: folder.path().to_owned(),
            target: "/opt/tool".into(),
        });
        let (read_only, network) = match bench.mode() {
            Mode::Overlay | Mode::Copy => ("EROFS", "ok"),
            Mode::Alone => ("EACCES", "EAFNOSUPPORT"),
        };
        for (code, expected) in [
            (
                "socket.socket(socket.AF_UNIX).connect(os.environ[\"GATE\"])",
                "ok",
            ),
            ("os.listdir(os.environ[\"TOOL\"])", "ok"),
            ("open(os.environ[\"GATE\"] + \"x\", \"w\")", read_only),
            ("open(os.environ[\"TOOL\"] + \"/x\", \"w\")", read_only),
            ("socket.socket(socket.AF_INET)", network),
        ] {
            let mut output = Captured::default();
            let script = attempt(code);
            let mut execution = bench.execution(&["sh", "-c", &script]);
            let names = [
                ("GATE", "/run/autoclave/gateway.sock"),
                ("TOOL", "/opt/tool"),
            ];
            execution.env = names.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
            execution.network = Network::Gateway {
                folder: folder.path().to_owned(),
            };
            let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
            assert_eq!(finished.exit, Exit::Code(0));
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(found.trim(), expected, "{code}");
        }
    }
}

/// Runs the other tests of this file again as uid 1234, which has no privilege to start from.
#[test]
fn an_ordinary_user_gets_the_same_sandbox() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
    };
    open(folder.path());
    let tests = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    open(&tests);
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .arg(&tests)
        .args([
            "sandbox::process",
            "--skip",
            "an_ordinary_user",
            "--test-threads=2",
        ])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("true_runs_and_changes_nothing ... ok"),
        "{text}"
    );
}

#[test]
fn changes_are_read_beside_the_runtimes_thread() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let bench = bench().await;
        let (finished, _) = bench.shell("echo new > free/a.txt").await;
        // With the one thread for such work taken, what reads elsewhere can only wait.
        let (free, until_freed) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || until_freed.recv());
        let mut found = finished.remains.changes(policy(), ChangeLimits::default());
        assert!(futures::poll!(&mut found).is_pending());
        drop(free);
        assert!(taken.await.unwrap().is_err());
        let accepted = found.await.unwrap().accepted;
        assert_eq!(accepted, [write("free/a.txt", "new\n")]);
    });
}

/// Runs a test of this file again where no file in memory can be executed; see memfd_create(2).
#[test]
fn a_host_that_forbids_executable_memory_gets_the_same_sandbox() {
    let setting = std::path::Path::new("/proc/sys/vm/memfd_noexec");
    // A pid namespace has a setting of its own, which only root may change; kernels before 6.3
    // have none, and always allow it.
    if !nix::unistd::geteuid().is_root() || !setting.exists() {
        return;
    }
    let script = format!(
        r#"echo 2 > {} && exec "$0" true_runs_and_changes_nothing the_helper_runs_from_memory"#,
        setting.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("true_runs_and_changes_nothing ... ok"),
        "{text}"
    );
    // The control: there it is really forbidden.
    assert!(
        text.contains("the_helper_runs_from_memory ... FAILED"),
        "{text}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn views_are_seen_at_their_places_and_cannot_be_written() {
    let mut bench = bench().await;
    let host = tempfile::tempdir().unwrap();
    let place = |name: &str| host.path().join(name);
    std::fs::create_dir(place("folder")).unwrap();
    std::fs::write(place("folder/text"), "in a folder\n").unwrap();
    std::fs::write(place("file"), "a file\n").unwrap();
    for path in [
        host.path().to_owned(),
        place("folder"),
        place("folder/text"),
        place("file"),
    ] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let view = |source: &std::path::Path, target: &str| autoclave_policies::View {
        source: source.to_owned(),
        target: target.into(),
    };
    let (folder, file) = (
        view(&place("folder"), "/opt/a/b"),
        view(&place("file"), "/opt/a/c"),
    );
    // Everywhere anyway: the system's, also past its links, and what is generated.
    let shown = ["/bin/sh", "/usr/bin/env", "/etc/passwd"].map(|path| view(path.as_ref(), path));
    bench.plan.views = vec![folder];
    bench.plan.views.extend(shown);
    let look = "cat /opt/a/b/text /opt/a/c; touch /opt/a/b/text; echo x >> /opt/a/c; grep -c host /etc/passwd";
    for round in 0..2 {
        let mut output = Captured::default();
        let mut execution = bench.execution(&["sh", "-c", look]);
        execution.views = vec![file.clone()];
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(1), "round {round}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout, "in a folder\na file\n0\n");
        let stderr = String::from_utf8(output.stderr).unwrap();
        // The owner's own files: there the mount itself says no.
        let denied = if nix::unistd::geteuid().is_root() {
            "Permission denied"
        } else {
            "Read-only file system"
        };
        assert_eq!(stderr.matches(denied).count(), 2, "{stderr}");
    }
    // Another set of views, with the same skeleton beneath.
    let (_, output) = bench.shell("cat /opt/a/b/text; ls /opt/a").await;
    assert_eq!(output, "in a folder\nb\n");
    let grounds = std::fs::read_dir(bench.sandbox.shared.folder.path()).unwrap();
    let names = grounds.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("ground")).count(), 3);
}

/// The process that the next test kills: runs until then.
#[tokio::test(flavor = "current_thread")]
async fn launcher() {
    let Ok(word) = std::env::var("AUTOCLAVE_TEST_SLEEP") else {
        return;
    };
    let without = std::env::var("AUTOCLAVE_TEST_WITHOUT").unwrap_or_default();
    let without: Vec<Feature> = without
        .split_terminator(',')
        .map(|w| w.parse().unwrap())
        .collect();
    let state = TempDir::with_prefix("state").unwrap().keep();
    let bench = bench_in(&state, &without).await;
    let script = format!("setsid sleep {word} & echo up; exec sleep {word}");
    let mut output = Announce;
    let execution = bench.execution(&["sh", "-c", &script]);
    let ended = bench.sandbox.execute(execution, &mut output).await;
    panic!("the command ended by itself: {:?}", ended.map(|e| e.exit));
}

struct Announce;

impl OutputSink for Announce {
    fn write(&mut self, _: Stream, chunk: &[u8]) {
        std::io::Write::write_all(&mut std::io::stderr(), chunk).unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_killed_runner_leaves_nothing_running_and_its_files_are_swept() {
    use std::io::{BufRead, BufReader};
    for without in ["", "overlay", "namespaces", "namespaces,cgroup"] {
        let folder = tempfile::tempdir().unwrap();
        let word = format!("{}.25", 20_000 + std::process::id());
        let mut runner = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "sandbox::process::tests::launcher",
                "--exact",
                "--nocapture",
            ])
            .env("AUTOCLAVE_TEST_SLEEP", &word)
            .env("AUTOCLAVE_TEST_WITHOUT", without)
            .env("TMPDIR", folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(runner.stderr.take().unwrap());
        assert!(stderr.lines().any(|line| line.unwrap() == "up"));
        // Both sleeps: the shell said "up" before it became one.
        wait_for(&word, 2);
        let state = only_entry(folder.path());
        let dead = only_entry(&state);
        let label = dead.file_name().unwrap().to_str().unwrap().to_owned();

        // Nobody else's start touches it.
        drop(bench_in(&state, &[]).await);
        assert_eq!(only_entry(&state), dead);
        wait_for(&word, 2);

        runner.kill().unwrap();
        runner.wait().unwrap();
        wait_for(&word, 0);
        assert!(dead.exists(), "{without}");
        let not_ours = state.join("not-ours");
        std::fs::create_dir(&not_ours).unwrap();
        assert!(super::sweep(&state, &label), "{without}");
        assert_eq!(only_entry(&state), not_ours, "{without}");
        assert_eq!(
            super::cgroup::Cgroup::named(&label),
            Vec::<std::path::PathBuf>::new()
        );
    }
}

fn only_entry(folder: &std::path::Path) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let only = entries.next().unwrap();
    assert_eq!(entries.next(), None);
    only
}

/// Waits, within a deadline, until `count` processes of this host carry `word`.
fn wait_for(word: &str, count: usize) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while processes_with(word) != count {
        assert!(std::time::Instant::now() < deadline, "not {count}");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn pseudo_terminals_work_where_they_are_the_sandboxs_own() {
    for bench in sealed_benches().await {
        let (_, output) = bench.shell(&attempt("import pty; pty.openpty()")).await;
        assert_eq!(output.trim(), "ok");
    }
}

/// Without namespaces the host's files and processes are there, and closed.
#[tokio::test(flavor = "current_thread")]
async fn without_namespaces_the_host_cannot_be_read_signalled_or_traced() {
    let bench = bench_without(&[Feature::Namespaces]).await;
    let outside = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(outside.path(), open).unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    let name = format!("autoclave-{}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as SocketAddrExt>::from_abstract_name(&name);
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let own = std::process::id();
    for (code, expected) in [
        (format!("open(\"{}\")", secret.display()), "EACCES"),
        (
            format!("open(\"{}\", \"w\")", outside.path().join("x").display()),
            "EACCES",
        ),
        (
            format!("os.listdir(\"{}\")", outside.path().display()),
            "EACCES",
        ),
        ("os.listdir(\"/tmp\")".to_owned(), "EACCES"),
        ("os.listdir(\"/\")".to_owned(), "EACCES"),
        ("open(\"/etc/shadow\")".to_owned(), "EACCES"),
        (format!("open(\"/proc/{own}/environ\")"), "EACCES"),
        (format!("os.kill({own}, 0)"), "EPERM"),
        ("os.kill(os.getppid(), 0)".to_owned(), "ok"),
        ("open(\"/proc/self/environ\")".to_owned(), "ok"),
        ("open(\"/usr/bin/env\")".to_owned(), "ok"),
    ] {
        let (_, output) = bench.shell(&attempt(&code)).await;
        assert_eq!(output.trim(), expected, "{code}");
    }
    // Listed in SECURITY.md: what this level leaves open is known, not hoped away.
    let chmod = format!("os.chmod(\"{}\", 0o600)", secret.display());
    let (_, output) = bench.shell(&attempt(&chmod)).await;
    assert_eq!(output.trim(), if is_root { "EPERM" } else { "ok" });
    let mut output = Captured::default();
    let connect = format!("socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")");
    let script = attempt(&connect);
    let mut execution = bench.execution(&["sh", "-c", &script]);
    execution.network = Network::Gateway {
        folder: outside.path().to_owned(),
    };
    let ran = bench.sandbox.execute(execution, &mut output).await.unwrap();
    assert_eq!(ran.exit, Exit::Code(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "EPERM");
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_of_another_level_is_refused() {
    let mut bench = bench().await;
    bench.plan.level = Level::Landlock;
    let execution = bench.execution(&["true"]);
    let mut output = Captured::default();
    let refused = bench.sandbox.execute(execution, &mut output);
    let error = refused.await.map(|finished| finished.exit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot enforce level Landlock: this host reaches Sealed"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_level_that_is_reached_is_told_with_what_it_leaves_open() {
    let told = |bench: &Bench| {
        let enforcement = bench.sandbox.enforcement();
        let detail = |name: &str| {
            let layers = &enforcement.layers;
            let found = layers.iter().find(|layer| layer.name == name);
            found.unwrap().detail.clone()
        };
        (enforcement.level, detail("view"), detail("limits"))
    };
    let (level, view, _) = told(&bench_without(&[Feature::Overlay]).await);
    assert_eq!(level, Level::Sealed);
    assert!(
        view.contains("copy in memory (no overlay: switched off"),
        "{view}"
    );
    let (level, view, limits) = told(&bench_without(&[Feature::Namespaces, Feature::Cgroup]).await);
    assert_eq!(level, Level::Landlock);
    assert!(view.contains("no namespaces: switched off"), "{view}");
    assert!(limits.contains("memory for each process alone"), "{limits}");
}

#[test]
fn a_host_without_landlock_or_seccomp_runs_nothing() {
    let state = tempfile::tempdir().unwrap();
    for (without, expected) in [
        (
            vec![Feature::Landlock],
            "cannot enforce paths: the kernel's Landlock is 0, and 3 is needed",
        ),
        (
            vec![Feature::Landlock, Feature::Namespaces],
            "cannot enforce paths: the kernel's Landlock is 0, and 6 is needed where there are no \
             namespaces (switched off for this run)",
        ),
        (
            vec![Feature::Seccomp],
            "cannot enforce syscalls: no seccomp filter can be loaded: switched off for this run",
        ),
    ] {
        let options = ProcessOptions {
            state: state.path().to_owned(),
            run_label: "test".to_owned(),
            without,
        };
        let error = ProcessSandbox::new(&options).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn cancelled_before_its_proof_is_cancelled_all_the_same() {
    for bench in benches().await {
        let execution = bench.execution(&["true"]);
        execution.cancel.cancel();
        let mut output = Captured::default();
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Cancelled);
        assert_eq!(changes(&finished).await, Changes::default());
        let kept = finished.remains.into_snapshot().await.unwrap();
        let mut execution = bench.execution(&["cat", "free/a.txt"]);
        execution.snapshot = &kept;
        let ran = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(ran.exit, Exit::Code(0));
        assert_eq!(output.stdout, b"a\n");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn processor_time_is_counted_without_a_cgroup_too() {
    let burn = "timeout 0.4 sh -c 'while :; do :; done'; true";
    for without in [
        &[][..],
        &[Feature::Cgroup],
        &[Feature::Cgroup, Feature::Namespaces],
    ] {
        let bench = bench_without(without).await;
        let (finished, _) = bench.shell(burn).await;
        let cpu = finished.cpu;
        assert!(cpu > Duration::from_millis(50), "{cpu:?} {without:?}");
        assert!(cpu < Duration::from_secs(5), "{cpu:?} {without:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn out_of_memory_is_only_what_the_limit_killed() {
    let bench = bench().await;
    let hog = "python3 -c 'b = [bytearray(1 << 24) for _ in range(200)]'";
    if !bench.sandbox.shared.host.cgroup {
        // An rlimit kills nothing: the program is told, and ends as it likes.
        let (finished, output) = bench.shell(&format!("exec {hog}")).await;
        assert_eq!(finished.exit, Exit::Code(1), "{output}");
        return;
    }
    // The shell tells of its dead child as 137; one that goes on ends as it says.
    assert_eq!(
        bench.shell(&format!("{hog}; exit $?")).await.0.exit,
        Exit::OutOfMemory
    );
    assert_eq!(
        bench.shell(&format!("{hog}; exit 3")).await.0.exit,
        Exit::Code(3)
    );
    assert_eq!(bench.shell("kill -9 $$").await.0.exit, Exit::Signal(9));
}
