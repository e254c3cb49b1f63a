//! Runs that can only keep luck: 200 experiments of an agent whose changes do nothing, on a noisy
//! metric, through the binary and its sandboxes.
//!
//! `cargo bench -p e2e --bench null` (root, or a host with user namespaces); `-- 50` runs fewer.
//! Takes about eight thousand sandboxes. The noise is the kernel's own: figures vary a little.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and one that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use e2e::toy::{MARKER, Toy};
use serde_json::Value;

const EXPERIMENTS: u32 = 200;

/// The metric is the sum of four uniform deviates: nearly normal, about 5 % around 100,000.
const CONFIG: &str = "markers:
  - name: smaller
    description: Nothing can be gained here
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric:
      command: 'set -- $(od -An -N8 -tu2 /dev/urandom); echo $((83000 + ($1 + $2 + $3 + $4) * 13 / 100))'
      extract: cat
      direction: lower
    guard: {name: lines, command: 'sh tests/guard.sh'}
    loop: {max_experiments: 100000, stop_after_no_gain: 100000, refine_after: 50000, pivot_after: 90000}
    agent: {name: instant, command: [sh, -c, 'date +%s%N >src/note.txt; echo A neutral change'], protocol: none}
";

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let experiments: u32 = asked.unwrap_or(EXPERIMENTS);
    let toy = Toy::with(|_| CONFIG.to_owned());
    let started = Instant::now();
    let output = toy.run(&[
        "run",
        "-m",
        MARKER,
        "--experiments",
        &experiments.to_string(),
    ]);
    let took = started.elapsed();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "the run came to its end: {output:?}"
    );
    let run = toy.run_folders().remove(0);
    let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
    let mut pairs = 0;
    for record in toy.ledger(&run) {
        if record["record"] == "baseline_measured" {
            println!(
                "noise of the base's readings: {:.1} %",
                100.0 * number(&record["noise"])
            );
        }
        if record["record"] != "experiment_decided" {
            continue;
        }
        let verdict = match &record["verdict"] {
            Value::String(keep) => keep.clone(),
            other => other["discard"].as_str().unwrap_or("void").to_owned(),
        };
        if verdict == "keep" {
            println!(
                "kept by luck: experiment {}, gain {:+.1} % over {} pairs",
                record["n"],
                100.0 * number(&record["gain"]),
                record["pairs"]
            );
        }
        *verdicts.entry(verdict).or_default() += 1;
        pairs += record["pairs"].as_u64().unwrap();
    }
    let kept = verdicts.get("keep").copied().unwrap_or(0);
    assert_eq!(verdicts.values().sum::<u32>(), experiments);
    // Over pairs, not over experiments: most of these stop when luck has gone against them.
    let log_gains: f64 = fs::read_to_string(run.join("events.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "pair_measured")
        .map(|event| (number(&event["champion"]) / number(&event["candidate"])).ln())
        .sum();
    let mean = log_gains / pairs as f64;
    println!(
        "{kept} of {experiments} kept ({:.1} %; `alpha` allows 2 %)\nverdicts: {verdicts:?}\n\
         {pairs} pairs, {:.1} an experiment; mean gain of a pair {:+.2} %; {:.0} s in all",
        100.0 * f64::from(kept) / f64::from(experiments),
        pairs as f64 / f64::from(experiments),
        100.0 * mean,
        took.as_secs_f64()
    );
    let table = fs::read_to_string(run.join("results.tsv")).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + u64::from(experiments));
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}
