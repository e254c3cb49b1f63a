//! Money that a killed session used up: no crash makes a budget larger.

use std::fs;
use std::io::Write;

use e2e::stage::{Setup, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::scene::{KEEP, RUN, Scene, Step, ended, signal};

e2e::journeys!(process, Process, Process, Tester: [
    money_of_a_killed_session_counts_towards_the_budget,
    money_of_a_session_with_the_real_agent_is_counted_once_however_often_it_is_killed,
]);

fn money_of_a_killed_session_counts_towards_the_budget(setup: Setup) {
    for (limit, finished) in [("5", "max_experiments"), ("2", "max_cost")] {
        let mut scene = Scene::with(setup, crate::scene::AGENT, |config| {
            config.replace("loop: {", &format!("loop: {{max_cost_usd: {limit}, "))
        });
        scene
            .stage
            .set("ANTHROPIC_API_KEY", Some("sk-test".as_ref()));
        let run = scene.held_at(Step::Agent);
        signal(&run, Signal::SIGKILL);
        ended(run);
        scene.go(Step::Agent);
        scene.wait_for_death();
        // As the gateway writes it, with a line that a power cut has torn behind it.
        let audit = scene.runs()[0].join("gateway.jsonl");
        let line = "{\"at_ms\":1,\"method\":\"POST\",\"path\":\"/v1/messages\",\"model\":null,\
                    \"status\":200,\"input_tokens\":1000,\"output_tokens\":100,\"cost_usd\":3.5,\
                    \"ms\":9,\"refused\":null}\n{\"at_ms\":2,\"meth";
        let mut file = fs::File::options().append(true).open(&audit).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        let again = scene.stage.autoclave(&RUN).expect(0);
        again.says("3.50 USD that a killed session had used up");
        scene.assert_clean();
        let results = scene.stage.results("smaller");
        assert_eq!(results["experiments"][0]["cost_usd"], 3.5, "{results}");
        assert_eq!(results["experiments"][0]["input_tokens"], 1000);
        assert_eq!(scene.stage.verdicts("smaller")[0], KEEP);
        let closed = scene.stage.ledger().pop().unwrap();
        assert_eq!(closed["reason"], finished, "of {limit} USD");
    }
}

fn money_of_a_session_with_the_real_agent_is_counted_once_however_often_it_is_killed(setup: Setup) {
    let config = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'sh tests/measure.sh', extract: 'cat', direction: lower}
    loop: {max_experiments: 1, budget_per_experiment: 2m}
    sandbox: {backend: BACKEND}
";
    let sleeps = "  - - tools: [{name: Bash, input: {command: 'sleep 1000', timeout: 600000}}]\n";
    let halves = "  - - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt'}}]\n    - text: Halve the number.\n";
    let script = format!("sessions:\n{sleeps}{sleeps}{halves}");
    let files = [
        ("src/number.txt", "100\n"),
        ("tests/measure.sh", "cat src/number.txt\n"),
    ];
    let stage = Stage::new(setup, config, &files).with_script(&script);
    for _ in 0..2 {
        let killed = stage.watch(&["run", "-m", "smaller", "--json"], |pid, event| {
            if event["event"] == "agent_tool" {
                kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
            }
        });
        assert_eq!(killed.code, None);
    }
    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    let audit = fs::read_to_string(stage.run_folder().join("gateway.jsonl")).unwrap();
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sum = |key: &str| {
        lines
            .iter()
            .map(|line| line[key].as_f64().unwrap())
            .sum::<f64>()
    };
    let results = stage.results("smaller");
    let experiment = &results["experiments"][0];
    let cost = experiment["cost_usd"].as_f64().unwrap();
    assert!(
        cost > 0.0 && (cost - sum("cost_usd")).abs() < 1e-6,
        "{cost} of {audit}"
    );
    let tokens = lines
        .iter()
        .map(|line| line["input_tokens"].as_u64().unwrap());
    assert_eq!(experiment["input_tokens"], tokens.sum::<u64>());
    assert_eq!(stage.verdicts("smaller"), [KEEP]);
    // Both killed sessions had asked before they were killed.
    assert!(lines.len() >= 4, "{audit}");
    assert_eq!(left_in_state(&stage), Vec::<String>::new());
}

/// Returns what is in the state directory but for what stays there.
fn left_in_state(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.outside("state")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name != "measuring" && name != "engine-name")
        .collect()
}
