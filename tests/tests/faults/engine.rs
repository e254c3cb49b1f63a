//! What goes wrong with a container engine has a name, costs no verdict, and leaves nothing behind.

use std::fs;
use std::process::{Child, Output};
use std::sync::Arc;

use e2e::engine::{Engine, IMAGE};
use e2e::engine_proxy::{Event, Fault, Proxy};
use e2e::stage::Setup;
use e2e::toy::{MARKER, Toy, wait_until};
use serde_json::Value;

e2e::journeys!(container, Container, Container, Tester: [
    engine_that_crashes_during_the_import_stops_the_run_which_goes_on_when_run_again,
    engine_that_crashes_under_an_agent_voids_the_experiment_and_the_run_goes_on,
    engine_that_crashes_under_a_measurement_voids_the_experiment_and_the_run_goes_on,
    engine_that_crashes_while_it_removes_a_container_costs_nothing,
    output_that_is_broken_off_is_never_judged,
    files_that_are_broken_off_are_never_taken,
    engine_that_does_not_answer_is_not_waited_for_and_what_it_made_is_removed,
    engine_that_refuses_again_and_again_stops_the_run_which_goes_on_when_run_again,
    full_disk_of_the_engine_is_no_fault_of_the_candidate,
    snapshot_that_somebody_removed_is_made_again,
    image_that_is_missing_is_named_and_the_run_goes_on_when_it_is_back,
    container_that_somebody_killed_is_no_fault_of_the_agent,
    running_out_of_memory_is_told_as_on_the_process_backend,
]);

const RUN: [&str; 3] = ["run", "-m", MARKER];
const KEEP: &str = r#""keep""#;
const WORSE: &str = r#"{"discard":"worse"}"#;
const BROKEN: &str = r#"{"void":"infrastructure"}"#;

const CREATE: &str = "POST /containers/create";
const ATTACH: &str = "POST /containers/*/attach";
const START: &str = "POST /containers/*/start";
const PUT_FILES: &str = "PUT /containers/*/archive";
const GET_FILES: &str = "GET /containers/*/archive";
const REMOVE: &str = "DELETE /containers/*";
/// Containers that are looked into and never started: whether the engine sees this machine's files.
const LOOKS: usize = 1;
/// Executions before the first agent's: a guard and three readings of the base.
const BASELINE: usize = 4;

/// An engine with things of somebody else's on it, and a toy that reaches it through a proxy.
struct Scene {
    toy: Toy,
    proxy: Proxy,
    engine: Arc<Engine>,
    /// Images without a name, of which the toy's base is one.
    theirs: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        Self::with(Engine::start(), |config| config)
    }

    fn with(engine: Engine, change: impl FnOnce(String) -> String) -> Self {
        let theirs = ["A=1", "A=2"].map(|env| {
            let env = format!("ENV {env} PATH=/bin");
            engine.import(&["--change", &env, "-"])
        });
        let image = theirs[0].clone();
        Self::on_image(engine, &image, theirs.into(), change)
    }

    fn on_image(
        engine: Engine,
        image: &str,
        theirs: Vec<String>,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        engine.docker(&["volume", "create", "theirs"]);
        let mount = "type=volume,src=theirs,dst=/tmp";
        engine.docker(&[
            "create", "--name", "theirs", "--mount", mount, IMAGE, "true",
        ]);
        let proxy = Proxy::start(engine.beside("proxy.sock"), engine.socket());
        let toy = Toy::in_containers(proxy.host(), image, |config| {
            change(
                config
                    .replace("extract: 'cat'", "extract: 'regex:([0-9]+)'")
                    .replace("max_experiments: 5", "max_experiments: 2"),
            )
        });
        Self {
            toy,
            proxy,
            engine: Arc::new(engine),
            theirs,
        }
    }

    /// Returns the event of the engine's crash, and of its start after that.
    fn crash(&self) -> Event {
        let engine = Arc::clone(&self.engine);
        Box::new(move || {
            engine.crash();
            engine.go_on();
        })
    }

    /// Runs to the end that has `code`.
    #[track_caller]
    fn run(&self, code: i32) -> Output {
        ended(self.toy.run(&RUN), code)
    }

    /// As [`run`](Self::run), by somebody who waits two seconds for an answer.
    #[track_caller]
    fn run_in_a_hurry(&self, code: i32) -> Output {
        let mut command = self.toy.command(&RUN);
        command.env("AUTOCLAVE_ENGINE_TIMEOUT", "2");
        ended(command.output().unwrap(), code)
    }

    /// Asserts the verdicts, as the ledger has them, and that all faults came to pass.
    #[track_caller]
    fn decided(&self, verdicts: &[&str]) {
        assert!(self.proxy.is_done(), "a fault never happened");
        let found: Vec<String> = self
            .records()
            .iter()
            .map(|record| record["verdict"].to_string())
            .collect();
        assert_eq!(found, verdicts, "{:#?}", self.records());
    }

    /// Returns the decided experiments; every line of the ledger is read.
    fn records(&self) -> Vec<Value> {
        let mut records = self.toy.ledger(&self.toy.run_folders()[0]);
        records.retain(|record| record["record"] == "experiment_decided");
        records
    }

    /// Asserts that the last fault is told by these words.
    #[track_caller]
    fn told(&self, words: &str) {
        let records = self.records();
        let verdict: Value = serde_json::from_str(BROKEN).unwrap();
        let broken = records.iter().rfind(|record| record["verdict"] == verdict);
        let detail = broken.unwrap()["detail"].as_str().unwrap();
        assert!(detail.contains(words), "no `{words}` in `{detail}`");
    }

    fn has_event(&self, holds: impl Fn(&Value) -> bool) -> bool {
        self.toy.run_folders().iter().any(|run| {
            let text = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
            let events = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            events.into_iter().any(|event: Value| holds(&event))
        })
    }
}

impl Drop for Scene {
    /// Whatever happened: nothing of ours is there, and everything of others' is.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert_eq!(self.engine.ours(), Vec::<String>::new());
        assert_eq!(self.toy.leftovers(), Vec::<String>::new());
        for image in &self.theirs {
            self.engine.docker(&["image", "inspect", image]);
        }
        self.engine.docker(&["container", "inspect", "theirs"]);
        self.engine.docker(&["volume", "inspect", "theirs"]);
    }
}

#[track_caller]
fn ended(output: Output, code: i32) -> Output {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    output
}

#[track_caller]
fn finished(run: Child, code: i32) {
    ended(run.wait_with_output().unwrap(), code);
}

fn engine_that_crashes_during_the_import_stops_the_run_which_goes_on_when_run_again(_: Setup) {
    let scene = Scene::new();
    scene
        .proxy
        .once(PUT_FILES, 0, Fault::Instead(scene.crash()));
    let stopped = scene.run(7);
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(
        said.contains("could not put files into a container"),
        "{said}"
    );
    assert!(
        said.contains("`autoclave run` goes on where this stopped"),
        "{said}"
    );
    assert_eq!(scene.engine.ours(), Vec::<String>::new());
    scene.run(0);
    scene.decided(&[KEEP, WORSE]);
    assert_eq!(scene.toy.run_folders().len(), 1);
}

fn engine_that_crashes_under_an_agent_voids_the_experiment_and_the_run_goes_on(_: Setup) {
    let scene = Scene::new();
    let run = scene.toy.waiting_run();
    scene.crash()();
    scene.toy.go();
    finished(run, 0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
}

fn engine_that_crashes_under_a_measurement_voids_the_experiment_and_the_run_goes_on(_: Setup) {
    let scene = Scene::with(Engine::start(), |config| {
        let wait = "while [ -e @CUES@/measure ]; do sleep 0.05; done; sh tests/measure.sh";
        let cues = config.split("read: [").nth(1).unwrap();
        let cues = cues.split(']').next().unwrap().to_owned();
        config.replace("sh tests/measure.sh", &wait.replace("@CUES@", &cues))
    });
    let run = scene.toy.waiting_run();
    let cue = scene.toy.cues().join("measure");
    fs::write(&cue, "").unwrap();
    scene.toy.go();
    wait_until("a measurement runs", || {
        let is_guarded =
            |event: &Value| event["event"] == "guard_finished" && event["experiment"].is_number();
        scene.has_event(is_guarded) && !scene.engine.running().is_empty()
    });
    scene.crash()();
    fs::remove_file(&cue).unwrap();
    finished(run, 0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
}

fn engine_that_crashes_while_it_removes_a_container_costs_nothing(_: Setup) {
    let scene = Scene::new();
    scene
        .proxy
        .once(REMOVE, BASELINE, Fault::Instead(scene.crash()));
    scene.run(0);
    scene.decided(&[KEEP, WORSE]);
}

fn output_that_is_broken_off_is_never_judged(_: Setup) {
    let scene = Scene::with(Engine::start(), |config| {
        let slow = "printf 1; sleep 0.3; sh tests/measure.sh";
        config.replace("sh tests/measure.sh", slow)
    });
    // First of the agent's output a part; then of a measurement's, which all the same exits with 0:
    // 1, where 1100 and 150 are measured.
    scene.proxy.once(ATTACH, BASELINE, Fault::CutBefore("work"));
    // That comes after the next agent and its guard.
    let measurement = 2;
    scene
        .proxy
        .once(ATTACH, measurement, Fault::LosesStdoutAfter(1));
    scene.run(0);
    scene.decided(&[BROKEN, BROKEN, KEEP, WORSE]);
    scene.told("the engine lost a part of it");
    assert_eq!(scene.records()[2]["value"], 150.0);
}

fn files_that_are_broken_off_are_never_taken(_: Setup) {
    let scene = Scene::new();
    // The image's users and groups and the manifest of the base come before the changes.
    scene
        .proxy
        .once(GET_FILES, LOOKS + 3, Fault::CutBefore("50\n"));
    scene.run(0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
    scene.told("could not read the files of a container");
}

fn engine_that_does_not_answer_is_not_waited_for_and_what_it_made_is_removed(_: Setup) {
    let scene = Scene::new();
    // The base's own container comes before those of executions.
    scene
        .proxy
        .once(CREATE, LOOKS + 1 + BASELINE, Fault::LostAnswer);
    // After that, the base is made anew first.
    scene.proxy.once(CREATE, 1, Fault::NoAnswer);
    scene.run_in_a_hurry(0);
    scene.decided(&[BROKEN, BROKEN, KEEP, WORSE]);
    scene.told("could not create a container: Timeout error");
}

fn engine_that_refuses_again_and_again_stops_the_run_which_goes_on_when_run_again(_: Setup) {
    let scene = Scene::new();
    let full = Fault::Refused(500, "write /var/lib/docker/x: no space left on device");
    scene.proxy.from(START, BASELINE, full);
    let stopped = scene.run(7);
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(
        said.contains("`autoclave run` goes on with the same run"),
        "{said}"
    );
    scene.proxy.mend();
    scene.decided(&[BROKEN; 3]);
    scene.told("no space left on device");
    scene.run(0);
    scene.decided(&[BROKEN, BROKEN, BROKEN, KEEP, WORSE]);
}

fn full_disk_of_the_engine_is_no_fault_of_the_candidate(_: Setup) {
    let scene = Scene::with(Engine::on_small_disk(64), |config| config);
    let run = scene.toy.waiting_run();
    let filler = scene.engine.data().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    drop(file);
    scene.toy.go();
    wait_until("it is told", || {
        scene.has_event(|event| event["event"] == "waiting")
    });
    fs::remove_file(&filler).unwrap();
    finished(run, 0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
    scene.told("the engine's disk is full");
}

fn snapshot_that_somebody_removed_is_made_again(_: Setup) {
    let scene = Scene::new();
    let engine = Arc::clone(&scene.engine);
    let cleaned_up: Event = Box::new(move || {
        let images = engine.our_images();
        assert!(!images.is_empty());
        for image in images {
            // The base has no name, and would go with what was made of it.
            engine.remove_image(&image);
        }
    });
    scene
        .proxy
        .once(CREATE, LOOKS + 1 + BASELINE, Fault::First(cleaned_up));
    scene.run(0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
    scene.told("No such image");
}

fn image_that_is_missing_is_named_and_the_run_goes_on_when_it_is_back(_: Setup) {
    let engine = Engine::start();
    let import = ["--change", "ENV PATH=/bin", "-", "project:dev"];
    engine.import(&import);
    let scene = Scene::on_image(engine, "project:dev", Vec::new(), |config| config);
    scene.toy.json(&["check"], 0);
    scene.engine.docker(&["rmi", "project:dev"]);
    let stopped = scene.run(5);
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(said.contains("has no image `project:dev`"), "{said}");
    scene.engine.import(&import);
    let kept = scene.engine.beside("image.tar");
    let kept = kept.to_str().unwrap();
    scene
        .engine
        .docker(&["save", "--output", kept, "project:dev"]);
    // In the middle of a run, too.
    let engine = Arc::clone(&scene.engine);
    let gone: Event = Box::new(move || {
        for image in engine.our_images() {
            engine.remove_image(&image);
        }
        // The snapshots held what it was made of.
        engine.docker(&["rmi", "--force", "project:dev"]);
    });
    scene
        .proxy
        .once(CREATE, LOOKS + 1 + BASELINE, Fault::First(gone));
    let stopped = scene.run(5);
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(
        said.contains("the engine no longer has the image `project:dev`"),
        "{said}"
    );
    scene.decided(&[BROKEN]);
    // The same, by its content: another one is no place to go on.
    scene.engine.docker(&["load", "--input", kept]);
    scene.run(0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
    assert_eq!(scene.toy.run_folders().len(), 1);
}

fn container_that_somebody_killed_is_no_fault_of_the_agent(_: Setup) {
    let scene = Scene::new();
    let run = scene.toy.waiting_run();
    scene.engine.docker(&["kill", &scene.engine.running()[0]]);
    scene.toy.go();
    finished(run, 0);
    scene.decided(&[BROKEN, KEEP, WORSE]);
    scene.told("its container was ended from outside, with code 137");
}

fn running_out_of_memory_is_told_as_on_the_process_backend(_: Setup) {
    // Busybox and others keep a line to its end, which never comes.
    let hungry = |config: String| {
        config
            .replace("limits: {}", "")
            .replace("read: [", "limits: {memory: 64M}, read: [")
            .replace("extract: 'cat'", "extract: 'regex:([0-9]+)'")
            .replace("max_experiments: 5", "max_experiments: 2")
            .replace("[sh, /workspace/.agent/agent.sh, halve, raise, lines, think, note]",
                "[sh, -c, 'echo 7 >src/number.txt; case $(cat) in *\"1. \"*) ;; *) tail /dev/zero;; esac']")
            .replace("sh tests/measure.sh", "sh tests/measure.sh | grep 100 || tail /dev/zero")
    };
    let scene = Scene::with(Engine::start(), hungry);
    let process =
        Toy::with(|config| hungry(config.replace("sandbox: {", "sandbox: {backend: process, ")));
    let mut told = Vec::new();
    for toy in [&scene.toy, &process] {
        ended(toy.run(&RUN), 3);
        let mut records = toy.ledger(&toy.run_folders()[0]);
        records.retain(|record| record["record"] == "experiment_decided");
        let ends = records
            .iter()
            .map(|r| (r["verdict"].to_string(), r["detail"].clone()));
        told.push(ends.collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1]);
    let (verdicts, details): (Vec<String>, Vec<Value>) = told.remove(0).into_iter().unzip();
    assert_eq!(
        verdicts,
        [
            r#"{"discard":"agent_failed"}"#,
            r#"{"discard":"no_metric"}"#
        ]
    );
    for detail in details {
        assert!(
            detail.as_str().unwrap().contains("out of memory"),
            "{detail}"
        );
    }
}
