//! Signals: the first stops cleanly, the second at once; whatever is killed, running again goes on.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::stage::{Ended, Setup};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::scene::{
    CANCELLED, KEEP, RUN, Scene, Step, WORSE, ended, ended_within, expect, signal, signal_group,
};

e2e::journeys!(process, Process, Process, Tester: [
    first_signal_at_any_step_stops_cleanly_and_the_run_goes_on,
    sigkill_at_any_step_leaves_nothing_and_the_run_goes_on,
    second_signal_ends_it_at_once_and_the_run_goes_on,
    hangup_that_was_ignored_from_the_start_stays_ignored,
    run_that_was_stopped_for_a_while_goes_on,
    time_while_stopped_counts_and_the_deadline_holds,
    finalize_that_is_interrupted_leaves_no_branch_and_can_be_done_again,
    exec_that_is_interrupted_leaves_nothing,
]);
e2e::journeys!(process_of_ordinary_user, Process, Process, OrdinaryUser: [
    first_signal_at_any_step_stops_cleanly_and_the_run_goes_on,
    sigkill_at_any_step_leaves_nothing_and_the_run_goes_on,
]);
e2e::journeys!(container, Container, Container, Tester: [
    first_signal_at_any_step_stops_cleanly_and_the_run_goes_on,
    sigkill_at_any_step_leaves_nothing_and_the_run_goes_on,
    finalize_that_is_interrupted_leaves_no_branch_and_can_be_done_again,
]);

fn first_signal_at_any_step_stops_cleanly_and_the_run_goes_on(setup: Setup) {
    let signals = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
    ];
    let mut scene = Scene::new(setup);
    let mut before = Vec::new();
    for (step, with) in Step::ALL.into_iter().zip(signals) {
        let run = scene.held_at(step);
        // A terminal's Ctrl-C reaches all of the group.
        match with {
            Signal::SIGINT => signal_group(&run, with),
            _ => signal(&run, with),
        }
        let said = expect(&ended(run), 130);
        let hint = "error: interrupted\n  hint: `autoclave run` goes on where this stopped.\n";
        assert!(said.contains(hint), "{step:?}: {said}");
        scene.assert_clean();
        scene.go(step);
        if step.is_in_experiment() {
            before.push(CANCELLED);
        }
        assert_eq!(scene.stage.verdicts("smaller"), before, "{step:?}");
    }
    // What was there of the candidates is pinned, those of the guard and the measurement.
    let pins = scene.stage.git(&["for-each-ref", "refs/autoclave/*/0*"]);
    assert_eq!(pins.lines().count(), 2, "{pins}");
    scene.goes_on(&before);
}

fn sigkill_at_any_step_leaves_nothing_and_the_run_goes_on(setup: Setup) {
    let mut scene = Scene::new(setup);
    for step in Step::ALL {
        let mut run = scene.held_at(step);
        signal(&run, Signal::SIGKILL);
        run.wait().unwrap();
        scene.go(step);
        if !setup.uses_containers() {
            // On an engine, what is left is found by the next start.
            scene.wait_for_death();
        }
        scene.assert_readable();
        assert!(scene.stage.verdicts("smaller").is_empty());
    }
    scene.goes_on(&[]);
}

fn second_signal_ends_it_at_once_and_the_run_goes_on(setup: Setup) {
    let mut scene = Scene::new(setup);
    let run = scene.held_at(Step::Agent);
    signal_group(&run, Signal::SIGINT);
    signal_group(&run, Signal::SIGTERM);
    // Either it was quick to end cleanly, or it says that it did not.
    let said = expect(&ended_within(run, Duration::from_secs(5)), 130);
    assert!(said.contains("error: interrupted"), "{said}");
    scene.wait_for_death();
    scene.go(Step::Agent);
    scene.assert_readable();
    let before = scene.stage.verdicts("smaller");
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    scene.goes_on(&before);
}

fn hangup_that_was_ignored_from_the_start_stays_ignored(setup: Setup) {
    let mut scene = Scene::new(setup);
    scene.hold(Step::Agent);
    let program = scene.stage.outside("bin/autoclave");
    let own = scene.stage.command(&RUN);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(program)
        .args(own.get_args())
        .current_dir(scene.stage.repo())
        .env_clear();
    for (name, value) in own.get_envs() {
        shell.env(name, value.unwrap());
    }
    let run = shell.spawn().unwrap();
    scene.wait_for(Step::Agent);
    signal(&run, Signal::SIGHUP);
    scene.go(Step::Agent);
    expect(&ended(run), 0);
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
    scene.remember();
}

fn run_that_was_stopped_for_a_while_goes_on(setup: Setup) {
    for step in [Step::Agent, Step::Measure] {
        let mut scene = Scene::new(setup);
        let run = scene.held_at(step);
        signal_group(&run, Signal::SIGTSTP);
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", run.id())).unwrap();
        e2e::toy::wait_until("it is stopped", || state().contains(") T "));
        scene.go(step);
        signal_group(&run, Signal::SIGCONT);
        expect(&ended(run), 0);
        scene.assert_clean();
        assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
    }
}

fn time_while_stopped_counts_and_the_deadline_holds(setup: Setup) {
    let mut scene = Scene::with(setup, crate::scene::AGENT, |config| {
        config.replace("budget_per_experiment: 2m", "budget_per_experiment: 2s")
    });
    let run = scene.held_at(Step::Agent);
    let stopped = Instant::now();
    signal(&run, Signal::SIGSTOP);
    e2e::toy::wait_until("its time is up", || {
        stopped.elapsed() > Duration::from_secs(3)
    });
    signal(&run, Signal::SIGCONT);
    scene.wait_for_event(|event| event["event"] == "decided");
    assert!(stopped.elapsed() < Duration::from_secs(30));
    scene.go(Step::Agent);
    expect(&ended(run), 0);
    scene.assert_clean();
    assert_eq!(
        scene.stage.verdicts("smaller"),
        ["discard timed_out", WORSE_THAN_BASE]
    );
    let seconds = scene.stage.results("smaller")["experiments"][0]["seconds"].clone();
    assert!(
        (2.0..30.0).contains(&seconds.as_f64().unwrap()),
        "{seconds}"
    );
}

/// The second experiment is 70 against 100.
const WORSE_THAN_BASE: &str = KEEP;

fn finalize_that_is_interrupted_leaves_no_branch_and_can_be_done_again(setup: Setup) {
    let mut scene = Scene::new(setup);
    scene.stage.autoclave(&RUN).expect(0);
    for with in [Signal::SIGINT, Signal::SIGKILL] {
        scene.hold(Step::Measure);
        let mut finalize = scene.start(&["finalize", "-m", "smaller"]);
        e2e::toy::wait_until("it measures", || scene.is_running("tests/measure.sh"));
        scene.remember();
        signal(&finalize, with);
        let code = finalize.wait().unwrap().code();
        assert_eq!(code, (with == Signal::SIGINT).then_some(130));
        scene.go(Step::Measure);
        if with == Signal::SIGINT {
            assert_eq!(scene.leftovers(), Vec::<String>::new());
        }
        assert_eq!(
            scene.stage.git(&["branch", "--list", "autoclave/*-final"]),
            ""
        );
    }
    scene
        .stage
        .autoclave(&["finalize", "-m", "smaller"])
        .expect(0);
    scene.assert_clean();
    let number = scene
        .stage
        .git(&["show", "autoclave/smaller-final:src/number.txt"]);
    assert_eq!(number, "50");
}

fn exec_that_is_interrupted_leaves_nothing(setup: Setup) {
    let mut scene = Scene::new(setup);
    for (with, code) in [
        (Signal::SIGTERM, Some(130)),
        (Signal::SIGHUP, Some(130)),
        (Signal::SIGKILL, None),
    ] {
        let script = "trap '' TERM INT HUP; while :; do sleep 1000; done";
        let mut exec = scene.start(&["exec", "-m", "smaller", "--", "sh", "-c", script]);
        let is_asleep = |words: &String| words.contains("sleep 1000") && !words.contains("exec");
        e2e::toy::wait_until("it sleeps", || scene.processes().iter().any(is_asleep));
        scene.remember();
        signal(&exec, with);
        assert_eq!(exec.wait().unwrap().code(), code, "{with}");
        scene.wait_for_death();
    }
    let after: Ended = scene
        .stage
        .autoclave(&["exec", "-m", "smaller", "--", "true"]);
    after.expect(0);
    let left: Vec<Value> = scene.leftovers().into_iter().map(Value::from).collect();
    assert_eq!(left, Vec::<Value>::new());
}
