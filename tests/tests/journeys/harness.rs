//! Files that steer tests and builds: an agent changes none of them and adds none.

use e2e::stage::{Setup, Stage};
use serde_json::Value;

use crate::toy;

e2e::journeys!(
    each_backend: [a_file_that_the_marker_names_is_open],
    each_caller: [what_steers_tests_and_builds_stays_as_it_is_and_new_ones_are_dropped],
);

/// Halves the number, and tries to have a say in how tests are run.
const AGENT: &str = "echo 50 > src/number.txt
echo 'a module' > src/lib/new.py
for file in src/lib/conftest.py src/lib/build.rs; do echo hook > $file && echo made $file; done
mkdir src/lib/.cargo && echo '[target]' > src/lib/.cargo/config.toml && echo made settings
echo 'test: ; true' > src/Makefile || echo Makefile was refused
echo Halve the number
";

/// The toy whose `src/Makefile` tests, and whose marker's `mutable` globs are `mutable`.
fn stage(setup: Setup, mutable: &str) -> Stage {
    let config = toy::MARKER.replace("'src/**'", mutable);
    let config = format!(
        "{config}    agent: {{command: [sh, agent.sh], protocol: none}}
    guard: {{command: 'cat src/Makefile; ls -A src/lib; make -f src/Makefile', rework_attempts: 0}}
    loop: {{max_experiments: 1, budget_per_experiment: 2m}}\n"
    );
    let mut files = toy::FILES.to_vec();
    files.extend([
        ("agent.sh", AGENT),
        (
            "src/Makefile",
            "test: ; test ! -e src/lib/conftest.py && grep '^[0-9]*$$' src/number.txt\n",
        ),
        ("src/lib/old.py", "pass\n"),
    ]);
    let mut stage = Stage::new(setup, &config, &files);
    stage.set("ANTHROPIC_API_KEY", None);
    stage
}

fn dropped(stage: &Stage) -> Vec<(String, String)> {
    let built = stage.events_of("candidate_built");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let dropped = built[0]["dropped"].as_array().unwrap().iter();
    dropped
        .map(|d| (word(&d["path"]), word(&d["why"])))
        .collect()
}

fn what_steers_tests_and_builds_stays_as_it_is_and_new_ones_are_dropped(setup: Setup) {
    let stage = stage(setup, "'**'");

    let check = stage.autoclave(&["check", "-m", "smaller", "--json"]);
    let check = check.expect(0).json();
    let checks = check["checks"].as_array().unwrap();
    let held_back = checks.iter().find(|check| check["name"] == "held back");
    let detail = held_back.unwrap()["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "src/Makefile; new files of such names are dropped, too"
    );

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    // The agent could make them in its own sandbox, and could not touch what is there.
    let log = stage.run_folder().join("experiments/0001/agent.jsonl");
    let log = std::fs::read_to_string(log).unwrap();
    for said in [
        "made src/lib/conftest.py",
        "made src/lib/build.rs",
        "made settings",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(log.contains("Makefile was refused"), "{log}");
    let why = "steers tests or builds, and `target.mutable` does not name it";
    let names = [
        "src/lib/.cargo/config.toml",
        "src/lib/build.rs",
        "src/lib/conftest.py",
    ];
    assert_eq!(
        dropped(&stage),
        names.map(|name| (name.to_owned(), why.to_owned()))
    );
    assert_eq!(
        stage.git(&["diff", "--name-status", "main", "autoclave/smaller"]),
        "A\tsrc/lib/new.py\nM\tsrc/number.txt"
    );
}

fn a_file_that_the_marker_names_is_open(setup: Setup) {
    let stage = stage(setup, "'src/lib/build.rs', 'src/number.txt', 'src/lib/**'");
    // The glob that names it matches nothing yet, which is another error; so it is there.
    stage.write("src/lib/build.rs", "fn main() {}\n");
    stage.commit_all("a build script");

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    let names: Vec<String> = dropped(&stage).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["src/lib/.cargo/config.toml", "src/lib/conftest.py"]);
    assert_eq!(
        stage.git(&["diff", "--name-status", "main", "autoclave/smaller"]),
        "M\tsrc/lib/build.rs\nA\tsrc/lib/new.py\nM\tsrc/number.txt"
    );
}
