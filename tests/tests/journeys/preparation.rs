//! What surrounds agent and measurement: `prepare`, `hidden`, `scratch`, `metric.build`.

use std::fs;

use e2e::stage::Setup;
use serde_json::{Value, json};

e2e::journeys!(
    each_backend: [],
    each_caller: [prepare_hidden_scratch_and_build_each_reach_whom_they_should],
    mixed: [prepare_hidden_scratch_and_build_each_reach_whom_they_should],
);

const CONFIG: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**'], hidden: ['secret/**'], scratch: ['out/']}
    prepare: {command: 'mkdir -p ~/.cache/toy && python3 tests/fetch.py > ~/.cache/toy/fetched'}
    metric: {command: 'sh tests/measure.sh', extract: 'regex:value=([0-9.]+)', build: 'sh tests/build.sh', direction: lower}
    guard: {command: 'sh tests/offline.sh', rework_attempts: 0}
    loop: {max_experiments: 1}
    agent: {command: [sh, agent.sh], protocol: none}
    sandbox: {backend: BACKEND}
";

const FILES: [(&str, &str); 8] = [
    ("src/number.txt", "100\n"),
    ("src/seen.txt", "\n"),
    ("secret/answer.txt", "hidden\n"),
    (
        "tests/fetch.py",
        "import urllib.request as r\nprint(r.urlopen(open('tests/url').read(), timeout=9).read().decode())\n",
    ),
    // Each build draws another number, so that equal readings are readings of one build.
    (
        "tests/build.sh",
        "test ! -e out/salt || exit 9\nod -An -N4 -tu4 /dev/urandom | tr -d ' \\n' > out/salt\n",
    ),
    (
        "tests/measure.sh",
        "test \"$(cat secret/answer.txt)\" = hidden || exit 8
test \"$(cat ~/.cache/toy/fetched)\" = '{}' || exit 7
echo \"value=$(cat src/number.txt).$(cat out/salt)\"
",
    ),
    (
        "tests/offline.sh",
        "if python3 tests/fetch.py; then echo the network is there; exit 1; fi\n",
    ),
    (
        "agent.sh",
        "{ cat ~/.cache/toy/fetched; ls -A . out; cat secret/answer.txt; } > src/seen.txt 2>&1
echo left > out/left
echo 50 > src/number.txt
",
    ),
];

fn prepare_hidden_scratch_and_build_each_reach_whom_they_should(setup: Setup) {
    let stage = e2e::stage::Stage::new(setup, CONFIG, &FILES).with_script("sessions: []");
    stage.write("tests/url", stage.model().url());
    stage.commit_all("say where the model is");

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);

    // `prepare` had the network and left a cache in each backend, which agent and measurement saw;
    // guards had none.
    let fetched = stage.model().seen();
    let backends = 1 + usize::from(setup.is_mixed());
    assert_eq!(fetched.len(), backends, "{fetched:?}");
    let saw = stage.git(&["show", "autoclave/smaller:src/seen.txt"]);
    let (cache, rest) = saw.split_once('\n').unwrap();
    assert_eq!(cache, "{}");
    // The agent saw neither the hidden file nor what a build left, and its scratch is nowhere.
    assert!(
        rest.contains("cat: secret/answer.txt: No such file or directory"),
        "{rest}"
    );
    assert!(
        !rest.lines().any(|line| line == "secret" || line == "salt"),
        "{rest}"
    );
    assert_eq!(
        stage.git(&["diff", "--name-only", "main", "autoclave/smaller"]),
        "src/number.txt\nsrc/seen.txt"
    );
    // Nor is it told of: a build writes thousands of such files.
    let ledger = stage.ledger();
    let dropped = ledger.iter().find_map(|line| line.get("dropped"));
    assert_eq!(dropped, Some(&json!([])));
    let report = stage.outside("home/report.json");
    let report = report.to_str().unwrap();
    let script = "mkdir out/deep; echo left > out/deep/left; echo left > out/.gitignore";
    stage
        .autoclave(&[
            "exec", "-m", "smaller", "--report", report, "--", "sh", "-c", script,
        ])
        .expect(0);
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(
        (&report["changes"], &report["dropped"]),
        (&json!([]), &json!([]))
    );
    let answer = |options: &[&str]| {
        let line = [
            &["exec", "-m", "smaller"],
            options,
            &["--", "cat", "secret/answer.txt"],
        ];
        stage.autoclave(&line.concat()).stdout
    };
    assert_eq!(
        (answer(&[]), answer(&["--as-measured"])),
        (String::new(), "hidden\n".to_owned())
    );
    // One build a side: all readings of a side are equal, to the last digit.
    let values = |event: &str, field: &str| -> Vec<f64> {
        let mut values: Vec<f64> = stage
            .events_of(event)
            .iter()
            .map(|event| event[field].as_f64().unwrap())
            .collect();
        assert!(values.len() >= 2, "{values:?}");
        values.dedup();
        values
    };
    let champion = values("baseline_reading", "value");
    assert_eq!(champion.len(), 1, "{champion:?}");
    assert_eq!(values("pair_measured", "champion"), champion);
    let candidate = values("pair_measured", "candidate");
    assert_eq!(candidate.len(), 1, "{candidate:?}");
    assert!((50.0..51.0).contains(&candidate[0]), "{candidate:?}");
}
