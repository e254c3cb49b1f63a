//! Several at once: one marker is run by one, markers side by side, and one measures at a time.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use e2e::stage::Setup;
use e2e::toy::wait_until;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::scene::{AGENT, KEEP, RUN, Scene, Step, WORSE, ended, expect, signal};

e2e::journeys!(process, Process, Process, Tester: [
    of_two_runs_started_at_once_the_second_names_the_first,
    lock_of_a_dead_process_whose_id_is_used_again_is_no_hindrance,
    three_markers_side_by_side_never_measure_at_the_same_time,
    whoever_waits_to_measure_says_for_whom_and_can_be_interrupted,
    turn_of_a_killed_run_is_free,
]);
e2e::journeys!(process_of_ordinary_user, Process, Process, OrdinaryUser: [
    of_two_runs_started_at_once_the_second_names_the_first,
]);
e2e::journeys!(container, Container, Container, Tester: [
    three_markers_side_by_side_never_measure_at_the_same_time,
]);

const OTHERS: [&str; 2] = ["other", "third"];

/// A scene with two markers more, which differ in nothing but their names.
fn three(setup: Setup, measure: &str) -> Scene {
    let scene = Scene::with(setup, AGENT, |config| {
        let one = config.replace("markers:\n", "");
        let others = OTHERS.map(|name| one.replace("name: smaller", &format!("name: {name}")));
        format!("{config}{}", others.concat())
    });
    if !measure.is_empty() {
        scene.stage.write("tests/measure.sh", measure);
        scene.stage.commit_all("another measure");
    }
    scene
}

/// Returns the folder of a marker's only run.
fn run_of(scene: &Scene, marker: &str) -> Option<PathBuf> {
    let name = format!("-{marker}-");
    let is_its = |run: &PathBuf| run.file_name().unwrap().to_str().unwrap().contains(&name);
    scene.runs().into_iter().find(is_its)
}

fn events_of(scene: &Scene, marker: &str) -> Vec<Value> {
    let run = run_of(scene, marker);
    let text = run.and_then(|run| fs::read_to_string(run.join("events.jsonl")).ok());
    let text = text.unwrap_or_default();
    let events = text.lines().map(serde_json::from_str);
    events.filter_map(Result::ok).collect()
}

fn of_two_runs_started_at_once_the_second_names_the_first(setup: Setup) {
    let mut scene = Scene::new(setup);
    scene.hold(Step::Agent);
    let mut both: [Child; 2] = [scene.start(&RUN), scene.start(&RUN)];
    let mut second = None;
    wait_until("one of them is refused", || {
        second = (0..2).find(|one| both[*one].try_wait().unwrap().is_some());
        second.is_some()
    });
    scene.wait_for(Step::Agent);
    let [mut first, mut refused] = both;
    if second == Some(0) {
        std::mem::swap(&mut first, &mut refused);
    }
    let said = expect(&ended(refused), 6);
    let names = format!(
        "marker `smaller` is in use by another autoclave, process {}",
        first.id()
    );
    assert!(said.contains(&names), "{said}");
    scene.remember();
    scene.go(Step::Agent);
    expect(&ended(first), 0);
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
    assert_eq!(scene.runs().len(), 1);
}

fn lock_of_a_dead_process_whose_id_is_used_again_is_no_hindrance(setup: Setup) {
    let mut scene = Scene::new(setup);
    let run = scene.held_at(Step::Agent);
    let lock = scene.stage.repo().join(".autoclave/runs/smaller.lock");
    assert_eq!(
        fs::read_to_string(&lock).unwrap(),
        format!("{}\n", run.id())
    );
    signal(&run, Signal::SIGKILL);
    ended(run);
    scene.go(Step::Agent);
    scene.wait_for_death();
    // Somebody else has the dead one's id now: this process.
    fs::write(&lock, format!("{}\n", std::process::id())).unwrap();
    let turn = scene.stage.outside("state/measuring");
    fs::write(turn, format!("{}\n", std::process::id())).unwrap();
    let status = scene
        .stage
        .autoclave(&["status", "--json"])
        .expect(0)
        .json();
    assert_eq!(status["markers"][0]["state"], "unfinished");
    scene.goes_on(&[]);
}

fn three_markers_side_by_side_never_measure_at_the_same_time(setup: Setup) {
    // Its own times are in its output, by a clock that all sandboxes of a machine share.
    let measure = "read start rest </proc/uptime; sleep 0.2; read end rest </proc/uptime\n\
                   echo \"from $start to $end\" >&2; cat src/number.txt\n";
    let mut scene = three(setup, measure);
    scene.user_has_changed_it();
    let markers = ["smaller", OTHERS[0], OTHERS[1]];
    let runs = markers.map(|marker| scene.start(&["run", "-m", marker]));
    for run in runs {
        expect(&ended(run), 0);
    }
    scene.assert_clean();
    let mut times: Vec<(f64, f64)> = Vec::new();
    for marker in markers {
        assert_eq!(scene.stage.verdicts(marker), [KEEP, WORSE], "{marker}");
        let run = run_of(&scene, marker).unwrap();
        for number in ["0001", "0002"] {
            let text = fs::read_to_string(run.join("experiments").join(number).join("metric.txt"));
            let text = text.unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "from").unwrap();
            let time = |at: usize| words[at].parse().unwrap();
            times.push((time(at + 1), time(at + 3)));
        }
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(
        times.iter().all(|(start, end)| end - start > 0.15),
        "{times:?}"
    );
    let overlap = times.windows(2).any(|two| two[1].0 < two[0].1);
    assert!(!overlap, "{times:?}");
    let waited = markers.iter().flat_map(|marker| events_of(&scene, marker));
    let waited = waited.filter(|event| event["event"] == "waiting_for_turn");
    assert!(
        waited.count() >= 2,
        "at least the base is measured by one after the other"
    );
}

fn whoever_waits_to_measure_says_for_whom_and_can_be_interrupted(setup: Setup) {
    let mut scene = three(setup, "");
    let first = scene.held_at(Step::Measure);
    for (with, times) in [(Signal::SIGINT, 1), (Signal::SIGTERM, 2)] {
        let second = scene.start(&["run", "-m", OTHERS[0]]);
        wait_until("it waits", || {
            let events = events_of(&scene, OTHERS[0]);
            let waits = events
                .iter()
                .filter(|event| event["event"] == "waiting_for_turn");
            waits.filter(|event| event["pid"] == first.id()).count() == times
        });
        let measured = |event: &Value| {
            ["guard_started", "baseline_reading"]
                .map(Value::from)
                .contains(&event["event"])
        };
        assert!(
            !events_of(&scene, OTHERS[0]).iter().any(measured),
            "nothing is measured"
        );
        signal(&second, with);
        let said = expect(&ended(second), 130);
        let told = format!("until another run (process {}) has measured", first.id());
        assert!(said.contains(&told), "{said}");
    }
    scene.go(Step::Measure);
    expect(&ended(first), 0);
    scene.stage.autoclave(&["run", "-m", OTHERS[0]]).expect(0);
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts(OTHERS[0]), [KEEP, WORSE]);
}

fn turn_of_a_killed_run_is_free(setup: Setup) {
    let mut scene = three(setup, "");
    let first = scene.held_at(Step::Measure);
    let second = scene.start(&["run", "-m", OTHERS[0]]);
    wait_until("it waits", || {
        let events = events_of(&scene, OTHERS[0]);
        events
            .iter()
            .any(|event| event["event"] == "waiting_for_turn")
    });
    signal(&first, Signal::SIGKILL);
    ended(first);
    scene.go(Step::Measure);
    expect(&ended(second), 0);
    assert_eq!(scene.stage.verdicts(OTHERS[0]), [KEEP, WORSE]);
    scene.stage.autoclave(&RUN).expect(0);
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
}
