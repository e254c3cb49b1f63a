//! What `autoclave run` makes of configurations.

use std::fs;

use serde_json::Value;

use crate::repository::{KEY, Repository, Said};

const MARKER: &str = "    metric: {command: 'sh tests/measure.sh', extract: cat, direction: lower}
    guard: {command: 'sh tests/guard.sh'}
    loop: {max_experiments: 1}
    agent: {protocol: none, command: [sh, -c, 'echo 50 > src/number.txt']}
    sandbox: {policy: .autoclave/policy.yaml}
";

/// A marker file of the older tool, with a key that this one does not have.
const OLDER: &str = "version: 2
markers:
  - name: lowered
    description: Make the number lowered
    status: active
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: sh tests/measure.sh, extract: \"grep -oP '[0-9.]+'\", direction: lower, baseline: 100}
    guard: {command: sh tests/guard.sh, rework_attempts: 1}
    loop: {model: sonnet, budget_per_experiment: 25m, max_experiments: 1}
    agent: {name: default, model: sonnet, permission_mode: bypassPermissions, allowed_tools: [], disallowed_tools: []}
    schedule: nightly
";

fn warnings(said: &Said) -> Vec<String> {
    let events = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["event"] == "warning")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_run_keeps_by_the_policy_file_and_records_it_in_its_marker() {
    let repository = Repository::with_marker(MARKER);
    repository.write(".autoclave/policy.yaml", "extends: strict\n");
    repository.write(".autoresearch/config.yaml", OLDER);
    let said = repository.run(&["run", "--json"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(
        warnings(&said),
        ["`.autoclave/config.yaml` is read, `.autoresearch/config.yaml` is not"]
    );
    let runs = repository.root().join(".autoclave/runs");
    let mut entries = fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let run = entries.find(|path| path.is_dir()).unwrap();
    let marker = fs::read_to_string(run.join("marker.yaml")).unwrap();
    let marker: Value = serde_json::from_str(&marker).unwrap();
    let policy = &marker["sandbox"]["policy"];
    assert_eq!(policy["name"], ".autoclave/policy.yaml");
    assert_eq!(policy["read"][0], "/usr");
}

#[test]
fn warnings_are_told_to_people_on_standard_error() {
    let repository = Repository::with_marker(MARKER);
    repository.write(".autoclave/policy.yaml", "extends: strict\n");
    repository.write(".autoresearch/config.yaml", OLDER);
    let said = repository.run(&["run"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let note = "`.autoclave/config.yaml` is read, `.autoresearch/config.yaml` is not";
    assert!(said.stderr.contains(note), "{}", said.stderr);
}

#[test]
fn a_glob_that_matches_nothing_stops_a_run_at_its_place_before_anything_is_made() {
    let repository = Repository::with_config(&format!(
        "markers:\n  - name: lowered\n    target: {{mutable: ['src/**', 'lib/**']}}\n{MARKER}"
    ));
    repository.write(".autoclave/policy.yaml", "extends: strict\n");
    let said = repository.run(&["run"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    let place = ".autoclave/config.yaml:3:34: lowered.target.mutable: `lib/**` matches no file";
    assert!(said.stderr.contains(place), "{}", said.stderr);
    let runs = fs::read_dir(repository.root().join(".autoclave/runs"));
    let runs = runs.into_iter().flatten().flatten();
    assert_eq!(runs.filter(|entry| entry.path().is_dir()).count(), 0);
}

#[test]
fn a_file_of_the_older_tool_is_read_planned_and_measured_unchanged() {
    let repository = Repository::empty();
    for (path, text) in [
        (".autoresearch/config.yaml", OLDER),
        ("src/number.txt", "100\n"),
        ("tests/measure.sh", "cat src/number.txt\n"),
        ("tests/guard.sh", "grep -qx '[0-9][0-9]*' src/number.txt\n"),
    ] {
        repository.write(path, text);
    }
    repository.commit();
    repository.script("bin/claude", "#!/bin/sh\necho '2.1.197 (Claude Code)'\n");
    let mut command = repository.command();
    command
        .args(["check", "--json"])
        .env("ANTHROPIC_API_KEY", KEY);
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let report = said.json();
    let warned: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "warning")
        .map(|check| check["detail"].as_str().unwrap().lines().next().unwrap())
        .collect();
    assert_eq!(
        warned,
        [
            ".autoresearch/config.yaml:1:1: version: unknown key `version`",
            ".autoresearch/config.yaml:11:5: markers[0].schedule: unknown key `schedule`",
        ]
    );
    assert!(said.check("metric").0.starts_with("100 on the base"));
}
