//! What a ledger remembers, line by line.

use serde::{Deserialize, Serialize};

use super::golden::GoldenOutput;
use crate::model::{
    CommitId, Direction, DiscardReason, Dropped, ExperimentNumber, FinishReason, Metric, RunId,
    TestsPassed, Tracked, Usage, Verdict,
};

/// The version of the ledger's format that is written.
pub const VERSION: u32 = 1;

/// One line of a ledger. The first of a ledger is [`Record::RunOpened`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    RunOpened {
        /// Version of the format; [`VERSION`].
        v: u32,
        run: RunId,
        /// The marker's name.
        marker: String,
        /// [`Marker::digest`](crate::marker::Marker::digest) of then; tells whether the run may go on.
        marker_digest: String,
        base: CommitId,
        direction: Direction,
        /// Fixes which side of each pair is measured first; 0 in ledgers of before.
        #[serde(default)]
        seed: u32,
    },
    BaselineMeasured {
        value: Metric,
        /// Relative standard deviation of one reading, as a fraction.
        noise: f64,
        /// In the order measured.
        readings: Vec<Metric>,
        guards: Vec<GuardBase>,
        /// What is tracked; empty in ledgers of before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tracks: Vec<Tracked>,
        /// What candidates must print; empty in ledgers of before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        golden: Vec<GoldenOutput>,
    },
    ExperimentStarted {
        n: ExperimentNumber,
        champion: CommitId,
    },
    ExperimentDecided(ExperimentRecord),
    RunClosed {
        reason: FinishReason,
    },
    /// A closed run goes on, with what counts towards giving up starting over.
    RunReopened,
}

/// What a guard gave on the base commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardBase {
    pub name: String,
    /// `None` for a guard that its exit code decides.
    pub value: Option<Metric>,
    /// Never fewer on a candidate; empty where its output tells of none, and in ledgers of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestsPassed>,
}

/// A decided experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentRecord {
    pub n: ExperimentNumber,
    pub verdict: Verdict,
    /// The candidate, whether kept or not; `None` where it never came to one.
    pub commit: Option<CommitId>,
    /// The candidate's median reading.
    pub value: Option<Metric>,
    /// Relative gain over the champion of then, as a fraction; above 0 is better.
    pub gain: Option<f64>,
    /// Pairs measured.
    pub pairs: u32,
    /// Standard deviation of the pairs' logarithmic gains, outliers cut off; `None` for fewer than
    /// three pairs. Tells later comparisons the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// What measuring the pairs took.
    #[serde(default)]
    pub measuring_seconds: f64,
    pub usage: Usage,
    pub seconds: f64,
    /// Actions of the agent that were refused.
    pub denied: u32,
    /// What the first few refusals said, each in one line; empty in ledgers of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<String>,
    /// Changes that were not accepted.
    pub dropped: Vec<Dropped>,
    /// What was tried, in the agent's words; one line.
    pub summary: String,
    /// Why this verdict, for people and later briefs.
    pub detail: String,
    /// What guards remarked, for people and never for an agent; empty in ledgers of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// What is tracked, on the candidate; empty in ledgers of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<Tracked>,
}

impl ExperimentRecord {
    /// Says whether it looked better, and measuring could not tell: worth another try.
    pub fn is_near_miss(&self) -> bool {
        self.verdict == Verdict::Discard(DiscardReason::Inconclusive)
            && self.gain.is_some_and(|gain| gain > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples;

    #[test]
    fn every_record_has_its_golden_line() {
        let golden = [
            r#"{"record":"run_opened","v":1,"run":"20260131-235959-sort-speed-00ff","marker":"sort-speed","marker_digest":"d1","base":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","direction":"lower","seed":7}"#,
            r#"{"record":"baseline_measured","value":100.0,"noise":0.05,"readings":[99.0,100.0,101.0],"guards":[{"name":"tests","value":12.0,"tests":[{"format":"pytest","count":12}]}],"tracks":[{"name":"rss","value":7.5}],"golden":[{"input":{"seed":7},"digest":"00ff"}]}"#,
            r#"{"record":"experiment_started","n":1,"champion":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}"#,
            r#"{"record":"experiment_decided","n":1,"verdict":"keep","commit":"1111111111111111111111111111111111111111","value":92.0,"gain":0.08,"pairs":7,"spread":0.07,"measuring_seconds":4.5,"usage":{"turns":4,"input_tokens":1000,"output_tokens":200,"cost_usd":0.25},"seconds":12.5,"denied":1,"denials":["Write: EACCES: permission denied, open 'tests/guard.sh'"],"dropped":[{"path":"notes.txt","why":"not mutable"}],"summary":"Use the built-in sort","detail":"7 pairs, evidence 4.3 of 3.9","remarks":["guard `lint`: 6 is above 5, within the tolerated 1"],"tracks":[{"name":"rss","value":7.25}]}"#,
            r#"{"record":"experiment_decided","n":2,"verdict":{"discard":"no_gain"},"commit":"2222222222222222222222222222222222222222","value":100.0,"gain":0.0,"pairs":3,"measuring_seconds":1.5,"usage":{"turns":0,"input_tokens":0,"output_tokens":0,"cost_usd":0.5},"seconds":10.0,"denied":0,"dropped":[],"summary":"Idea 2","detail":"no_gain"}"#,
            r#"{"record":"run_closed","reason":"max_experiments"}"#,
            r#"{"record":"run_reopened"}"#,
        ];
        let records = samples::records();
        assert_eq!(golden.len(), records.len());
        for (line, record) in golden.iter().zip(records) {
            assert_eq!(serde_json::to_string(&record).unwrap(), *line);
            assert_eq!(serde_json::from_str::<Record>(line).unwrap(), record);
        }
    }

    #[test]
    fn what_a_ledger_of_before_lacks_is_empty() {
        let line = r#"{"record":"baseline_measured","value":100.0,"noise":0.0,"readings":[100.0],"guards":[{"name":"tests","value":null}]}"#;
        let Record::BaselineMeasured {
            guards,
            tracks,
            golden,
            ..
        } = serde_json::from_str(line).unwrap()
        else {
            panic!("another record");
        };
        assert_eq!(golden, []);
        assert_eq!((&guards[0].tests[..], &tracks[..]), (&[][..], &[][..]));
    }

    #[test]
    fn ledgers_of_before_are_read() {
        let opened = r#"{"record":"run_opened","v":1,"run":"r","marker":"m","marker_digest":"d","base":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","direction":"lower"}"#;
        let opened: Record = serde_json::from_str(opened).unwrap();
        assert!(matches!(opened, Record::RunOpened { seed: 0, .. }));
        let decided = r#"{"record":"experiment_decided","n":2,"verdict":{"discard":"no_gain"},"commit":null,"value":100.0,"gain":0.0,"pairs":3,"usage":{"turns":0,"input_tokens":0,"output_tokens":0,"cost_usd":0.5},"seconds":10.0,"denied":0,"dropped":[],"summary":"Idea 2","detail":"no_gain"}"#;
        let Record::ExperimentDecided(decided) = serde_json::from_str(decided).unwrap() else {
            panic!("another record");
        };
        assert_eq!(decided.spread, None);
    }

    #[test]
    fn only_what_looked_better_and_was_not_decided_is_a_near_miss() {
        let ended = |reason, gain| ExperimentRecord {
            gain: Some(gain),
            ..samples::experiment(1, Verdict::Discard(reason))
        };
        assert!(ended(DiscardReason::Inconclusive, 0.01).is_near_miss());
        assert!(!ended(DiscardReason::Inconclusive, -0.01).is_near_miss());
        assert!(!ended(DiscardReason::Worse, 0.01).is_near_miss());
        assert!(!samples::kept(1).is_near_miss());
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let line = r#"{"record":"run_reopened","by":"hand"}"#;
        assert_eq!(
            serde_json::from_str::<Record>(line).unwrap(),
            Record::RunReopened
        );
    }
}
