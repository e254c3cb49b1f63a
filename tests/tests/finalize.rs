//! Finished branches: what each winner carries, which can be left out, which stand alone, and
//! whether what is reported is so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::toy::Toy;
use serde_json::{Value, json};

/// The metric is the smaller of `a` and `b` plus `c`, less one where there is a link. One idea an
/// experiment: `b` outdoes what was done to `a`; the second step of `c` builds on the
/// first; the link passes the guard only beside the `b` it was made for.
const AGENT: &str = r#"
case $(grep -c '^[0-9][0-9]*\. ') in
0) echo 25 >src/a; echo "Lower a";;
1) echo 20 >src/b; echo "Lower b";;
2) echo 5 >src/c; echo "Lower c";;
3) echo 4 >src/c; echo "Lower c more";;
4) echo 20 >src/link; echo "Link b";;
esac
"#;

const MEASURE: &str = "a=$(cat src/a); b=$(cat src/b); c=$(cat src/c)
[ $b -lt $a ] && a=$b
[ -e src/link ] && c=$((c - 1))
echo $((a + c))
";

const GUARD: &str = "! [ -e src/link ] || cmp src/link src/b\n";

/// A toy with five winners on it.
fn run() -> Toy {
    let toy = Toy::with(|_| {
        let agent = json!(["sh", "-c", AGENT]);
        format!(
            "markers:
  - name: smaller
    target: {{mutable: ['src/**'], immutable: ['tests/**']}}
    metric: {{command: 'sh tests/measure.sh', extract: 'cat', direction: lower}}
    guard: {{name: link, command: 'sh tests/guard.sh', rework_attempts: 0}}
    loop: {{max_experiments: 5}}
    agent: {{protocol: none, command: {agent}}}
    sandbox: {{backend: process}}
"
        )
    });
    for (path, text) in [
        ("src/a", "50\n"),
        ("src/b", "50\n"),
        ("src/c", "10\n"),
        ("tests/measure.sh", MEASURE),
        ("tests/guard.sh", GUARD),
    ] {
        std::fs::write(toy.repo().join(path), text).unwrap();
    }
    toy.git(&["add", "."]);
    toy.git(&["commit", "-qm", "three numbers"]);
    let run = toy.run(&["run"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(told.contains("Kept 5 of 5 experiments"), "{told}");
    toy
}

fn subjects(branch: &Value) -> Vec<&str> {
    let commits = branch["commits"].as_array().unwrap();
    commits
        .iter()
        .map(|commit| commit["subject"].as_str().unwrap())
        .collect()
}

#[test]
fn each_winner_is_weighed_and_those_that_stand_alone_are_split() {
    let toy = run();
    let whole = toy.json(&["finalize"], 0);
    assert_eq!(whole["metric"]["base"], 60.0);
    assert_eq!(whole["metric"]["final"], 23.0);
    let share = |n: usize| &whole["commits"][n]["share"];
    assert_eq!(share(0)["carries"], false, "b outdoes a: {whole}");
    assert_eq!(share(0)["gain"], 0.0);
    assert_eq!(share(1)["carries"], true, "{whole}");
    assert_eq!(share(1)["readings"], json!([[28.0, 23.0], [28.0, 23.0]]));
    assert_eq!(share(2)["built_on_by"], json!([4]));
    assert_eq!(share(3)["readings"], json!([[24.0, 23.0], [24.0, 23.0]]));
    assert_eq!(share(4)["readings"], json!([[24.0, 23.0], [24.0, 23.0]]));

    let lean = toy.json(&["finalize", "--lean", "--branch", "lean"], 0);
    assert_eq!(
        subjects(&lean),
        ["Lower b", "Lower c", "Lower c more", "Link b"]
    );
    assert_eq!(lean["metric"]["final"], 23.0);
    assert_eq!(lean["left_out"][0]["experiment"], 1);
    assert_eq!(toy.git(&["show", "lean:src/a"]), "50");

    let split = toy.json(&["finalize", "--split", "--branch", "part"], 0);
    let branches = split["branches"].as_array().unwrap();
    let parts: Vec<_> = branches.iter().map(subjects).collect();
    assert_eq!(
        parts,
        [
            vec!["Lower a"],
            vec!["Lower b", "Link b"],
            vec!["Lower c", "Lower c more"]
        ],
        "{split:#}"
    );
    let gains = branches.iter().map(|branch| {
        let metric = &branch["metric"];
        (metric["base"].as_f64(), metric["final"].as_f64())
    });
    let expected = [(60.0, 35.0), (60.0, 29.0), (60.0, 54.0)];
    let expected = expected.map(|(base, tip)| (Some(base), Some(tip)));
    assert_eq!(gains.collect::<Vec<_>>(), expected);
    let bonds = split["bonds"].as_array().unwrap();
    let bonds = bonds.iter().map(|bond| (&bond["earlier"], &bond["later"]));
    assert_eq!(
        bonds.collect::<Vec<_>>(),
        [(&json!(3), &json!(4)), (&json!(2), &json!(5))]
    );
    assert_eq!(branches[1]["branch"], "part-2");
    assert_eq!(toy.git(&["show", "part-2:src/link"]), "20");
}

/// A number with 4 % of noise of its own making, so that a test needs no quiet machine.
const NOISY: &str = "import math, random
noise = random.SystemRandom().gauss(0, 0.04)
print(float(open('src/number').read()) * math.exp(noise))
";

const PAIRS_OUTSIDE: usize = 60;

#[test]
fn reported_gain_is_confirmed_by_who_measures_without_autoclave() {
    let toy = Toy::with(|_| {
        "markers:
  - name: smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'python3 tests/measure.py', extract: 'cat', direction: lower, design_effect: 5%}
    loop: {max_experiments: 1}
    agent: {protocol: none, command: [sh, -c, 'echo 88 >src/number; echo Less']}
    sandbox: {backend: process}
"
        .to_owned()
    });
    for (path, text) in [("src/number", "100\n"), ("tests/measure.py", NOISY)] {
        std::fs::write(toy.repo().join(path), text).unwrap();
    }
    toy.git(&["add", "."]);
    toy.git(&["commit", "-qm", "a noisy number"]);
    let run = toy.run(&["run"]);
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("Kept 1 of 1"),
        "{run:?}"
    );
    let finalized = toy.json(&["finalize", "--branch", "final"], 0);
    let metric = &finalized["metric"];
    let (low, high) = (
        metric["interval"][0].as_f64().unwrap(),
        metric["interval"][1].as_f64().unwrap(),
    );

    let logs: Vec<f64> = ["main", "final"]
        .map(|branch| mean_log_outside(&toy, branch))
        .into();
    let gain = -(logs[1] - logs[0]).exp_m1();
    // Four standard errors of what is measured here; the interval has its own.
    let error = 4.0 * 0.04 * (2.0 / PAIRS_OUTSIDE as f64).sqrt();
    assert!(
        low - error < gain && gain < high + error,
        "{gain} outside of {low} to {high}"
    );
    assert!(low > 0.0 && high < 0.3, "12 % as {low} to {high}");
}

/// Measures a branch in a checkout of its own, as somebody would who trusts nobody; returns the
/// mean of the logarithms.
fn mean_log_outside(toy: &Toy, branch: &str) -> f64 {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let checkout = folder.path().join("checkout");
    let place = checkout.to_str().unwrap();
    toy.git(&["clone", "-q", "--branch", branch, ".", place]);
    let total: f64 = (0..PAIRS_OUTSIDE)
        .map(|_| {
            let output = std::process::Command::new("python3")
                .arg("tests/measure.py")
                .current_dir(&checkout)
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            printed.trim().parse::<f64>().unwrap().ln()
        })
        .sum();
    total / PAIRS_OUTSIDE as f64
}
