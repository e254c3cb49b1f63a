//! A broken guard goes back to the agent, as often as the marker allows.

use e2e::model_server::Place;
use e2e::stage::Setup;

use crate::toy;

e2e::journeys!(
    each_backend: [guard_that_stays_broken_discards_when_reworks_are_used_up, session_without_a_change_is_not_measured],
    each_caller: [broken_guard_is_reworked_measured_again_and_kept],
    mixed: [
        guard_that_stays_broken_discards_when_reworks_are_used_up,
        broken_guard_is_reworked_measured_again_and_kept,
    ],
);

const ONE: &str = "    loop: {max_experiments: 1, budget_per_experiment: 2m}
    guard: {command: 'sh tests/guard.sh', rework_attempts: 2}
";

fn broken_guard_is_reworked_measured_again_and_kept(setup: Setup) {
    let script = r"
sessions:
  - turns:
    - tools: [{name: Bash, input: {command: 'echo ten > src/number.txt; echo kept > src/note.txt'}}]
    - text: Spell the number.
    rework:
    - - tools: [{name: Bash, input: {command: 'cat src/note.txt; echo 10 > src/number.txt'}}]
      - text: Write the number in digits.
";
    let stage = toy::scripted(setup, ONE, script);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);

    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    let results = stage.results("smaller");
    assert_eq!(results["champion"]["value"], 10.0);
    assert_eq!(
        results["experiments"][0]["summary"],
        "Write the number in digits."
    );
    // The same session went on, in the state it left, and was told the guard's output.
    assert!(stage.told().contains("kept"), "{}", stage.told());
    let seen = stage.model().seen();
    let again = Place {
        session: 0,
        round: 1,
        turn: 0,
    };
    let again = seen
        .iter()
        .find(|request| request.place == Some(again))
        .unwrap();
    assert!(again.body.to_string().contains("the number is no number"));
    // Guards and metric ran on the reworked candidate.
    let guards: Vec<bool> = stage
        .events_of("guard_finished")
        .iter()
        .map(|event| event["passed"].as_bool().unwrap())
        .collect();
    assert_eq!(guards, [true, false, true]);
    let reworks = stage.events_of("rework");
    assert_eq!(reworks.len(), 1);
    assert_eq!(
        (&reworks[0]["attempt"], &reworks[0]["of"]),
        (&1.into(), &2.into())
    );
    let pairs = stage.events_of("pair_measured");
    assert!(pairs.iter().all(|pair| pair["candidate"] == 10.0) && !pairs.is_empty());
}

fn guard_that_stays_broken_discards_when_reworks_are_used_up(setup: Setup) {
    let script = r"
sessions:
  - turns:
    - tools: [{name: Bash, input: {command: 'echo ten > src/number.txt'}}]
    rework:
    - - tools: [{name: Bash, input: {command: 'echo nine > src/number.txt'}}]
    - - tools: [{name: Bash, input: {command: 'echo eight > src/number.txt'}}]
    - - tools: [{name: Bash, input: {command: 'echo 8 > src/number.txt'}}]
";
    let stage = toy::scripted(setup, ONE, script);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(3);
    assert_eq!(stage.verdicts("smaller"), ["discard guard_failed"]);
    assert_eq!(stage.events_of("rework").len(), 2);
    assert_eq!(stage.events_of("pair_measured").len(), 0);
    // The last attempt is pinned, for whoever wants to know.
    let commit = stage.results("smaller")["experiments"][0]["commit"].clone();
    let file = format!("{}:src/number.txt", commit.as_str().unwrap());
    assert_eq!(stage.git(&["show", &file]), "eight");
    assert_eq!(stage.git(&["branch", "--list", "autoclave/*"]), "");
}

fn session_without_a_change_is_not_measured(setup: Setup) {
    let script = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'echo 1 > src/number.txt; echo 100 > src/number.txt; echo x > /tmp/x'}}]
    - text: Nothing to gain.
";
    let stage = toy::scripted(setup, ONE, script);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(3);
    assert_eq!(stage.verdicts("smaller"), ["discard no_change"]);
    let names: Vec<String> = stage
        .events()
        .iter()
        .filter(|event| event["experiment"] == 1)
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .filter(|name| !name.starts_with("agent_"))
        .collect();
    assert_eq!(names, ["experiment_started", "decided"]);
    assert_eq!(stage.git(&["for-each-ref", "refs/autoclave/*/0*"]), "");
}
