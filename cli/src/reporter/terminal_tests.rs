use autoclave_policies::{Level, RepoPath};
use autoclave_runner::model::{
    CommitId, Cost, DiscardReason, Dropped, ExperimentNumber, FinishReason, Metric, RunId,
    TestFormat, TestsPassed, Tracked, Usage, Verdict, VoidReason,
};

use super::*;

fn commit(digit: char) -> CommitId {
    CommitId::try_from(String::from(digit).repeat(40)).unwrap()
}

fn metric(value: f64) -> Metric {
    Metric::try_from(value).unwrap()
}

fn tracked(value: f64) -> Tracked {
    Tracked {
        name: "rss".into(),
        value: metric(value),
    }
}

/// A whole run: a keep, a rework that ends in a guard failure with an escape attempt, a void.
fn stream() -> Vec<Event> {
    let run = RunId::new("sort-speed", "20260131-235959", 0x1f);
    let one = ExperimentNumber::FIRST;
    let two = one.next();
    let three = two.next();
    let kinds = vec![
        EventKind::RunStarted {
            run: run.clone(),
            marker: "sort-speed".into(),
            base: commit('a'),
            backend: "process".into(),
            level: Level::Sealed,
            measured_in: None,
            resumed: false,
        },
        EventKind::Warning {
            message: "`loop.foo` is not used".into(),
        },
        EventKind::Preparing {
            command: "make deps".into(),
            backend: None,
        },
        EventKind::Prepared {
            seconds: 3.21,
            backend: None,
        },
        EventKind::GuardStarted {
            experiment: None,
            guard: "tests".into(),
        },
        EventKind::GuardFinished {
            experiment: None,
            guard: "tests".into(),
            passed: true,
            value: Some(metric(12.0)),
            detail: "5.5 is above 5, within the tolerated 1".into(),
            tests: vec![TestsPassed {
                format: TestFormat::Pytest,
                count: 12,
            }],
        },
        EventKind::BaselineReading {
            value: metric(121.0),
            seconds: 1.0,
        },
        EventKind::BaselineMeasured {
            value: metric(120.5),
            noise: 0.012,
            readings: 5,
            tracks: vec![tracked(7.5)],
        },
        EventKind::ExperimentStarted {
            experiment: one,
            of: 10,
            champion: commit('a'),
            champion_value: metric(120.5),
        },
        EventKind::AgentStarted {
            experiment: one,
            session: Some("s-1".into()),
            model: Some("sonnet".into()),
        },
        EventKind::AgentText {
            experiment: one,
            text: "I will use\na heap.\u{1b}[2J".into(),
        },
        EventKind::AgentTool {
            experiment: one,
            tool: "Edit".into(),
            summary: "src/sort.py".into(),
        },
        EventKind::AgentRetry {
            experiment: one,
            attempt: 1,
            error_status: Some(529),
            delay_ms: 500,
        },
        EventKind::AgentFinished {
            experiment: one,
            usage: Usage {
                turns: 12,
                input_tokens: 40_000,
                output_tokens: 900,
                cost_usd: Cost::from_microdollars(123_000),
            },
            seconds: 65.0,
            outcome: "finished".into(),
        },
        EventKind::CandidateBuilt {
            experiment: one,
            commit: commit('b'),
            paths: 1,
            dropped: vec![Dropped {
                path: RepoPath::try_from("notes.txt").unwrap(),
                why: "not mutable".into(),
            }],
        },
        EventKind::PairMeasured {
            clocks: None,
            experiment: one,
            pair: 1,
            champion: metric(120.0),
            candidate: metric(110.0),
            gain: 0.0833,
            evidence: 1.6,
            threshold: 3.9,
            against: -0.4,
            against_threshold: 1.6,
            candidate_first: true,
            seconds: 3.1,
        },
        EventKind::Decided {
            experiment: one,
            verdict: Verdict::Keep,
            commit: Some(commit('b')),
            value: Some(metric(110.0)),
            gain: Some(0.083),
            pairs: 4,
            measuring_seconds: 12.4,
            cost_usd: Cost::from_microdollars(123_000),
            seconds: 82.0,
            summary: "Sort with a heap".into(),
            detail: "better than the champion beyond doubt".into(),
            remarks: vec!["guard `lint`: 6 is above 5, within the tolerated 1".into()],
            tracks: vec![tracked(7.25)],
            executions: None,
        },
        EventKind::ExperimentStarted {
            experiment: two,
            of: 10,
            champion: commit('b'),
            champion_value: metric(110.0),
        },
        EventKind::AgentStarted {
            experiment: two,
            session: None,
            model: None,
        },
        EventKind::AgentDenied {
            experiment: two,
            tool: "Bash".into(),
            message: "tests/test.py: Permission denied".into(),
            why: None,
        },
        EventKind::AgentDenied {
            experiment: two,
            tool: "Edit".into(),
            message: "EACCES: permission denied, open '/workspace/tests/test.py'".into(),
            why: Some(
                "write tests/test.py: refused by ownership: `tests/**` of `target.immutable` \
                 covers it (.autoclave/config.yaml:5:18)"
                    .into(),
            ),
        },
        EventKind::GuardFinished {
            experiment: Some(two),
            guard: "tests".into(),
            passed: false,
            value: None,
            detail: "exit code 1".into(),
            tests: Vec::new(),
        },
        EventKind::Rework {
            experiment: two,
            guard: "tests".into(),
            attempt: 1,
            of: 2,
        },
        EventKind::Decided {
            experiment: two,
            verdict: Verdict::Discard(DiscardReason::GuardFailed),
            commit: Some(commit('c')),
            value: None,
            gain: None,
            pairs: 0,
            measuring_seconds: 0.0,
            cost_usd: Cost::ZERO,
            seconds: 7.5,
            summary: "Skip the checks".into(),
            detail: String::new(),
            remarks: Vec::new(),
            tracks: Vec::new(),
            executions: None,
        },
        EventKind::Waiting {
            reason: "usage limit".into(),
            until_ms: 1_769_904_000_000,
        },
        EventKind::Decided {
            experiment: three,
            verdict: Verdict::Void(VoidReason::UsageLimit),
            commit: None,
            value: None,
            gain: None,
            pairs: 0,
            measuring_seconds: 0.0,
            cost_usd: Cost::ZERO,
            seconds: 3_725.0,
            summary: String::new(),
            detail: "limit reached".into(),
            remarks: Vec::new(),
            tracks: Vec::new(),
            executions: None,
        },
        EventKind::RunFinished {
            run,
            reason: FinishReason::MaxExperiments,
            kept: 1,
            experiments: 2,
            champion: commit('b'),
            champion_value: metric(110.0),
        },
    ];
    (1..)
        .zip(kinds)
        .map(|(seq, kind)| Event {
            v: 1,
            seq,
            at_ms: 0,
            kind,
        })
        .collect()
}

#[test]
fn a_whole_run_reads_as_a_story() {
    let (mut progress, mut result) = (Vec::new(), Vec::new());
    let mut terminal = Terminal::plain(&mut progress, &mut result);
    for event in stream() {
        terminal.event(&event);
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    insta::assert_snapshot!("progress", text(progress));
    insta::assert_snapshot!("result", text(result));
}

#[test]
fn plain_lines_hold_no_escape_even_where_the_agent_wrote_one() {
    let mut view = View::new(Style::Plain);
    for event in stream() {
        for line in view.lines(&event) {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn colour_only_adds_to_the_plain_words() {
    let mut plain = View::new(Style::Plain);
    let mut coloured = View::new(Style::Coloured);
    let mut painted = 0;
    for event in stream() {
        let words = plain.lines(&event);
        let lines = coloured.lines(&event);
        painted += usize::from(words != lines);
        let stripped: Vec<String> = lines.iter().map(|line| strip(line)).collect();
        assert_eq!(stripped, words);
    }
    assert!(painted > 5, "only {painted} events were coloured");
}

fn strip(line: &str) -> String {
    [
        "\u{1b}[0m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[31m",
        "\u{1b}[32m",
        "\u{1b}[33m",
    ]
    .iter()
    .fold(line.to_owned(), |line, code| line.replace(code, ""))
}

#[test]
fn a_closed_reader_never_stops_the_run() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut result = Vec::new();
    let mut terminal = Terminal::plain(Closed, &mut result);
    for event in stream() {
        terminal.event(&event);
    }
    assert!(
        String::from_utf8(result)
            .unwrap()
            .contains("Sort with a heap")
    );
}
