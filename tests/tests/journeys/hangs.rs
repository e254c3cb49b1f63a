//! An agent that hangs is killed at its budget, with all it started.

use std::time::{Duration, Instant};

use e2e::stage::{Setup, processes_with};

use crate::toy;

e2e::journeys!(
    each_backend: [
        agent_that_hangs_in_a_tool_is_killed_with_all_it_started,
        agent_whose_model_never_answers_is_killed_at_its_budget,
    ],
    each_caller: [],
);

/// More than the agent has.
const PATIENCE: Duration = Duration::from_secs(20);
const BRIEF: &str = "    loop: {max_experiments: 1, budget_per_experiment: 8s}\n";

fn agent_that_hangs_in_a_tool_is_killed_with_all_it_started(setup: Setup) {
    // The argument of `sleep` is the mark by which its process is known.
    let mark = format!("1000.{}", std::process::id());
    let script = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt; setsid sh -c ''sleep MARK1 & sleep MARK2'' & sleep MARK3', timeout: 600000}}]
";
    let stage = toy::scripted(setup, BRIEF, &script.replace("MARK", &mark));
    let asleep = || processes_with(&format!("sleep {mark}")).len();
    let mut is_asleep = false;
    stage
        .watch(&["run", "-m", "smaller", "--json"], |_, event| {
            // The control: all three sleep, beside the shells that started them.
            let is_tool = event["event"] == "agent_tool";
            let deadline = Instant::now() + PATIENCE;
            while is_tool && !is_asleep && Instant::now() < deadline {
                is_asleep = asleep() >= 3;
            }
        })
        .expect(3);
    assert!(is_asleep);
    let left = processes_with(&mark);
    assert!(left.is_empty(), "{left:?}");
    let left = processes_with(stage.outside("").to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(stage.verdicts("smaller"), ["discard timed_out"]);
    assert_eq!(stage.events_of("pair_measured").len(), 0);
    // What it had done until then is pinned.
    let pins = stage.git(&["for-each-ref", "--format=%(refname)", "refs/autoclave/*/0*"]);
    assert_eq!(
        stage.git(&["show", &format!("{pins}:src/number.txt")]),
        "50"
    );
}

fn agent_whose_model_never_answers_is_killed_at_its_budget(setup: Setup) {
    let stage = toy::scripted(setup, BRIEF, "sessions: [[{hang: true}]]");
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(3);
    assert_eq!(stage.verdicts("smaller"), ["discard timed_out"]);
    let seconds = &stage.events_of("agent_finished")[0]["seconds"];
    let seconds = seconds.as_f64().unwrap();
    assert!((8.0..20.0).contains(&seconds), "{seconds}");
    let left = processes_with(stage.outside("").to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
}
