//! Values that the tests of this folder and of the ledger start from.

use autoclave_policies::RepoPath;

use crate::decide::golden::{GoldenInput, GoldenOutput};
use crate::decide::progress::Budget;
use crate::decide::record::{ExperimentRecord, GuardBase, Record};
use crate::marker::{Dialect, MetricSpec, parse_config};
use crate::model::{
    CommitId, Cost, Direction, DiscardReason, Dropped, FinishReason, Metric, RunId, TestFormat,
    TestsPassed, Tracked, Usage, Verdict,
};

pub(crate) const BUDGET: Budget = Budget {
    max_experiments: 100,
    max_cost: None,
    target: None,
    direction: Direction::Lower,
    stop_after_no_gain: 15,
    refine_after: 3,
    pivot_after: 5,
    pivots_before_outside: 2,
    pivots_before_stop: 3,
};

pub(crate) fn metric(value: f64) -> Metric {
    Metric::try_from(value).unwrap()
}

fn tracked(value: f64) -> Tracked {
    Tracked {
        name: "rss".into(),
        value: metric(value),
    }
}

/// The commit whose id repeats one hex digit.
pub(crate) fn commit(digit: char) -> CommitId {
    CommitId::try_from(digit.to_string().repeat(40)).unwrap()
}

/// A metric with every default.
pub(crate) fn metric_spec() -> MetricSpec {
    let text = "markers:
  - name: a
    target: {mutable: [a]}
    metric: {command: c, extract: e, direction: lower}
";
    let config = parse_config(text, "config.yaml", Dialect::Autoclave, &|_| {
        Ok(String::new())
    });
    config.unwrap().markers.remove(0).metric
}

pub(crate) fn opened() -> Record {
    Record::RunOpened {
        v: 1,
        run: RunId::new("sort-speed", "20260131-235959", 0xff),
        marker: "sort-speed".into(),
        marker_digest: "d1".into(),
        base: commit('b'),
        direction: Direction::Lower,
        seed: 7,
    }
}

pub(crate) fn baseline() -> Record {
    Record::BaselineMeasured {
        value: metric(100.0),
        noise: 0.05,
        readings: vec![metric(99.0), metric(100.0), metric(101.0)],
        guards: vec![GuardBase {
            name: "tests".into(),
            value: Some(metric(12.0)),
            tests: vec![TestsPassed {
                format: TestFormat::Pytest,
                count: 12,
            }],
        }],
        tracks: vec![tracked(7.5)],
        golden: vec![GoldenOutput {
            input: GoldenInput::Seed(7),
            digest: "00ff".into(),
        }],
    }
}

/// An experiment that cost 50 cents.
pub(crate) fn experiment(n: u32, verdict: Verdict) -> ExperimentRecord {
    let digit = char::from_digit(n % 16, 16).unwrap();
    ExperimentRecord {
        n: n.into(),
        verdict,
        commit: verdict.counts().then(|| commit(digit)),
        value: verdict.counts().then(|| metric(100.0)),
        gain: verdict.counts().then_some(0.0),
        pairs: 3,
        spread: None,
        measuring_seconds: 1.5,
        usage: Usage {
            cost_usd: Cost::from(0.5),
            ..Usage::default()
        },
        seconds: 10.0,
        denied: 0,
        denials: Vec::new(),
        dropped: Vec::new(),
        summary: format!("Idea {n}"),
        detail: verdict.reason().unwrap_or("better").into(),
        remarks: Vec::new(),
        tracks: Vec::new(),
    }
}

pub(crate) fn kept(n: u32) -> ExperimentRecord {
    ExperimentRecord {
        value: Some(metric(92.0)),
        gain: Some(0.08),
        pairs: 7,
        spread: Some(0.07),
        measuring_seconds: 4.5,
        usage: Usage {
            turns: 4,
            input_tokens: 1000,
            output_tokens: 200,
            cost_usd: Cost::from(0.25),
        },
        seconds: 12.5,
        denied: 1,
        denials: vec!["Write: EACCES: permission denied, open 'tests/guard.sh'".into()],
        dropped: vec![Dropped {
            path: RepoPath::try_from("notes.txt").unwrap(),
            why: "not mutable".into(),
        }],
        summary: "Use the built-in sort".into(),
        detail: "7 pairs, evidence 4.3 of 3.9".into(),
        remarks: vec!["guard `lint`: 6 is above 5, within the tolerated 1".into()],
        tracks: vec![tracked(7.25)],
        ..experiment(n, Verdict::Keep)
    }
}

pub(crate) fn started(n: u32, champion: char) -> Record {
    Record::ExperimentStarted {
        n: n.into(),
        champion: commit(champion),
    }
}

/// One record of every kind, and both shapes of a verdict.
pub(crate) fn records() -> Vec<Record> {
    vec![
        opened(),
        baseline(),
        started(1, 'b'),
        Record::ExperimentDecided(kept(1)),
        Record::ExperimentDecided(experiment(2, Verdict::Discard(DiscardReason::NoGain))),
        Record::RunClosed {
            reason: FinishReason::MaxExperiments,
        },
        Record::RunReopened,
    ]
}
