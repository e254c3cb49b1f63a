//! What one sandboxed command costs beside a bare one and other sandboxes.
//!
//! `cargo bench -p e2e --bench launch [-- ROUNDS]`, see docs/benchmarks.md. Prints a table of
//! times and ratios; asserts nothing about time.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use autoclave_policies::{Grant, Identity, Level, Limits, Plan, RepoPath};
use autoclave_runner::model::{FileKind, SnapshotEntry};
use autoclave_runner::sandbox::process::{ProcessOptions, ProcessSandbox, probe};
use autoclave_runner::sandbox::{Execution, Exit, OutputSink, Sandbox, Snapshot, Stream};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 60;
const WARM_UP: usize = 3;
/// What the ordinary user of the second table is: nobody.
const USER: u32 = 65_534;
const AS_USER: &str = "--as-ordinary-user";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    let is_root = nix::unistd::geteuid().is_root();
    let who = if is_root { "root" } else { "an ordinary user" };
    println!("/bin/true as {who}, {rounds} interleaved rounds\n");
    compare(rounds)?;
    if is_root && !words.iter().any(|word| word == AS_USER) {
        as_ordinary_user(rounds)?;
    }
    Ok(())
}

/// Runs this benchmark again as an ordinary user.
fn as_ordinary_user(rounds: usize) -> Outcome<()> {
    let home = tempfile::tempdir_in("/var/tmp")?;
    chown(home.path(), Some(USER), Some(USER))?;
    // The build's folder may be closed to others.
    let program = home.path().join("launch");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let id = USER.to_string();
    let status = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(program)
        .args([AS_USER, &rounds.to_string()])
        .current_dir(home.path())
        .env("HOME", home.path())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("as an ordinary user: {status}").into()),
        Err(error) => {
            println!("as an ordinary user: not here, setpriv: {error}");
            Ok(())
        }
    }
}

/// One way to run `/bin/true`.
struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Outcome<()> + 'a>,
    /// Why it cannot take part on this host.
    absent: Option<String>,
    times: Vec<Duration>,
}

impl<'a> Contender<'a> {
    /// Tries it a few times before anything is counted; a sandbox of ours must take part.
    fn new(name: &'static str, mut run: impl FnMut() -> Outcome<()> + 'a) -> Self {
        let absent = (0..WARM_UP).find_map(|_| run().err());
        Self {
            name,
            run: Box::new(run),
            absent: absent.map(|error| error.to_string()),
            times: Vec::new(),
        }
    }

    /// Returns the fastest and the median time, in milliseconds.
    fn times(&self) -> Option<[f64; 2]> {
        let mut times = self.times.clone();
        times.sort();
        let middle = times.get(times.len() / 2)?;
        let fastest = times.first()?;
        Some([fastest, middle].map(|time| time.as_secs_f64() * 1000.0))
    }
}

fn compare(rounds: usize) -> Outcome<()> {
    let stage = Stage::new()?;
    let mut contenders = [
        Contender::new("bare spawn", || spawn(&["/bin/true"])),
        Contender::new("bwrap --unshare-all", || {
            let view = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"];
            spawn(&[&["bwrap", "--unshare-all"], &view[..], &["/bin/true"]].concat())
        }),
        Contender::new("autoclave", || stage.launch()),
        Contender::new("docker run", || {
            let image = std::env::var("AUTOCLAVE_BENCH_IMAGE");
            let image = image.as_deref().unwrap_or("debian:stable-slim");
            let flags = ["--rm", "--pull", "never", "--network", "none"];
            spawn(&[&["docker", "run"], &flags[..], &[image, "/bin/true"]].concat())
        }),
    ];
    for round in 0..rounds {
        let count = contenders.len();
        for turn in 0..count {
            // Nobody is always first, or always after the same one.
            let contender = &mut contenders[(turn + round) % count];
            if contender.absent.is_none() {
                let start = Instant::now();
                (contender.run)()?;
                contender.times.push(start.elapsed());
            }
        }
    }
    print(&contenders);
    let [.., autoclave, _] = &contenders;
    match &autoclave.absent {
        Some(why) => Err(format!("the process sandbox does not run here: {why}").into()),
        None => Ok(()),
    }
}

fn print(contenders: &[Contender<'_>; 4]) {
    let bare = contenders[0].times();
    let bwrap = contenders[1].times();
    let ratio = |own: [f64; 2], other: Option<[f64; 2]>, which: usize| {
        other.map_or_else(
            || "-".to_owned(),
            |other| format!("{:.2}", own[which] / other[which]),
        )
    };
    println!(
        "{:<20}{:>11}{:>8}{:>9}  {:>12}{:>8}{:>9}",
        "", "fastest ms", "x bare", "x bwrap", "median ms", "x bare", "x bwrap"
    );
    for contender in contenders {
        let name = contender.name;
        match (contender.times(), &contender.absent) {
            (Some(own), _) => {
                let [first, second] = [0, 1].map(|which| {
                    let (of_bare, of_bwrap) = (ratio(own, bare, which), ratio(own, bwrap, which));
                    format!("{:>11.2}{of_bare:>8}{of_bwrap:>9}", own[which])
                });
                println!("{name:<20}{first}   {second}");
            }
            (None, Some(why)) => println!("{name:<20} not here: {why}"),
            (None, None) => println!("{name:<20} not run"),
        }
    }
    println!();
}

fn spawn(argv: &[&str]) -> Outcome<()> {
    let output = Command::new(argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("no word of why");
    Err(format!("{}, {line}", output.status).into())
}

/// The process sandbox with a small snapshot, as inside a run.
struct Stage {
    // Dropped in this order: layers lie in the sandbox's folder, that in the temporary one.
    snapshot: Snapshot,
    sandbox: ProcessSandbox,
    plan: Plan,
    runtime: Runtime,
    _state: tempfile::TempDir,
}

impl Stage {
    fn new() -> Outcome<Self> {
        let state = tempfile::tempdir_in("/var/tmp")?;
        let sandbox = ProcessSandbox::new(&ProcessOptions {
            state: state.path().to_owned(),
            run_label: format!("bench-{}", std::process::id()),
            without: Vec::new(),
        })?;
        let tree = RepoPath::try_from("src")?;
        let plan = Plan {
            version: 1,
            level: Level::Sealed,
            identity: probe(state.path(), state.path(), &[]).second_uid.map_or(
                Identity::SameUser,
                |(uid, gid)| Identity::SecondUid { uid, gid },
            ),
            grants: vec![Grant::Tree {
                path: tree,
                created: false,
            }],
            in_place: Vec::new(),
            views: Vec::new(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            limits: Limits {
                memory_bytes: 1 << 30,
                cpus: 2.0,
                pids: 128,
                disk_bytes: 1 << 30,
            },
        };
        let mut entries = ["README.md", "src/main.py"].into_iter().map(|name| {
            let path = RepoPath::try_from(name)?;
            let bytes = b"text\n".to_vec();
            let kind = FileKind::File {
                bytes,
                executable: false,
            };
            Ok(SnapshotEntry { path, kind })
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let snapshot = runtime.block_on(sandbox.import(&mut entries, &plan))?;
        Ok(Self {
            snapshot,
            sandbox,
            plan,
            runtime,
            _state: state,
        })
    }

    /// Runs `/bin/true` and removes its sandbox.
    fn launch(&self) -> Outcome<()> {
        let argv = vec![OsString::from("/bin/true")];
        let execution =
            Execution::offline(&self.snapshot, &self.plan, argv, Duration::from_secs(60));
        let mut output = Nothing;
        let finished = self.sandbox.execute(execution, &mut output);
        let finished = self.runtime.block_on(finished)?;
        match finished.exit {
            Exit::Code(0) => Ok(()),
            exit => Err(format!("ended with {exit:?}").into()),
        }
    }
}

/// `/bin/true` says nothing.
struct Nothing;

impl OutputSink for Nothing {
    fn write(&mut self, _: Stream, _: &[u8]) {}
}
