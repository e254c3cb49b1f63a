//! `autoclave check`.

use crate::repository::{KEY, Repository, Said, files};

const METRIC: &str =
    "    metric: {command: 'sh tests/measure.sh', extract: cat, direction: lower}\n";
const GUARD: &str = "    guard: {command: 'sh tests/guard.sh'}\n";
const AGENT: &str = "    agent: {protocol: none, command: [sh]}\n";

fn check(repository: &Repository) -> Said {
    repository.run(&["check", "--json"])
}

fn failed(said: &Said) -> Vec<String> {
    let statuses = said.statuses().into_iter();
    statuses
        .filter(|(_, status)| status == "failed")
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn a_green_base_passes_every_check() {
    let repository = Repository::with_marker(&format!("{METRIC}{GUARD}{AGENT}"));
    let before = files(&repository.root());
    let said = check(&repository);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let report = said.json();
    assert_eq!(report["ok"], true);
    assert_eq!(report["backend"], "process");
    assert_eq!(report["level"], "sealed");
    let names: Vec<String> = said.statuses().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "config",
        "base commit",
        "backend",
        "target",
        "policy",
        "harness",
        "limits",
        "canaries",
        "agent",
        "guard `guard`",
        "metric",
        "noise",
        "proof",
    ];
    assert_eq!(names, expected);
    let (canaries, _) = said.check("canaries");
    assert_eq!(
        canaries,
        "tried and denied: create /, create /usr, write /etc/passwd, read a file of this machine, \
         write tests/guard.sh, connect out; allowed: create src"
    );
    let (harness, _) = said.check("harness");
    assert_eq!(harness, "protected: tests/guard.sh, tests/measure.sh");
    assert_eq!(files(&repository.root()), before, "a check changes nothing");
    let people = repository.run(&["check"]);
    assert!(people.stdout.ends_with("Ready to run.\n"));
}

#[test]
fn what_fails_does_not_keep_the_rest_from_being_tried() {
    let repository = Repository::with_config(
        "markers:
  - name: lowered
    target: {mutable: ['src/**', 'nothing/*.c']}
    metric: {command: 'sh tests/measure.sh', extract: 'nosuchfilter .', direction: lower}
    guards:
      - {command: 'sh tests/guard.sh'}
      - {name: missing, command: 'nosuchprogram --version'}
      - {name: piped, command: 'nosuchpipe | tail -1', extract: cat}
      - {name: red, command: 'echo it is broken >&2; false'}
    agent: {protocol: none, command: [nosuchagent]}
",
    );
    let said = check(&repository);
    assert_eq!(said.code, 2);
    assert_eq!(
        failed(&said),
        [
            "target",
            "agent",
            "guard `missing`",
            "guard `piped`",
            "guard `red`",
            "metric"
        ]
    );
    assert_eq!(
        said.check("target").0,
        ".autoclave/config.yaml:3:34: lowered.target.mutable: `nothing/*.c` matches no file"
    );
    for (check, program) in [
        ("guard `missing`", "nosuchprogram"),
        ("guard `piped`", "nosuchpipe"),
        ("metric", "nosuchfilter"),
    ] {
        let (detail, hint) = said.check(check);
        let first = detail.lines().next().unwrap();
        assert_eq!(first, format!("`{program}` cannot be run in the sandbox"));
        assert_eq!(
            hint,
            format!(
                "`{program}` is not on your own PATH either: install it, or correct the command"
            )
        );
    }
    assert!(said.check("guard `red`").0.contains("it is broken"));
}

#[test]
fn a_red_guard_alone_says_that_the_baseline_is_not_green() {
    let guard = "    guard: {command: 'false'}\n";
    let repository = Repository::with_marker(&format!("{METRIC}{guard}{AGENT}"));
    let said = check(&repository);
    assert_eq!(
        (said.code, failed(&said)),
        (4, vec!["guard `guard`".to_owned()])
    );
}

#[test]
fn a_failing_prepare_is_told_and_nothing_is_measured_on_it() {
    let prepare = "    prepare: {command: 'echo no route; exit 7'}\n";
    let repository = Repository::with_marker(&format!("{METRIC}{GUARD}{AGENT}{prepare}"));
    let said = check(&repository);
    assert_eq!((said.code, failed(&said)), (4, vec!["prepare".to_owned()]));
    assert!(said.check("prepare").0.starts_with("it exited with 7"));
}

#[test]
fn noise_is_told_as_runs_and_a_target_that_is_reached_as_a_warning() {
    // Each reading has a number of its own: the clock's nanoseconds within one percent of 100.
    let metric = "    metric: {command: 'echo 100.$(date +%N)', extract: cat, direction: lower, \
                  target: 200, baseline: 7}\n";
    let repository = Repository::with_marker(&format!("{metric}{GUARD}{AGENT}"));
    let said = check(&repository);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let (noise, _) = said.check("noise");
    assert!(
        noise.contains(" % per reading, from 8 readings\na gain of 3% takes about "),
        "{noise}"
    );
    let found = &said.json()["noise"];
    let per_reading = found["per_reading"].as_f64().unwrap();
    assert!((0.0..0.01).contains(&per_reading), "{found}");
    assert_eq!(found["prices"].as_array().unwrap().len(), 3);
    assert!(
        said.check("metric")
            .0
            .ends_with("`metric.target` is reached already")
    );
    let (baseline, _) = said.check("baseline");
    assert!(baseline.starts_with("`metric.baseline` says 7, measured was 100"));
}

#[test]
fn every_problem_of_the_configuration_is_a_check() {
    let repository = Repository::with_marker("    metric: {command: c, extract: e, alpha: 2}\n");
    let said = check(&repository);
    assert_eq!(said.code, 2);
    assert_eq!(said.json()["ok"], false);
    let details: Vec<String> = said.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["detail"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        ".autoclave/config.yaml:4:13: markers[0].metric: `direction` is missing",
        ".autoclave/config.yaml:4:45: markers[0].metric.alpha: `2` is out of range",
    ];
    assert_eq!(details, expected);
    let people = repository.run(&["check"]);
    assert_eq!(people.code, 2);
    assert!(
        people.stderr.contains("    |             ^\n"),
        "{}",
        people.stderr
    );
}

#[test]
fn a_repository_without_commits_is_told() {
    let repository = Repository::empty();
    repository.write(
        ".autoclave/config.yaml",
        &format!("markers:\n  - name: a\n    target: {{mutable: [a]}}\n{METRIC}{AGENT}"),
    );
    let said = check(&repository);
    assert_eq!(
        (said.code, failed(&said)),
        (6, vec!["base commit".to_owned()])
    );
}

#[test]
fn the_agent_is_found_its_version_compared_and_its_credential_only_named() {
    let repository = Repository::with_marker(&format!("{METRIC}{GUARD}"));
    let absent = check(&repository);
    assert_eq!(
        (absent.code, failed(&absent)),
        (7, vec!["agent".to_owned(), "credential".to_owned()])
    );
    repository.script("bin/claude", "#!/bin/sh\necho '9.9.9 (Claude Code)'\n");
    let mut command = repository.command();
    command
        .args(["check", "--json"])
        .env("ANTHROPIC_API_KEY", KEY);
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stdout);
    let (agent, _) = said.check("agent");
    assert!(agent.starts_with("9.9.9 (Claude Code), `"), "{agent}");
    assert!(agent.ends_with("; tested is 2.1.197"), "{agent}");
    let (credential, _) = said.check("credential");
    assert_eq!(
        credential,
        "ANTHROPIC_API_KEY is set; only the gateway will hold it"
    );
    assert!(!format!("{}{}", said.stdout, said.stderr).contains(KEY));
}

#[test]
fn directories_where_nothing_can_be_created_are_named_for_an_ordinary_user() {
    let repository = Repository::with_config(&format!(
        "markers:\n  - name: a\n    target: {{mutable: ['src/*.txt', 'top.txt']}}\n{METRIC}{GUARD}{AGENT}"
    ));
    repository.write("src/fixed.bin", "");
    repository.write("top.txt", "");
    repository.commit();
    let mut command = repository.command_as_user();
    let said = Said::of(&command.args(["check", "--json"]).output().unwrap());
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(
        said.check("in place").0,
        "in these directories, files can be edited in place, and none created, removed or \
         renamed: the root, src"
    );
    assert!(said.check("canaries").0.starts_with("tried and denied: "));
}

#[test]
fn a_harness_that_the_agent_may_change_is_a_warning() {
    let repository = Repository::with_config(&format!(
        "markers:\n  - name: a\n    target: {{mutable: ['src/**', 'tests/guard.sh']}}\n{METRIC}{GUARD}{AGENT}"
    ));
    let said = check(&repository);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert_eq!(
        said.check("harness").0,
        "the agent may change what measures it: tests/guard.sh"
    );
}
