//! The wall clock jumps: deadlines hold, runs stay in order, and what took a moment is told so.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::stage::Setup;
use e2e::toy::wait_until;
use serde_json::Value;

use crate::scene::{AGENT, KEEP, RUN, Scene, Step, WORSE, ended, expect};

e2e::journeys!(process, Process, Process, Tester: [
    clock_that_jumps_during_a_run_changes_no_verdict_and_no_duration,
    runs_stay_in_order_when_the_clock_is_set_back,
    deadline_holds_when_the_clock_is_set_back,
]);

/// Moves the wall clock of a program by the seconds that the file `$JUMP` holds. Its own file
/// access goes by system calls, so that it can be asked at any time.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <sys/time.h>
#include <unistd.h>
static long jump(void) {
    char text[32] = {0};
    const char *path = getenv("JUMP");
    if (!path) return 0;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += jump();
    return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

const DAY: i64 = 24 * 3600;

/// Puts the shim under all that the scene starts from now on.
fn with_jumps(scene: &mut Scene) {
    let source = scene.stage.outside("jump.c");
    let library = scene.stage.outside("jump.so");
    fs::write(&source, SHIM).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    assert!(cc.status().unwrap().success());
    scene.stage.set("LD_PRELOAD", Some(library.as_os_str()));
    let jump = scene.stage.outside("jump");
    scene.stage.set("JUMP", Some(jump.as_os_str()));
    jump_by(scene, 0);
}

/// Sets the clock of running programs, too, at once.
fn jump_by(scene: &Scene, seconds: i64) {
    let next = scene.stage.outside("jump.next");
    fs::write(&next, seconds.to_string()).unwrap();
    fs::rename(next, scene.stage.outside("jump")).unwrap();
}

/// Returns the numbers of all fields that end in `seconds`, wherever they are in `value`.
fn seconds(value: &Value) -> Vec<f64> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_f64() {
                Some(number) if name.ends_with("seconds") => vec![number],
                _ => seconds(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(seconds).collect(),
        _ => Vec::new(),
    }
}

fn clock_that_jumps_during_a_run_changes_no_verdict_and_no_duration(setup: Setup) {
    let mut scene = Scene::new(setup);
    with_jumps(&mut scene);
    for (step, by) in [(Step::Agent, 365 * DAY), (Step::Measure, -DAY)] {
        let started = Instant::now();
        let run = scene.held_at(step);
        jump_by(&scene, by);
        scene.go(step);
        expect(&ended(run), 0);
        let took = started.elapsed().as_secs_f64();
        scene.assert_clean();
        assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
        let events = scene.events();
        let at: Vec<i64> = events
            .iter()
            .map(|e| e["at_ms"].as_i64().unwrap())
            .collect();
        let jumped = at.windows(2).map(|two| (two[1] - two[0]) / 1000 - by);
        assert_eq!(
            jumped.filter(|off| off.abs() < 60).count(),
            1,
            "the control: it did jump"
        );
        for record in events.iter().chain(&scene.stage.ledger()) {
            for number in seconds(record) {
                assert!((0.0..=took).contains(&number), "{record} within {took} s");
            }
        }
        fs::remove_dir_all(scene.stage.repo().join(".autoclave/runs")).unwrap();
        jump_by(&scene, 0);
    }
}

fn runs_stay_in_order_when_the_clock_is_set_back(setup: Setup) {
    let mut scene = Scene::new(setup);
    with_jumps(&mut scene);
    let mut made = Vec::new();
    for by in [0, 365 * DAY, -DAY, -365 * DAY, 0] {
        jump_by(&scene, by);
        let one = [&RUN[..], &["--new", "--experiments", "1"]].concat();
        scene.stage.autoclave(&one).expect(0);
        let newest = scene.runs().pop().unwrap();
        assert!(!made.contains(&newest), "{made:?}");
        let told = scene.stage.results("smaller")["run"].clone();
        assert_eq!(
            OsStr::new(told.as_str().unwrap()),
            newest.file_name().unwrap()
        );
        made.push(newest);
    }
    assert_eq!(scene.runs(), made, "by name as by age");
    // The newest is the one that goes on.
    scene.hold(Step::Agent);
    let run = scene.start(&[&RUN[..], &["--new"]].concat());
    wait_until("a run more", || scene.runs().len() > made.len());
    scene.wait_for(Step::Agent);
    crate::scene::signal(&run, nix::sys::signal::Signal::SIGTERM);
    expect(&ended(run), 130);
    scene.go(Step::Agent);
    jump_by(&scene, -2 * 365 * DAY);
    scene.stage.autoclave(&RUN).expect(0);
    assert_eq!(scene.runs().len(), made.len() + 1, "it went on");
    scene.assert_clean();
}

fn deadline_holds_when_the_clock_is_set_back(setup: Setup) {
    let mut scene = Scene::with(setup, AGENT, |config| {
        config.replace("budget_per_experiment: 2m", "budget_per_experiment: 3s")
    });
    with_jumps(&mut scene);
    for by in [-DAY, 365 * DAY] {
        let run = scene.held_at(Step::Agent);
        let jumped = Instant::now();
        jump_by(&scene, by);
        scene.wait_for_event(|event| event["event"] == "decided");
        assert!(jumped.elapsed() < Duration::from_secs(30));
        scene.go(Step::Agent);
        expect(&ended(run), 0);
        assert_eq!(scene.stage.verdicts("smaller"), ["discard timed_out", KEEP]);
        let agent = scene.events();
        let agent = agent
            .iter()
            .find(|event| event["event"] == "agent_finished")
            .unwrap();
        let took = agent["seconds"].as_f64().unwrap();
        assert!((3.0..30.0).contains(&took), "{took}");
        fs::remove_dir_all(scene.stage.repo().join(".autoclave/runs")).unwrap();
        assert!(!Path::new(&scene.stage.outside("state/r")).exists());
    }
}
