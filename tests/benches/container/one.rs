//! One container from its creation to its removal, beside `docker run --rm` with the same options.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use autoclave_runner::sandbox::container::seccomp_profile;

use e2e::containers::{CPUS, DISK, MEMORY, Outcome, PIDS, Spans, Stage, UID, image};

const WARM_UP: usize = 2;
const NAMES: [&str; 3] = ["docker run --rm", "autoclave, alone", "autoclave, next"];

/// Times all three in turn and prints them, then where our time goes.
pub fn compare(stage: &Stage, spans: &Spans, rounds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let profile = folder.path().join("seccomp.json");
    std::fs::write(&profile, seccomp_profile())?;
    let seccomp = format!("seccomp={}", profile.display());
    let alone = || {
        stage.runtime.block_on(async {
            stage.run_true().await?;
            stage.take_out().await
        })
    };
    let next = || stage.runtime.block_on(stage.run_true());
    let mut times = [const { Vec::new() }; NAMES.len()];
    let mut parts = [const { Vec::new() }; NAMES.len()];
    for round in 0..rounds + WARM_UP {
        for turn in 0..NAMES.len() {
            // Nobody is always first, or always after the same one.
            let which = (turn + round) % NAMES.len();
            if which == 2 {
                // The one before it, that is removed while it starts.
                next()?;
            }
            spans.take();
            let start = Instant::now();
            match which {
                0 => docker_run(&stage.address, &seccomp)?,
                1 => alone()?,
                _ => next()?,
            }
            if round >= WARM_UP {
                times[which].push(start.elapsed());
                parts[which].extend(spans.take());
            }
            // What the one before left is nobody's but its own.
            stage.runtime.block_on(stage.take_out())?;
        }
    }
    println!("/bin/true, from the call to the removal, {rounds} interleaved rounds\n");
    println!(
        "{:<20}{:>11}{:>10}  {:>11}{:>10}",
        "", "fastest ms", "x docker", "median ms", "x docker"
    );
    let docker = fastest_and_median(&times[0]);
    for (name, times) in NAMES.iter().zip(&times) {
        let own = fastest_and_median(times);
        println!(
            "{name:<20}{:>11.1}{:>10.2}  {:>11.1}{:>10.2}",
            own[0],
            own[0] / docker[0],
            own[1],
            own[1] / docker[1]
        );
    }
    println!("\nwhere our time goes, median ms of each part\n");
    println!("{:<20}{:>11}{:>11}", "", "alone", "next");
    let [_, alone, next] = parts.map(by_name);
    for part in [
        "create",
        "attach",
        "start",
        "prove",
        "command",
        "last output",
        "wait",
        "remove",
    ] {
        let cell = |parts: &BTreeMap<_, _>| {
            let times = parts
                .get(part)
                .map(|times: &Vec<_>| fastest_and_median(times)[1]);
            times.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"))
        };
        println!("{part:<20}{:>11}{:>11}", cell(&alone), cell(&next));
    }
    println!();
    Ok(())
}

/// Runs `/bin/true` as the engine's own client does, contained as ours is.
fn docker_run(address: &str, seccomp: &str) -> Outcome<()> {
    let user = format!("{UID}:{UID}");
    let (memory, cpus, pids) = (MEMORY.to_string(), CPUS.to_string(), PIDS.to_string());
    let tmpfs = format!("/tmp:rw,nosuid,nodev,size={DISK},mode=1777");
    let output = Command::new("docker")
        .args(["--host", address, "run", "--rm", "--pull", "never"])
        .args(["--network", "none", "--user", &user, "--cap-drop", "ALL"])
        .args([
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            seccomp,
        ])
        .args(["--memory", &memory, "--memory-swap", &memory])
        .args(["--cpus", &cpus, "--pids-limit", &pids, "--tmpfs", &tmpfs])
        .args([
            "--ulimit",
            "core=0",
            "--ulimit",
            "nofile=4096",
            "--ulimit",
            "nproc=4096",
        ])
        .args([
            "--ipc",
            "private",
            "--cgroupns",
            "private",
            "--log-driver",
            "none",
        ])
        .args([&image(), "/bin/true"])
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("no word of why");
    Err(format!("docker run: {}, {line}", output.status).into())
}

fn by_name(parts: Vec<(&'static str, Duration)>) -> BTreeMap<&'static str, Vec<Duration>> {
    let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, time) in parts {
        named.entry(name).or_default().push(time);
    }
    named
}

/// Returns the fastest and the median time, in milliseconds; not a number where there is none.
fn fastest_and_median(times: &[Duration]) -> [f64; 2] {
    let mut times = times.to_vec();
    times.sort();
    [times.first(), times.get(times.len() / 2)]
        .map(|time| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3))
}
