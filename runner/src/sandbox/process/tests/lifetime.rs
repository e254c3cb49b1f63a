//! The end of executions, however they end, and what is then left.

use super::*;

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
                "sandbox::process::tests::lifetime::launcher",
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
        assert!(super::super::sweep(&state, &label), "{without}");
        assert_eq!(only_entry(&state), not_ours, "{without}");
        assert_eq!(
            super::super::cgroup::Cgroup::named(&label),
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
