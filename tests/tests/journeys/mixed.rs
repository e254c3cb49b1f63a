//! The agent in one backend, what is measured in the other.

use std::fs;

use e2e::stage::{Backend, Setup, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

e2e::journeys!(
    each_backend: [each_command_runs_where_the_marker_says],
    each_caller: [],
    mixed: [each_command_runs_where_the_marker_says, killed_run_leaves_nothing_and_goes_on],
);

const CONFIG: &str = "markers:
  - name: smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    prepare: {command: 'sh tests/where.sh > ~/prepared'}
    metric: {command: 'sh tests/measure.sh', extract: 'sh tests/expect.sh && cat', build: 'sh tests/expect.sh', direction: lower}
    guard: {command: 'sh tests/expect.sh'}
    loop: {max_experiments: 1}
    agent: {command: [sh, agent.sh], protocol: none}
    sandbox: {backend: BACKEND, env: {PATH: '/usr/local/bin:/usr/bin:/bin:/usr/lib/autoclave'}}
";

/// The helper is in every container, at this path, and on no machine.
const WHERE: &str =
    "if test -e /usr/lib/autoclave/enter; then echo container; else echo process; fi\n";
const EXPECT: &str =
    "test $(sh tests/where.sh) = MEASURED && test $(cat ~/prepared) = MEASURED || enter\n";
const AGENT: &str =
    "sh tests/where.sh > src/where; cat ~/prepared > src/prepared; echo 50 > src/number.txt\n";

fn stage(setup: Setup) -> Stage {
    let expect = EXPECT.replace("MEASURED", setup.measured_in.word());
    let measure = "sh tests/expect.sh && cat src/number.txt\n";
    let files = [
        ("src/number.txt", "100\n"),
        ("tests/where.sh", WHERE),
        ("tests/measure.sh", measure),
        ("tests/expect.sh", &expect),
        ("agent.sh", AGENT),
    ];
    Stage::new(setup, CONFIG, &files)
}

fn each_command_runs_where_the_marker_says(setup: Setup) {
    let [agent, measured] = [setup.backend, setup.measured_in].map(Backend::word);
    let apart = setup.is_mixed().then_some(measured);
    let stage = stage(setup);

    let check = stage.autoclave(&["check", "--json"]).expect(0).json();
    assert_eq!(check["backend"], agent);
    assert_eq!(check["measured_in"]["backend"].as_str(), apart);
    // Each backend has to prove itself.
    for name in ["backend", "policy", "limits", "canaries", "prepare"] {
        let both = [format!("{name} (agent)"), format!("{name} (measure)")];
        let expected = match apart {
            Some(_) => both.to_vec(),
            None => vec![name.to_owned()],
        };
        let names = found(&check, name).map(|check| check["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }
    let programs = found(&check, "programs").map(|check| check["detail"].as_str().unwrap());
    assert_eq!(
        programs.collect::<Vec<_>>(),
        match apart {
            Some(_) => vec!["they differ: `enter` is only in container"],
            None => Vec::new(),
        }
    );

    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    for file in ["where", "prepared"] {
        let said = stage.git(&["show", &format!("autoclave/smaller:src/{file}")]);
        assert_eq!(said, agent, "{file}");
    }
    let started = &stage.events_of("run_started")[0];
    assert_eq!(started["backend"], agent);
    assert_eq!(started["measured_in"]["backend"].as_str(), apart);
    let prepared = stage.events_of("prepared");
    let prepared: Vec<&Value> = prepared.iter().map(|event| &event["backend"]).collect();
    match apart {
        Some(_) => assert_eq!(prepared, [&json!(agent), &json!(measured)]),
        None => assert_eq!(prepared, [&json!(null)]),
    }
    let plan = fs::read_to_string(stage.run_folder().join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["level"], "sealed");
    assert_eq!(plan["measure"]["level"].as_str(), apart.and(Some("sealed")));
    assert_ne!(plan["views"], plan["measure"]["views"]);

    stage
        .autoclave(&["finalize", "-m", "smaller", "--branch", "autoclave/final"])
        .expect(0);
    let place_of = |options: &[&str]| {
        let line = [
            &["exec", "-m", "smaller"],
            options,
            &["--", "sh", "tests/where.sh"],
        ];
        let said = stage.autoclave(&line.concat()).expect(0).stdout;
        said.trim_end().to_owned()
    };
    assert_eq!(place_of(&[]), agent);
    assert_eq!(place_of(&["--as-measured"]), measured);
    assert_eq!(left_in_state(&stage), 0);
}

fn killed_run_leaves_nothing_and_goes_on(setup: Setup) {
    let stage = stage(setup);
    let ended = stage.watch(&["run", "-m", "smaller", "--json"], |run, event| {
        // The agent has ended, and measuring its change begins: both backends are in use.
        if event["event"] == "candidate_built" {
            kill(Pid::from_raw(run.cast_signed()), Signal::SIGKILL).unwrap();
        }
    });
    assert_eq!(ended.code, None, "{ended}");
    assert_ne!(left_in_state(&stage), 0);
    stage.autoclave(&["clean"]).expect(0);
    assert_eq!(left_in_state(&stage), 0);

    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    let started = stage.events_of("run_started");
    let resumed: Vec<&Value> = started.iter().map(|event| &event["resumed"]).collect();
    assert_eq!(resumed, [&json!(false), &json!(true)]);
    assert_eq!(left_in_state(&stage), 0);
}

/// Returns how many entries the state directory has.
fn left_in_state(stage: &Stage) -> usize {
    let entries = fs::read_dir(stage.outside("state")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    // Its name on container engines stays, and whose turn it is to measure.
    names
        .filter(|name| name != "engine-name" && name != "measuring")
        .count()
}

/// Returns the checks that are called `name`, with or without a role.
fn found<'r>(report: &'r Value, name: &str) -> impl Iterator<Item = &'r Value> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(move |check| {
        let words = check["name"].as_str().unwrap();
        words.split(' ').next() == Some(name)
    })
}
