//! What a killed run leaves on an engine, and who removes it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use e2e::stage::{Backend, Engine, Setup, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::toy;

e2e::journeys!(container_alone: [
    what_a_killed_run_left_is_removed_by_the_next_start_and_nothing_else_is,
    nothing_is_left_of_a_run_that_ended,
]);

/// The things on an engine that are labelled with the state directory `state`: containers with the
/// process they are of, and images.
fn things(engine: &Engine, state: &Path) -> BTreeSet<String> {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let label = format!(
        "label=autoclave.state={}:{}",
        machine.trim(),
        state.display()
    );
    let format = r#"{{.Label "autoclave.kind"}} {{.ID}}"#;
    let list = [
        "ps",
        "-a",
        "--no-trunc",
        "--format",
        format,
        "--filter",
        &label,
    ];
    let containers = engine.ask(&list);
    let images = engine.ask(&["images", "-aq", "--no-trunc", "--filter", &label]);
    let images = images.lines().map(|id| format!("image {id}"));
    // A container of somebody else's that is made of an image of ours has its labels.
    let containers = containers
        .lines()
        .filter(|line| line.starts_with("container "));
    containers.map(str::to_owned).chain(images).collect()
}

fn kinds(things: &BTreeSet<String>) -> BTreeSet<&str> {
    things
        .iter()
        .filter_map(|thing| thing.split(' ').next())
        .collect()
}

/// Starts a command that sleeps in a sandbox, with `state` as the state directory, and waits until
/// it is asleep.
fn sleeper(stage: &Stage, state: &Path) -> Child {
    let script = "echo asleep; exec sleep 1000";
    let mut child = stage
        .command(&["exec", "-m", "smaller", "--", "sh", "-c", script])
        .env("AUTOCLAVE_STATE_DIR", state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "asleep\n");
    child
}

fn end(mut child: Child, with: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), with).unwrap();
    child.wait().unwrap();
}

fn what_a_killed_run_left_is_removed_by_the_next_start_and_nothing_else_is(setup: Setup) {
    let stage = Stage::new(setup, toy::MARKER, &toy::FILES);
    let engine = Engine::of(setup);
    let (state, elsewhere) = (stage.outside("state"), stage.outside("elsewhere"));
    let left_in = |state: &Path| things(&engine, state);

    let living = sleeper(&stage, &state);
    let of_living = left_in(&state);
    assert_eq!(kinds(&of_living), BTreeSet::from(["container", "image"]));
    end(sleeper(&stage, &elsewhere), Signal::SIGKILL);
    let of_another_state = left_in(&elsewhere);
    end(sleeper(&stage, &state), Signal::SIGKILL);
    let of_killed: BTreeSet<String> = left_in(&state).difference(&of_living).cloned().collect();
    assert_eq!(kinds(&of_killed), BTreeSet::from(["container", "image"]));
    let people = OtherPeople::with(&engine, &of_another_state);

    let start = |state: &Path| {
        let mut command = stage.command(&["exec", "-m", "smaller", "--", "true"]);
        let status = command.env("AUTOCLAVE_STATE_DIR", state).status();
        assert_eq!(status.unwrap().code(), Some(0));
    };
    start(&state);
    assert_eq!(
        left_in(&state),
        of_living,
        "what a living process uses stays"
    );
    assert_eq!(
        left_in(&elsewhere),
        of_another_state,
        "another state's stays"
    );
    people.assert_untouched();

    end(living, Signal::SIGTERM);
    assert_eq!(left_in(&state), BTreeSet::new());
    start(&elsewhere);
    let used: BTreeSet<String> = BTreeSet::from([people.used_image.clone()]);
    assert_eq!(
        left_in(&elsewhere),
        used,
        "the image of another's container stays"
    );
    people.assert_untouched();
    drop(people);
    start(&elsewhere);
    assert_eq!(left_in(&elsewhere), BTreeSet::new());
}

/// Containers, an image and a volume that are not autoclave's; removed when dropped.
struct OtherPeople<'a> {
    engine: &'a Engine,
    /// Kind and name.
    things: Vec<(&'static str, String)>,
    /// An image of a killed run that a container of theirs is made of, as [`things`] writes it.
    used_image: String,
}

impl<'a> OtherPeople<'a> {
    fn with(engine: &'a Engine, left: &BTreeSet<String>) -> Self {
        let name = format!("other-{}", uuid());
        let image = Backend::image();
        let used_image = left.iter().find(|thing| thing.starts_with("image "));
        let used_image = used_image.expect("a killed run left an image").clone();
        let used = used_image.strip_prefix("image ").expect("it starts so");
        let create = |suffix: &str, label: &str, image: &str| {
            let name = format!("{name}-{suffix}");
            engine.ask(&["create", "--name", &name, "--label", label, image, "true"]);
            ("container", name)
        };
        let plain = create("plain", "theirs=1", &image);
        // A label like ours does not make it ours.
        let alike = create("alike", "autoclave.run=1", &image);
        let of_ours = create("of-ours", "theirs=1", used);
        engine.build(
            &format!("{name}:1"),
            &format!("FROM {image}\nLABEL theirs=1\n"),
        );
        engine.ask(&["volume", "create", &name]);
        let things = vec![
            plain,
            alike,
            of_ours,
            ("image", format!("{name}:1")),
            ("volume", name),
        ];
        Self {
            engine,
            things,
            used_image,
        }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        for (kind, name) in &self.things {
            assert!(self.engine.has(kind, name), "{kind} {name} is gone");
        }
    }
}

impl Drop for OtherPeople<'_> {
    fn drop(&mut self) {
        for (kind, name) in &self.things {
            self.engine.ask(&[kind, "rm", name]);
        }
    }
}

/// Returns a word that no other test uses.
fn uuid() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    text.trim().to_owned()
}

fn nothing_is_left_of_a_run_that_ended(setup: Setup) {
    let more = "    loop: {max_experiments: 1}\n    guard: {command: 'sh tests/guard.sh'}\n";
    // A container of an agent that goes on in the background ends with it.
    let agent = "echo 50 > src/number.txt; sleep 1000 & exit 0\n";
    let stage = toy::shelled(setup, more, agent);
    let engine = Engine::of(setup);
    let state = stage.outside("state");
    let mut seen = BTreeSet::new();
    stage
        .watch(&["run", "-m", "smaller", "--json"], |_, _| {
            seen.append(&mut things(&engine, &state));
        })
        .expect(0);
    assert_eq!(kinds(&seen), BTreeSet::from(["container", "image"]));
    assert_eq!(things(&engine, &state), BTreeSet::new());
}
