//! How runs measure: afresh in every pair, at a told cost, and what becomes of the undecided.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use autoclave_runner::decide::dice::Dice;
use e2e::toy::{MARKER, Toy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The number in thousands, and up to one thousand of noise.
const NOISY: &str =
    "echo $(($(cat src/number.txt) * 1000 + $(od -An -N2 -tu2 /dev/urandom) / 66))\n";

/// A toy with a noisy metric, whose `metric` has `more` keys.
fn noisy(more: &str) -> Toy {
    Toy::measured_by(NOISY, |config| {
        config.replace("direction: lower", &format!("direction: lower{more}"))
    })
}

fn events(run: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == name)
        .collect()
}

fn first_decided(toy: &Toy, run: &Path) -> Value {
    let mut ledger = toy.ledger(run).into_iter();
    ledger
        .find(|record| record["record"] == "experiment_decided")
        .unwrap()
}

#[test]
fn champion_is_measured_afresh_in_every_comparison_and_never_remembered() {
    // The machine gets ten times slower while the first agent is at work.
    let measure = "echo $(($(cat src/number.txt) * $(cat @CUES@/slowness)))\n";
    let toy = Toy::measured_by(measure, |config| config);
    let slowness = toy.cues().join("slowness");
    fs::write(&slowness, "1").unwrap();
    let child = toy.waiting_run();
    fs::write(&slowness, "10").unwrap();
    toy.go();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let run = toy.run_folders().remove(0);
    let decided = first_decided(&toy, &run);
    // Against the champion's 100 of before, its 500 would be worse.
    assert_eq!(
        (&decided["verdict"], &decided["value"], &decided["gain"]),
        (&"keep".into(), &500.0.into(), &0.5.into())
    );
    let pairs = events(&run, "pair_measured");
    let first: Vec<&Value> = pairs
        .iter()
        .filter(|pair| pair["experiment"] == 1)
        .collect();
    assert!(
        first.iter().all(|pair| pair["champion"] == 1000.0),
        "{first:?}"
    );
    assert_eq!(
        first.len(),
        6,
        "what no longer reads the same is not taken for deterministic"
    );
}

#[test]
fn each_pair_tells_its_readings_evidence_order_and_cost() {
    let toy = noisy(", max_pairs: 30, design_effect: 1%");
    let output = toy.run(&["run", "-m", MARKER]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let run = toy.run_folders().remove(0);
    let ledger = fs::read_to_string(run.join("ledger.jsonl")).unwrap();
    let opened: Value = serde_json::from_str(ledger.lines().next().unwrap()).unwrap();
    let seed = u32::try_from(opened["seed"].as_u64().unwrap()).unwrap();
    let pairs = events(&run, "pair_measured");
    for (number, experiment) in [(1, 1_u32), (2, 2)] {
        let decided = &events(&run, "decided")[number - 1];
        let own: Vec<&Value> = pairs
            .iter()
            .filter(|p| p["experiment"] == experiment)
            .collect();
        assert_eq!(decided["pairs"], own.len());
        let mut dice = Dice::of_experiment(seed, experiment);
        let mut spent = 0.0;
        for pair in &own {
            assert_eq!(
                pair["candidate_first"],
                dice.coin(),
                "the seed repeats the order"
            );
            assert!(pair["threshold"].as_f64().unwrap() > 3.9);
            assert!(pair["against_threshold"].as_f64().unwrap() > 1.6);
            spent += pair["seconds"].as_f64().unwrap();
        }
        let told = decided["measuring_seconds"].as_f64().unwrap();
        assert!(spent > 0.0 && told >= spent, "{told} {spent}");
        let table = fs::read_to_string(run.join(format!("experiments/000{experiment}/pairs.tsv")));
        assert_eq!(table.unwrap().lines().count(), 1 + own.len());
    }
    let people = String::from_utf8(output.stderr).unwrap();
    let verdict = people
        .lines()
        .find(|line| line.contains("verdict keep"))
        .unwrap();
    assert!(verdict.contains(" pairs in "), "{verdict}");
}

#[test]
fn what_is_not_decided_is_a_near_miss_that_later_briefs_offer() {
    // One pair never suffices: half of the number is not kept, and is not called worse.
    let toy = noisy(", max_pairs: 1");
    let output = toy.run(&["run", "-m", MARKER, "--experiments", "2"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let run = toy.run_folders().remove(0);
    let decided = first_decided(&toy, &run);
    assert_eq!(decided["verdict"]["discard"], "inconclusive");
    assert!(
        decided["detail"]
            .as_str()
            .unwrap()
            .starts_with("undecided after pair 1: evidence ")
    );
    let ideas = fs::read_to_string(run.join("ideas.md")).unwrap();
    let near = ideas.split("# Ideas not kept").next().unwrap();
    assert!(near.starts_with("# Near misses"), "{ideas}");
    assert!(near.contains("Halve the number"), "{ideas}");
    let brief =
        |n: u32| fs::read_to_string(run.join(format!("experiments/000{n}/brief.md"))).unwrap();
    assert!(!brief(1).contains("# Near misses"));
    let second = brief(2);
    let offered = second.split("# Near misses").nth(1).unwrap();
    assert!(
        offered.contains("1. discard(inconclusive), gain +"),
        "{second}"
    );
    assert!(offered.contains("Halve the number"), "{second}");
}

#[test]
fn null_experiments_are_run_for_real_and_leave_nothing_in_the_repository() {
    let toy = noisy("");
    let before = toy.git(&["status", "--porcelain", "--ignored"]);
    let report = toy.json(&["check", "-m", MARKER, "--aa", "4"], 0);
    let aa = &report["aa"];
    let number = |key: &str| aa[key].as_u64().unwrap();
    assert_eq!((number("asked"), number("experiments")), (4, 4));
    let ended = ["kept", "worse", "no_gain", "inconclusive"].map(number);
    assert_eq!(ended.iter().sum::<u64>(), 4);
    // A noisy metric is no verdict before two pairs, and 0.3 % of noise hides no 3 %.
    assert!((8..=40).contains(&number("pairs")), "{aa}");
    assert!(aa["seconds"].as_f64().unwrap() > 0.0);
    assert!(
        aa["kept_interval"][1].as_f64().unwrap() > 0.3,
        "four say little: {aa}"
    );
    assert!(report["noise"]["per_reading"].as_f64().unwrap() > 0.0005);
    assert_eq!(toy.git(&["status", "--porcelain", "--ignored"]), before);
    assert!(!toy.runs().exists());
    assert_eq!(toy.git(&["for-each-ref"]).lines().count(), 1);
    assert_eq!(toy.leftovers(), Vec::<String>::new());
}

#[test]
fn null_experiments_of_a_deterministic_metric_take_two_pairs_and_keep_nothing() {
    let report = Toy::new().json(&["check", "-m", MARKER, "--aa", "3"], 0);
    let aa = &report["aa"];
    assert_eq!(
        (&aa["kept"], &aa["no_gain"], &aa["pairs"]),
        (&0.into(), &3.into(), &6.into())
    );
    assert_eq!(report["noise"]["per_reading"], 0.0);
}

#[test]
fn null_experiments_that_are_interrupted_report_those_that_were_done() {
    let toy = noisy("");
    let mut child = toy
        .command(&["check", "-m", MARKER, "--aa", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = told.find(|line| line.as_ref().unwrap().contains("2 of 100000: "));
    assert!(seen.is_some(), "the second was told before the end");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    for _ in told {}
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(
        said.contains(" null experiments (of 100000 asked for, interrupted) kept: "),
        "{said}"
    );
    assert!(!toy.runs().exists());
    assert_eq!(toy.leftovers(), Vec::<String>::new());
}
