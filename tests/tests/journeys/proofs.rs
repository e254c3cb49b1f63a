//! What proves itself: numbers against the runner's clocks, golden outputs, guards that are alive,
//! and the number's way out of the candidate's reach.

use e2e::stage::{Setup, Stage};
use serde_json::Value;

e2e::journeys!(
    each_backend: [
        a_number_that_the_clocks_contradict_is_a_violation,
        a_large_gain_that_no_clock_sees_is_measured_again,
        another_output_for_a_golden_input_discards,
        a_guard_that_no_longer_notices_faults_discards,
        the_two_command_form_is_out_of_the_candidates_reach,
    ],
    each_caller: [],
);

/// The agent plays its arguments, one an experiment: it writes what the file of that name holds to
/// `src/code.py`.
const AGENT: &str = "brief=$(cat)
shift \"$(printf '%s\\n' \"$brief\" | grep -c '^[0-9][0-9]*\\. ')\"
cp \"ideas/$1.py\" src/code.py
echo \"Try $1\"
";

/// A repository whose agent tries `ideas`, each a name and what becomes of `src/code.py`.
fn stage(setup: Setup, marker: &str, files: &[(&str, &str)], ideas: &[(&str, &str)]) -> Stage {
    let names: Vec<&str> = ideas.iter().map(|(name, _)| *name).collect();
    let config = format!(
        "markers:
  - name: proofs
    target: {{mutable: ['src/**']}}
{marker}
    agent: {{command: [sh, agent.sh, {}], protocol: none}}
    loop: {{max_experiments: {}, budget_per_experiment: 2m}}
    sandbox: {{backend: BACKEND}}
",
        names.join(", "),
        ideas.len()
    );
    let paths: Vec<String> = names
        .iter()
        .map(|name| format!("ideas/{name}.py"))
        .collect();
    let mut all = vec![("agent.sh", AGENT)];
    all.extend(files);
    let texts = ideas.iter().map(|(_, text)| *text);
    all.extend(paths.iter().map(String::as_str).zip(texts));
    let mut stage = Stage::new(setup, &config, &all);
    stage.set("ANTHROPIC_API_KEY", None);
    stage
}

/// Returns what became of an experiment: its verdict and its detail.
fn decided(stage: &Stage) -> Vec<(String, String)> {
    let verdicts = stage.verdicts("proofs");
    let events = stage.events_of("decided");
    let details = events
        .iter()
        .map(|event| event["detail"].as_str().unwrap().to_owned());
    verdicts.into_iter().zip(details).collect()
}

fn check<'c>(report: &'c Value, name: &str) -> &'c Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check `{name}`: {checks:#?}"))
}

/// Busy for about so many milliseconds of processor time, and reports how long it took.
const TIMED: &str = "import time
def busy(ms):
    end = time.process_time() + ms / 1000
    while time.process_time() < end:
        pass
start = time.perf_counter()
busy(MS)
print('ms=%.3f' % (1000 * (time.perf_counter() - start)))
";

fn a_number_that_the_clocks_contradict_is_a_violation(setup: Setup) {
    let slow = TIMED.replace("MS)", "300)");
    let quick = TIMED.replace("MS)", "60)");
    let forged = slow.replace(
        "print('ms=%.3f' % (1000 * (time.perf_counter() - start)))",
        "print('ms=0.2')",
    );
    let stage = stage(
        setup,
        "    metric: {command: python3 src/code.py, extract: 'regex:ms=([0-9.]+)', unit: ms, direction: lower}",
        &[("src/code.py", &slow)],
        &[("forged", &forged), ("quick", &quick)],
    );
    let report = stage.autoclave(&["check", "--json"]).expect(0).json();
    let proof = check(&report, "proof");
    let told = proof["detail"].as_str().unwrap();
    assert!(
        told.contains("each gain is held against the runner's own clocks"),
        "{told}"
    );
    assert!(told.contains("could print any"), "{told}");

    stage.autoclave(&["run", "--json"]).expect(0);
    let decided = decided(&stage);
    assert_eq!(decided[0].0, "discard violation", "{decided:?}");
    assert!(
        decided[0]
            .1
            .starts_with("implausible: it reports 0.2 ms, the runner's clocks saw "),
        "{decided:?}"
    );
    // The control: a gain that is as large on the clocks.
    assert_eq!(decided[1].0, "keep", "{decided:?}");
    let pairs = stage.events_of("pair_measured");
    for pair in &pairs {
        for side in ["champion", "candidate"] {
            let clocks = &pair["clocks"][side];
            assert_eq!(clocks["exit_code"], 0, "{pair}");
            let wall = clocks["wall_seconds"].as_f64().unwrap();
            assert!(wall > 0.05, "{pair}");
            let cpu = clocks["cpu_seconds"].as_f64().unwrap();
            assert!(cpu > 0.04, "{pair}");
        }
    }
    let table = stage.run_folder().join("experiments/0001/pairs.tsv");
    let table = std::fs::read_to_string(table).unwrap();
    let columns = |line: &str| line.split('\t').count();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].ends_with("\tcandidate_wall\tcandidate_cpu\tcandidate_exit"),
        "{table}"
    );
    assert!(lines.iter().all(|line| columns(line) == 16), "{table}");
}

fn a_large_gain_that_no_clock_sees_is_measured_again(setup: Setup) {
    let (honest, large) = ("print(100)\n", "print(2)\n");
    let stage = stage(
        setup,
        "    metric: {command: 'python3 src/code.py', extract: cat, unit: lines, direction: lower}",
        &[("src/code.py", honest)],
        &[("large", large)],
    );
    stage.autoclave(&["run", "--json"]).expect(0);
    assert_eq!(
        decided(&stage),
        [(
            "keep".to_owned(),
            "implausibly large, measured again: 98.0 % in 3 fresh pairs; far beyond the noise"
                .to_owned()
        )]
    );
}

fn another_output_for_a_golden_input_discards(setup: Setup) {
    // Squares of the numbers given, and how many lines the code has.
    let base = "import sys\nn = 0\nfor line in sys.stdin:\n    print(int(line) ** 2)\n";
    let golden = "    golden: {command: python3 src/code.py, inputs: ['tests/golden/*.in'], generate: 'sh tests/draw.sh', count: 2}";
    let marker = format!(
        "    metric: {{command: 'wc -l < src/code.py', extract: cat, direction: lower}}\n{golden}"
    );
    let files = [
        ("src/code.py", base),
        ("tests/golden/a.in", "3\n4\n"),
        ("tests/golden/b.in", "-5\n"),
        ("tests/draw.sh", "echo $((AUTOCLAVE_SEED % 1000 + 1000))\n"),
    ];
    let ideas = [
        (
            "positive",
            "import sys\nfor line in sys.stdin: print(int(line) * abs(int(line)))\n",
        ),
        (
            "small",
            "import sys\nfor line in sys.stdin: print(min(int(line) ** 2, 999))\n",
        ),
        ("broken", "import sys; sys.exit(3)\n"),
        (
            "same",
            "import sys\nfor line in sys.stdin: print(int(line) ** 2)\n",
        ),
    ];
    let stage = stage(setup, &marker, &files, &ideas);
    let report = stage.autoclave(&["check", "--json"]).expect(0).json();
    assert_eq!(
        check(&report, "golden")["detail"],
        "4 outputs, the same twice"
    );

    stage.autoclave(&["run", "--json"]).expect(0);
    let decided = decided(&stage);
    let ledger = std::fs::read_to_string(stage.run_folder().join("ledger.jsonl")).unwrap();
    let baseline = ledger.lines().nth(1).unwrap();
    let baseline: Value = serde_json::from_str(baseline).unwrap();
    let seed = &baseline["golden"][2]["input"]["seed"];
    let failed = "discard guard_failed";
    let expected = [
        (
            failed,
            "golden: the output for `tests/golden/b.in` differs".to_owned(),
        ),
        (
            failed,
            format!("golden: the output for the input of seed {seed} differs"),
        ),
        (
            failed,
            "golden: the output for `tests/golden/a.in` differs: the command exited with 3"
                .to_owned(),
        ),
    ];
    for ((verdict, detail), found) in expected.iter().zip(&decided) {
        assert_eq!((*verdict, detail), (found.0.as_str(), &found.1));
    }
    assert_eq!(decided[3].0, "keep", "{decided:?}");
    let finalized = stage.autoclave(&["finalize", "--json"]).expect(0);
    assert!(
        finalized.stdout.contains("4 outputs are as on the base"),
        "{}",
        finalized.stdout
    );
}

fn a_guard_that_no_longer_notices_faults_discards(setup: Setup) {
    let base = "LIMIT = 10\nPAD = 100\ndef clamp(n):\n    if n > LIMIT:\n        return LIMIT\n    return n\n";
    let tests = "from code_ import clamp
assert clamp(3) == 3
assert clamp(30) == 10
";
    let loader = "cp src/code.py /tmp/code_.py && PYTHONPATH=/tmp python3 tests/check.py";
    let marker = format!(
        "    metric: {{command: 'wc -c < src/code.py', extract: cat, direction: lower}}
    guard: {{name: tests, command: '{loader}', liveness: true, rework_attempts: 0}}"
    );
    let files = [("src/code.py", base), ("tests/check.py", tests)];
    let ideas = [
        ("exits", "import os\nx = 3 > 2\nos._exit(int())\n"),
        (
            "same",
            "LIMIT = 10\ndef clamp(n):\n    if n > LIMIT:\n        return LIMIT\n    return n\n",
        ),
    ];
    let stage = stage(setup, &marker, &files, &ideas);
    let report = stage.autoclave(&["check", "--json"]).expect(0).json();
    let told = check(&report, "guard `tests`")["detail"].as_str().unwrap();
    assert!(
        told.contains("; alive, it noticed planted fault "),
        "{told}"
    );

    stage.autoclave(&["run", "--json"]).expect(0);
    let decided = decided(&stage);
    assert_eq!(decided[0].0, "discard guard_failed", "{decided:?}");
    let told = &decided[0].1;
    assert!(
        told.starts_with("guard `tests` no longer notices planted faults: ")
            && told.contains("src/code.py:2 (`<=` for `>`)"),
        "{told}"
    );
    assert_eq!(decided[1].0, "keep", "{decided:?}");

    // A guard that tests nothing is not green to begin with.
    stage.write("tests/check.py", "print('fine')\n");
    stage.commit_all("test nothing");
    let report = stage.autoclave(&["check", "--json"]).expect(4).json();
    let told = check(&report, "guard `tests`")["detail"].as_str().unwrap();
    assert!(
        told.starts_with("notices none of the planted faults: src/code.py:"),
        "{told}"
    );
    let refused = stage.autoclave(&["run", "--new"]).expect(4);
    assert!(
        refused
            .stderr
            .contains("guard `tests` notices none of the planted faults: src/code.py:"),
        "{}",
        refused.stderr
    );
}

fn the_two_command_form_is_out_of_the_candidates_reach(setup: Setup) {
    // The count of lines read is to be right and made with few steps; both come from `check`.
    let base = "import sys\nlines = sys.stdin.read().split()\nprint(sum(int(n) for n in lines))\nprint('steps', 50)\n";
    let input = "seed=$AUTOCLAVE_SEED
echo $((seed % 1000)) $((seed / 1000 % 1000)) 7
";
    let check_script = "set -e
read -r sum
read -r word steps
seed=$AUTOCLAVE_SEED
test \"$sum\" = $((seed % 1000 + seed / 1000 % 1000 + 7)) || { echo wrong sum; exit 9; }
test -n \"$AUTOCLAVE_WALL_SECONDS\" -a -n \"$AUTOCLAVE_CPU_SECONDS\"
echo METRIC steps=$steps
echo METRIC seed=$seed
";
    let marker = "    metric: {command: python3 src/code.py, extract: metric-lines, name: steps, direction: lower,
      harness: {input: sh tests/input.sh, check: sh tests/check.sh}}
    track: [seed]";
    let files = [
        ("src/code.py", base),
        ("tests/input.sh", input),
        ("tests/check.sh", check_script),
    ];
    let ideas = [
        // Prints the number itself, and looks for what it should not know.
        ("prints", "print('METRIC steps=1')\n"),
        (
            "seed",
            "import os, sys\nlines = sys.stdin.read().split()\nprint(sum(int(n) for n in lines))\nprint('steps', 1 if 'AUTOCLAVE_SEED' in os.environ else 60)\n",
        ),
        (
            "fewer",
            "import sys\nlines = sys.stdin.read().split()\nprint(sum(map(int, lines)))\nprint('steps', 40)\n",
        ),
    ];
    let stage = stage(setup, marker, &files, &ideas);
    let report = stage.autoclave(&["check", "--json"]).expect(0).json();
    let told = check(&report, "proof")["detail"].as_str().unwrap();
    assert!(told.contains("out of the candidate's reach"), "{told}");

    stage.autoclave(&["run", "--json"]).expect(0);
    let decided = decided(&stage);
    assert_eq!(
        decided[0],
        (
            "discard no_metric".to_owned(),
            "`metric.harness.check` exited with 9".to_owned()
        )
    );
    let metric = stage.run_folder().join("experiments/0001/metric.txt");
    let metric = std::fs::read_to_string(metric).unwrap();
    assert!(metric.contains("wrong sum"), "{metric}");
    assert_eq!(decided[1].0, "discard worse", "{decided:?}");
    assert_eq!(decided[2].0, "keep", "{decided:?}");
    stage.autoclave(&["finalize", "--json"]).expect(0);
}
