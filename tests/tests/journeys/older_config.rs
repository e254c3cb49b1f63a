//! Markers of the older tool run unchanged.

use e2e::stage::{Setup, Stage};

use crate::toy;

e2e::journeys!(
    each_backend: [older_configuration_runs_unchanged],
    each_caller: [],
);

const CONFIG: &str = r#"markers:
  - name: smaller
    description: "Make the number smaller"
    status: active
    target:
      mutable: ["src/**"]
      immutable: ["tests/**"]
    metric:
      command: "sh tests/measure.sh"
      extract: "grep -oP '^[0-9.]+'"
      direction: lower
      baseline: 100
    guard:
      command: "sh tests/guard.sh; echo 3 passed"
      extract: "grep -oP '\\d+(?= passed)'"
      threshold: 3
      rework_attempts: 1
    loop:
      model: sonnet
      budget_per_experiment: 2m
      max_experiments: 1
    agent:
      name: default
      model: sonnet
      permission_mode: bypassPermissions
      allowed_tools: ["Edit", "Read", "Bash"]
      disallowed_tools: ["WebFetch"]
    schedule: nightly
"#;

fn older_configuration_runs_unchanged(setup: Setup) {
    let script = r"
sessions:
  - - tools: [{name: Read, input: {file_path: /workspace/src/number.txt}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '100', new_string: '50'}}]
    - text: Halve the number.
";
    let mut files = toy::FILES.to_vec();
    files.push((".autoresearch/config.yaml", CONFIG));
    let stage = Stage::with_files(setup, &files).with_script(script);
    let check = stage.autoclave(&["check"]).expect(0);
    assert!(check.stdout.contains("`schedule`"), "{check}");
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    let seen = stage.model().seen();
    let tools = seen.iter().find(|seen| seen.place.is_some()).unwrap();
    let tools: Vec<_> = tools.body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(
        tools.contains(&"Edit") && !tools.contains(&"WebFetch"),
        "{tools:?}"
    );
    let guards = stage.events_of("guard_finished");
    assert!(
        guards.iter().all(|guard| guard["value"] == 3.0),
        "{guards:?}"
    );
    assert_eq!(guards.len(), 2);
}
