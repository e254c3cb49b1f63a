//! What the runner itself costs: time per experiment outside of agent and harness, and memory.
//!
//! `cargo bench -p e2e --bench overhead` (root, or a host with user namespaces). Builds the release
//! binary, makes repositories of several sizes, and runs whole runs of it with an agent, a guard
//! and a metric that end at once. `AUTOCLAVE_BENCH_SIZES=100,1000` chooses other sizes;
//! `AUTOCLAVE_BENCH_BACKEND=container` runs them in containers of `DOCKER_HOST`'s engine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and one that cannot go on has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const EXPERIMENTS: u32 = 10;
const SIZES: &str = "100,10000,50000";
/// In one directory, as large repositories have them.
const FILES_PER_DIRECTORY: u32 = 50;

const CONFIG: &str = "markers:
  - name: discards
    description: Make the number smaller
    target: {mutable: ['src/**', src/number.txt], hidden: ['d1/d1/**'], scratch: ['target/']}
    metric: {command: 'cat src/number.txt', extract: 'regex:([0-9]+)', direction: lower}
    guard: {command: 'true', rework_attempts: 0}
    loop: {max_experiments: 100, stop_after_no_gain: 100, refine_after: 100, pivot_after: 101}
    agent: {command: [sh, -c, 'read n < src/number.txt; echo $((n + 1000)) > src/number.txt'], protocol: none}
    sandbox: {BACKEND}
  - name: keeps
    description: Make the number smaller
    target: {mutable: ['src/**', src/number.txt], hidden: ['d1/d1/**'], scratch: ['target/']}
    metric: {command: 'cat src/number.txt', extract: 'regex:([0-9]+)', direction: lower}
    guard: {command: 'true', rework_attempts: 0}
    loop: {max_experiments: 100}
    agent: {command: [sh, -c, 'read n < src/number.txt; echo $((n / 2)) > src/number.txt'], protocol: none}
    sandbox: {BACKEND}
";

/// What one run took.
struct Seen {
    /// From the binary's start to the first event, in milliseconds.
    open: f64,
    /// From there to the first sandbox.
    snapshot: f64,
    experiments: Vec<Experiment>,
    peak_mib: f64,
    kept: u64,
}

/// Milliseconds of one experiment.
struct Experiment {
    /// All of it but the commands of agent and harness.
    overhead: f64,
    /// Of that, until its sandboxes had proven themselves.
    sandboxes: f64,
    executions: f64,
}

fn main() {
    let binary = autoclave();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let sizes = std::env::var("AUTOCLAVE_BENCH_SIZES").unwrap_or_else(|_| SIZES.to_owned());
    println!(
        "{EXPERIMENTS} experiments a run; an experiment's overhead is its wall time without the time inside\n\
         commands, median (worst); `sandboxes` is the part until they had proven themselves; `ratio` is to the first row.\n"
    );
    println!(
        "  files | verdicts | open s | snapshot s | overhead ms     | sandboxes ms | executions | the rest ms | ratio | peak MiB"
    );
    println!(
        "--------|----------|--------|------------|-----------------|--------------|------------|-------------|-------|---------"
    );
    let mut first = std::collections::BTreeMap::new();
    for files in sizes.split(',').map(|size| size.parse::<u32>().unwrap()) {
        let repo = folder.path().join(format!("repo-{files}"));
        repository(&repo, files);
        for marker in ["discards", "keeps"] {
            let seen = run(&binary, &repo, marker, &folder.path().join("state"));
            let kept = if marker == "keeps" { EXPERIMENTS } else { 0 };
            assert_eq!(seen.kept, u64::from(kept), "the agent's changes are judged");
            let of = |part: fn(&Experiment) -> f64| -> Vec<f64> {
                seen.experiments.iter().map(part).collect()
            };
            let overhead = median(of(|e| e.overhead));
            let worst = of(|e| e.overhead).into_iter().fold(0.0, f64::max);
            let ratio = overhead / *first.entry(marker).or_insert(overhead);
            println!(
                "{files:7} | {marker:<8} | {:6.2} | {:10.2} | {overhead:6.1} ({worst:6.1}) | {:12.1} | {:10} | {:11.1} | {ratio:5.2} | {:8.1}",
                seen.open / 1e3,
                seen.snapshot / 1e3,
                median(of(|e| e.sandboxes)),
                median(of(|e| e.executions)),
                median(of(|e| e.overhead - e.sandboxes)),
                seen.peak_mib,
            );
        }
        fs::remove_dir_all(&repo).unwrap();
    }
}

/// Returns what the configuration says of the sandbox.
fn backend() -> String {
    let backend = std::env::var("AUTOCLAVE_BENCH_BACKEND");
    let backend = backend.unwrap_or_else(|_| "process".to_owned());
    let image = ["AUTOCLAVE_BENCH_IMAGE", "AUTOCLAVE_TEST_IMAGE"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    match image {
        Some(image) if backend == "container" => format!("backend: container, image: '{image}'"),
        _ => format!("backend: {backend}"),
    }
}

/// Builds the binary as users get it; returns its path, beside this bench.
fn autoclave() -> PathBuf {
    if let Some(path) = std::env::var_os("AUTOCLAVE_BENCH_BINARY") {
        return path.into();
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "autoclave"])
        .status()
        .unwrap();
    assert!(built.success(), "cargo build --release --package autoclave");
    let bench = std::env::current_exe().unwrap();
    bench.parent().unwrap().parent().unwrap().join("autoclave")
}

/// Makes a repository with `files` files of about a kilobyte, as one pack.
fn repository(folder: &Path, files: u32) {
    git(
        folder.parent().unwrap(),
        &["init", "-q", "-b", "main", folder.to_str().unwrap()],
    );
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = BufWriter::new(import.stdin.take().unwrap());
    write!(
        to,
        "commit refs/heads/main\ncommitter t <t@localhost> 0 +0000\ndata 1\nm\n"
    )
    .unwrap();
    let mut put = |path: &str, text: &str| {
        write!(to, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
    };
    put(
        ".autoclave/config.yaml",
        &CONFIG.replace("BACKEND", &backend()),
    );
    put("src/number.txt", "1000000000\n");
    for n in 2..files {
        let directory = n / FILES_PER_DIRECTORY;
        let path = format!("d{}/d{}/file-{n}.txt", directory % 40, directory / 40);
        let text: String = (0..n % 60)
            .map(|line| {
                format!(
                    "line {line} of file {n}: {}\n",
                    n.wrapping_mul(2_654_435_761 + line)
                )
            })
            .collect();
        put(&path, &text);
    }
    drop(to);
    assert!(import.wait().unwrap().success());
    git(folder, &["reset", "-q", "--hard"]);
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

/// Runs a marker and reads its events as they come.
fn run(binary: &Path, repo: &Path, marker: &str, state: &Path) -> Seen {
    let started = now_ms();
    let mut child = Command::new(binary)
        .args(["run", "--json", "-m", marker])
        .args(["--experiments", &EXPERIMENTS.to_string()])
        .current_dir(repo)
        .env("AUTOCLAVE_STATE_DIR", state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    let mut events: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The peak only grows: the last one that can be read is that of the run.
        peak_kib = peak_of(child.id()).unwrap_or(peak_kib);
        events.push(serde_json::from_str(&line.unwrap()).unwrap());
    }
    let exit = child.wait().unwrap();
    assert!(
        !events.is_empty() && events[0]["event"] == "run_started",
        "the run started: {exit}, {events:?}"
    );
    let at = |event: &Value| event["at_ms"].as_f64().unwrap();
    let opened = at(&events[0]);
    let snapshot = events
        .iter()
        .find(|e| e["event"] == "guard_started")
        .unwrap();
    let starts: Vec<f64> = events
        .iter()
        .filter(|e| e["event"] == "experiment_started" || e["event"] == "run_finished")
        .map(at)
        .collect();
    let decided: Vec<&Value> = events.iter().filter(|e| e["event"] == "decided").collect();
    assert_eq!(starts.len(), decided.len() + 1, "the run came to its end");
    let milliseconds =
        |decided: &Value, part: &str| 1e3 * decided["executions"][part].as_f64().unwrap_or(0.0);
    let experiments = starts
        .windows(2)
        .zip(decided)
        .map(|(start, decided)| Experiment {
            overhead: start[1] - start[0] - milliseconds(decided, "command_seconds"),
            sandboxes: milliseconds(decided, "sandbox_seconds"),
            executions: decided["executions"]["count"].as_f64().unwrap_or(0.0),
        })
        .collect();
    Seen {
        open: opened - started,
        snapshot: at(snapshot) - opened,
        experiments,
        peak_mib: f64::from(peak_kib) / 1024.0,
        kept: events.last().unwrap()["kept"].as_u64().unwrap(),
    }
}

/// Reads the peak of a process's resident memory, in KiB; see proc_pid_status(5).
fn peak_of(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn now_ms() -> f64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
        * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}
