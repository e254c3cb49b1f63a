//! What decides beside the metric: counted tests, soft bounds, tracked numbers, hidden guards.

use e2e::stage::{Setup, Stage};
use serde_json::{Value, json};

use crate::toy;

e2e::journeys!(
    each_backend: [
        fewer_passed_tests_fail_a_guard_that_exits_with_0,
        soft_guards_and_tracks_read_what_the_metric_prints,
    ],
    each_caller: [a_hidden_guard_is_told_to_nobody_inside],
);

const TWO: &str = "    loop: {max_experiments: 2, budget_per_experiment: 2m}\n";

/// Whichever experiment it is, the brief's list tells; further files make up the rest.
fn stage(setup: Setup, config: &str, files: &[(&str, &str)]) -> Stage {
    let mut all = toy::FILES.to_vec();
    all.retain(|(path, _)| files.iter().all(|(other, _)| other != path));
    all.extend(files);
    let mut stage = Stage::new(setup, config, &all);
    stage.set("ANTHROPIC_API_KEY", None);
    stage
}

fn events(stage: &Stage, guard: &str) -> Vec<Value> {
    let mut events = stage.events_of("guard_finished");
    events.retain(|event| event["guard"] == guard);
    events
}

fn fewer_passed_tests_fail_a_guard_that_exits_with_0(setup: Setup) {
    // A test run that the code under test can end early, as `process::exit(0)` does.
    let tests = "echo 'running 2 tests'
. ./src/code.sh
echo 'test one ... ok'
echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s'
sh -c '. ./src/more.sh; echo \"test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\"'
";
    let agent = "case $(cat) in
*'1. '*) echo 'exit 0' > src/code.sh;;
*) echo 'exit 0' > src/more.sh;;
esac
echo 10 > src/number.txt
echo Faster
";
    let config = format!(
        "{}    guard: {{name: tests, command: 'sh tests/guard.sh', rework_attempts: 0}}
    agent: {{command: [sh, agent.sh], protocol: none}}\n{TWO}",
        toy::MARKER
    );
    let files = [
        ("tests/guard.sh", tests),
        ("agent.sh", agent),
        ("src/code.sh", "true\n"),
        ("src/more.sh", "true\n"),
    ];
    let stage = stage(setup, &config, &files);
    let check = stage.autoclave(&["check", "--json"]).expect(0).json();
    let checks = check["checks"].as_array().unwrap();
    let tests = checks.iter().find(|check| check["name"] == "guard `tests`");
    assert_eq!(
        tests.unwrap()["detail"],
        "green on the base, 3 tests passed (cargo): never fewer on a candidate"
    );

    stage.autoclave(&["run", "--json"]).expect(3);
    let failed = "discard guard_failed";
    assert_eq!(stage.verdicts("smaller"), [failed, failed]);
    let seen: Vec<(Value, Value)> = events(&stage, "tests")
        .into_iter()
        .map(|event| (event["detail"].clone(), event["tests"][0]["count"].clone()))
        .collect();
    let expected = [
        (json!("passed"), json!(3)),
        (
            json!("passed 2 tests, fewer than the 3 of the base (cargo)"),
            json!(2),
        ),
        (
            json!("tells of no passed tests any more; on the base 3 passed (cargo)"),
            Value::Null,
        ),
    ];
    assert_eq!(seen, expected);
    let shown = stage.autoclave(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(
        shown["detail"],
        "guard `tests` passed 2 tests, fewer than the 3 of the base (cargo)"
    );
}

fn soft_guards_and_tracks_read_what_the_metric_prints(setup: Setup) {
    // The first candidate is within the tolerance of 10 %, the second beyond it.
    let agent = "case $(cat) in
*'1. '*) echo 40 > src/number.txt; echo 111 > src/rss.txt;;
*) echo 50 > src/number.txt; echo 109 > src/rss.txt;;
esac
echo Trade memory
";
    let measure = "cat src/number.txt; echo METRIC rss=$(cat src/rss.txt) >&2
echo METRIC rss=$(cat src/rss.txt)
echo METRIC p99=$(( $(cat src/rss.txt) * 2 ))
";
    let config = format!(
        "{}    agent: {{command: [sh, agent.sh], protocol: none}}
    track: [p99, rss, findings]
    guards:
      - {{name: lint, kind: soft, command: 'echo METRIC findings=6; echo 6; exit 1', extract: 'tail -1', \
direction: lower, threshold: 5, tolerance: 1}}
      - {{name: memory, kind: soft, metric: rss, direction: lower, tolerance: 10%}}\n{TWO}",
        toy::MARKER.replace("extract: 'cat'", "extract: 'head -1'")
    );
    let files = [
        ("agent.sh", agent),
        ("tests/measure.sh", measure),
        ("src/rss.txt", "100\n"),
    ];
    let stage = stage(setup, &config, &files);
    stage.autoclave(&["run", "--json"]).expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep", "discard guard_failed"]);

    let results = stage.results("smaller");
    let tracks = |rss: f64| json!({"p99": 2.0 * rss, "rss": rss, "findings": 6.0});
    assert_eq!(results["baseline"]["tracks"], tracks(100.0));
    assert_eq!(results["champion"]["tracks"], tracks(109.0));
    let experiments = &results["experiments"];
    assert_eq!(experiments[0]["tracks"], tracks(109.0));
    assert_eq!(experiments[1]["tracks"], tracks(111.0));
    assert_eq!(
        experiments[0]["remarks"],
        json!([
            "guard `lint`: 6 is above 5, within the tolerated 1",
            "guard `memory`: 109 is above 100, within the tolerated 10 %",
        ])
    );
    let shown = stage.autoclave(&["show", "2", "--json"]).expect(0).json();
    assert_eq!(
        shown["detail"],
        "guard `memory` 111 is above 100 by more than the tolerated 10 %"
    );
    let memory: Vec<(bool, f64)> = events(&stage, "memory")
        .iter()
        .map(|event| {
            (
                event["passed"].as_bool().unwrap(),
                event["value"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(memory, [(true, 100.0), (true, 109.0), (false, 111.0)]);
    let table = std::fs::read_to_string(stage.run_folder().join("results.tsv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].ends_with("\ttrack:p99\ttrack:rss\ttrack:findings"),
        "{table}"
    );
    assert!(lines[1].ends_with("\t218\t109\t6"), "{table}");
    let status = stage.autoclave(&["status"]).expect(0);
    assert!(status.stdout.contains("rss 109"), "{}", status.stdout);

    let finalized = stage.autoclave(&["finalize", "--json"]).expect(0).json();
    assert_eq!(
        finalized["tracks"]["rss"],
        json!({"base": 100.0, "final": 109.0})
    );
    assert_eq!(
        finalized["tracks"]["findings"],
        json!({"base": 6.0, "final": 6.0})
    );
    let report = std::fs::read_to_string(stage.run_folder().join("finalize.md")).unwrap();
    assert!(report.contains("| rss | 100 | 109 |"), "{report}");
    assert!(
        report.contains("- memory: passed (109 is above 100, within the tolerated 10 %)"),
        "{report}"
    );
}

fn a_hidden_guard_is_told_to_nobody_inside(setup: Setup) {
    // The agent sends all that it can see to where the transcript keeps it.
    let agent = "brief=$(cat)
echo \"BRIEF $brief\"
ls -A -R .
cat tests/holdout.sh .autoclave/config.yaml
grep -r 'secret-[w]ord' . && echo FOUND
echo 1 > src/number.txt
echo exit 0 > tests/holdout.sh
echo Make it one
";
    let holdout =
        "grep -vx 1 src/number.txt || { echo the secret-word is that one is too small; exit 7; }\n";
    let config = format!(
        "{}    agent: {{command: [sh, agent.sh], protocol: none}}
    guards:
      - {{name: visible, command: 'sh tests/guard.sh'}}
      - {{name: holdout, hidden: true, rework_attempts: 1, command: 'sh tests/holdout.sh'}}\n{TWO}",
        toy::MARKER
    );
    let files = [("agent.sh", agent), ("tests/holdout.sh", holdout)];
    let stage = stage(setup, &config, &files);
    let check = stage.autoclave(&["check", "--json"]).expect(0).json();
    let checks = check["checks"].as_array().unwrap();
    let hidden = checks.iter().find(|check| check["name"] == "hidden guards");
    assert_eq!(
        hidden.unwrap()["detail"],
        "absent from the agent's sandbox: .autoclave/config.yaml, tests/holdout.sh"
    );

    stage.autoclave(&["run", "--json"]).expect(3);
    let failed = "discard guard_failed";
    assert_eq!(stage.verdicts("smaller"), [failed, failed]);
    for number in ["0001", "0002"] {
        let folder = stage.run_folder().join("experiments").join(number);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        for file in ["agent.jsonl", "brief.md"] {
            let text = read(file);
            for word in ["secret-word", "FOUND", "exited with 7", "config.yaml\n"] {
                assert!(!text.contains(word), "{word} in {file}: {text}");
            }
            let told = text.replace("tests/holdout.sh: ", "");
            assert!(!told.contains("holdout"), "{file}: {text}");
        }
        // The control: it looked, the visible guard is there, and the failure was told as such.
        let log = read("agent.jsonl");
        assert!(log.contains("guard.sh"), "{log}");
        assert!(
            log.contains("A hidden guard failed on your change"),
            "{log}"
        );
        // People are told all of it.
        assert!(read("guard-holdout-0.txt").contains("secret-word"));
    }
    let brief = stage.run_folder().join("experiments/0002/brief.md");
    let brief = std::fs::read_to_string(brief).unwrap();
    assert!(brief.contains("a hidden guard failed"), "{brief}");
    let shown = stage.autoclave(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(shown["detail"], "a hidden guard failed");
    assert_eq!(
        shown["remarks"],
        json!(["hidden guard `holdout` exited with 7"])
    );
}
