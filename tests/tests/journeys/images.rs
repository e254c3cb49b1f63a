//! The image that containers are made of: named, recorded, and the same for a whole run.

use std::fs;

use e2e::stage::{Backend, Engine, Setup, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::toy;

e2e::journeys!(container_alone: [
    image_that_the_engine_has_not_is_named_with_what_to_do,
    run_whose_image_changed_is_left_and_a_new_one_starts,
]);

fn image_that_the_engine_has_not_is_named_with_what_to_do(setup: Setup) {
    let config = toy::MARKER.replace("BACKEND", "container, image: 'autoclave/none:0'");
    let stage = Stage::new(setup, &config, &toy::FILES);
    let run = stage.autoclave(&["exec", "-m", "smaller", "--", "true"]);
    assert_eq!(run.code, Some(125), "{run}");
    run.says("has no image `autoclave/none:0`");
    run.says("sandbox-images/build");
    let check = stage.autoclave(&["check"]);
    assert!(
        check.stdout.contains("has no image `autoclave/none:0`"),
        "{check}"
    );
    assert!(check.stdout.contains("sandbox-images/build"), "{check}");
}

/// A name for an image that a test moves; removed when dropped.
struct MovingName<'a> {
    engine: &'a Engine,
    name: String,
}

impl MovingName<'_> {
    /// Makes the name that of other content.
    fn change(&self) {
        let image = Backend::image();
        let text = format!("FROM {image}\nLABEL autoclave.test=changed\n");
        self.engine.build(&self.name, &text);
    }

    fn id(&self) -> String {
        self.engine
            .ask(&["image", "inspect", "--format", "{{.Id}}", &self.name])
    }
}

impl Drop for MovingName<'_> {
    fn drop(&mut self) {
        self.engine.ask(&["rmi", &self.name]);
    }
}

fn run_whose_image_changed_is_left_and_a_new_one_starts(setup: Setup) {
    let engine = Engine::of(setup);
    let name = format!("localhost/autoclave-test-{}:1", std::process::id());
    engine.ask(&["tag", &Backend::image(), &name]);
    let moving = MovingName {
        engine: &engine,
        name,
    };
    let first = moving.id();
    let config = format!(
        "{}    loop: {{max_experiments: 1}}\n    agent: {{command: [sh, agent.sh], protocol: none}}\n",
        toy::MARKER.replace("BACKEND", &format!("container, image: '{}'", moving.name))
    );
    let mut files = toy::FILES.to_vec();
    files.push(("agent.sh", "echo 50 > src/number.txt\n"));
    let mut stage = Stage::new(setup, &config, &files);
    stage.set("ANTHROPIC_API_KEY", None);
    let kill_at_baseline = || {
        stage.watch(&["run", "-m", "smaller", "--json"], |run, event| {
            if event["event"] == "baseline_measured" {
                kill(Pid::from_raw(run.cast_signed()), Signal::SIGKILL).unwrap();
            }
        })
    };
    kill_at_baseline();
    let left = stage.run_folder();
    let plan = fs::read_to_string(left.join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["image"], json!({"name": moving.name, "id": first}));
    assert_eq!(stage.ledger()[0]["image"], json!(first));

    moving.change();
    let second = moving.id();
    assert_ne!(first, second);
    let run = stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    let told = format!(
        "it ran in the image {first}, and `{}` is {second} now",
        moving.name
    );
    run.says(&told);
    run.says(left.file_name().unwrap().to_str().unwrap());
    assert_ne!(stage.run_folder(), left);
    assert_eq!(stage.ledger()[0]["image"], json!(second));
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
}
