//! Values at and beyond their limits: each is read as it is meant, or refused with what to write.

use std::time::Duration;

use proptest::prelude::*;

use super::{SAMPLE, ours, policy_file};
use crate::marker::policy_file::parse;
use crate::marker::{Dialect, Marker, parse_config};

/// Returns the sample with `key`'s value replaced; keys are those of one line, or of one mapping.
fn sample_with(key: &str, value: &str) -> String {
    let at = SAMPLE
        .match_indices(&format!("{key}: "))
        .map(|(at, _)| at)
        .find(|at| {
            let before = SAMPLE[..*at].chars().next_back();
            before.is_none_or(|c| c == ' ' || c == '{')
        })
        .unwrap_or_else(|| panic!("the sample has no `{key}`"));
    let start = at + key.len() + 2;
    let rest = &SAMPLE[start..];
    let line = &rest[..rest.find('\n').unwrap()];
    let end = line.find([',', '}']).unwrap_or(line.len());
    format!("{}{value}{}", &SAMPLE[..start], &SAMPLE[start + end..])
}

fn read(key: &str, value: &str) -> Marker {
    let text = sample_with(key, value);
    match ours(&text) {
        Ok(file) => file.markers.into_iter().next().unwrap(),
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn values_at_their_limits_are_read() {
    let seconds = Duration::from_secs;
    assert_eq!(
        read("budget_per_experiment", "1h30m")
            .limits
            .budget_per_experiment,
        seconds(5400)
    );
    assert_eq!(
        read("budget_per_experiment", "720h")
            .limits
            .budget_per_experiment,
        seconds(2_592_000)
    );
    assert_eq!(
        read("cpus", "0.5").sandbox.limits.cpus.to_bits(),
        0.5_f64.to_bits()
    );
    assert_eq!(read("memory", "1M").sandbox.limits.memory_bytes, 1 << 20);
    assert_eq!(read("memory", "1024T").sandbox.limits.memory_bytes, 1 << 50);
    assert_eq!(read("pids", "1").sandbox.limits.pids, 1);
    assert_eq!(
        read("max_pairs", "10_000".replace('_', "").as_str())
            .metric
            .max_pairs,
        10_000
    );
    assert_eq!(read("rework_attempts", "0").guards[0].rework_attempts, 0);
    for (written, fraction) in [
        ("3%", 0.03),
        ("0.03", 0.03),
        ("0.5%", 0.005),
        ("100%", 1.0),
        ("1", 1.0),
    ] {
        let read = read("design_effect", written).metric.design_effect;
        assert!((read - fraction).abs() < 1e-12, "{written}");
    }
    for (written, number) in [
        ("-0.7", -0.7),
        ("1.2e-05", 1.2e-05),
        ("3.5E+2", 350.0),
        ("0", 0.0),
    ] {
        let target = read("baseline", written).metric.baseline.unwrap();
        assert_eq!(target.get().to_bits(), f64::to_bits(number), "{written}");
    }
}

#[test]
fn values_beyond_their_limits_are_refused_with_what_to_write() {
    let mut told = String::new();
    for (key, values) in [
        (
            "budget_per_experiment",
            &[
                "0m", "-5m", "25", "1.5h", "30m1h", "999999h", "25 m", "[25m]", "~x",
            ][..],
        ),
        (
            "memory",
            &[
                "0G",
                "-8G",
                "8",
                "8GB",
                "1.5G",
                "99999999999999999999G",
                "100000T",
                "512K",
            ],
        ),
        ("cpus", &["0", "-1", ".nan", ".inf", "5000", "\"2\"", "two"]),
        (
            "pids",
            &["0", "-1", "1.5", "99999999999", "99999999999999999999"],
        ),
        ("disk", &["0M", "10g"]),
        ("alpha", &["0", "1", "0.5", "-0.02", ".nan", "2%"]),
        ("max_pairs", &["0", "10001", "-1"]),
        ("min_effect", &["-1%", "101%", "3", "-0.1", "%", "x%"]),
        ("design_effect", &["0%", "0", "0.0000%"]),
        ("max_experiments", &["0", "1000001", "1e3"]),
        ("max_cost_usd", &["0", "-1", ".inf", "0.0000000001", "$20"]),
        ("max_turns", &["0", "-1"]),
        ("rework_attempts", &["101", "-1"]),
        ("baseline", &[".inf", "1,234", "\"120\"", "true"]),
        ("backend", &["docker", "Auto"]),
        ("status", &["on", "Active", "true"]),
        ("permission_mode", &["\"--yolo -x\""]),
    ] {
        for value in values {
            let Err(problems) = ours(&sample_with(key, value)) else {
                panic!("{key}: {value} is read")
            };
            let found: Vec<String> = problems
                .problems
                .iter()
                .map(|problem| {
                    let hint = problem.hint.as_deref().unwrap_or("NO HINT");
                    format!("{} ({hint})", problem.message)
                })
                .collect();
            told.push_str(&format!("{key}: {value} -> {}\n", found.join("; ")));
        }
    }
    assert!(!told.contains("NO HINT"), "{told}");
    insta::assert_snapshot!(told);
}

/// Changes of a text, as a slip of the hand or a bad merge makes them.
#[derive(Debug, Clone)]
enum Slip {
    Insert(usize, String),
    Delete(usize, usize),
    Move(usize, usize),
    Indent(usize, bool),
}

fn slips() -> impl Strategy<Value = Vec<Slip>> {
    let slip = prop_oneof![
        (
            any::<usize>(),
            "[-:,\\[\\]{}\"'#&*!|>%@`~? \t\n\\\\a0.é\u{0}\u{7}]{1,3}"
        )
            .prop_map(|(at, text)| Slip::Insert(at, text)),
        (any::<usize>(), 1_usize..40).prop_map(|(at, count)| Slip::Delete(at, count)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Slip::Move(from, to)),
        (any::<usize>(), any::<bool>()).prop_map(|(line, more)| Slip::Indent(line, more)),
    ];
    proptest::collection::vec(slip, 1..5)
}

fn slipped(text: &str, slips: &[Slip]) -> String {
    let mut text = text.to_owned();
    for slip in slips {
        let mut chars: Vec<char> = text.chars().collect();
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let position = |at: usize| at % (chars.len() + 1);
        text = match *slip {
            Slip::Insert(at, ref inserted) => {
                let at = position(at);
                chars.splice(at..at, inserted.chars());
                chars.into_iter().collect()
            }
            Slip::Delete(at, count) => {
                let at = position(at);
                let end = (at + count).min(chars.len());
                chars.drain(at..end);
                chars.into_iter().collect()
            }
            Slip::Move(from, to) => {
                let line = lines.remove(from % lines.len());
                lines.insert(to % (lines.len() + 1), line);
                lines.join("\n")
            }
            Slip::Indent(line, is_more) => {
                let count = lines.len();
                let line = &mut lines[line % count];
                *line = if is_more {
                    format!("  {line}")
                } else {
                    line.trim_start().to_owned()
                };
                lines.join("\n")
            }
        };
    }
    text
}

proptest! {
    #[test]
    fn no_slip_makes_it_panic_and_what_is_read_is_within_its_limits(slips in slips()) {
        let text = slipped(SAMPLE, &slips);
        for dialect in [Dialect::Autoclave, Dialect::Autoresearch] {
            match parse_config(&text, "config.yaml", dialect, &policy_file) {
                Ok(file) => for marker in file.markers {
                    prop_assert!(!marker.target.mutable.is_empty());
                    prop_assert!(marker.metric.alpha > 0.0 && marker.metric.alpha < 0.5);
                    prop_assert!(marker.metric.max_pairs > 0);
                    prop_assert!(marker.metric.design_effect > 0.0);
                    prop_assert!((0.0..=1.0).contains(&marker.metric.min_effect));
                    prop_assert!(!marker.limits.budget_per_experiment.is_zero());
                    prop_assert!(marker.limits.max_experiments > 0);
                    prop_assert!(marker.sandbox.limits.cpus > 0.0);
                    prop_assert!(marker.sandbox.limits.memory_bytes >= 1 << 20);
                    prop_assert!(!marker.agent.command.is_empty());
                },
                Err(problems) => {
                    prop_assert!(problems.iter().next().is_some());
                    for (_, problem) in problems.iter() {
                        prop_assert!(problem.line > 0 && problem.column > 0);
                    }
                    prop_assert!(!problems.to_string().contains(|c: char| c.is_control() && c != '\n'));
                }
            }
        }
    }

    #[test]
    fn no_slip_in_a_policy_makes_it_panic_or_show_a_home_whole(slips in slips()) {
        let (name, text) = autoclave_policies::PRESETS[2];
        if let Ok(policy) = parse(name, &slipped(text, &slips)) {
            for path in &policy.read {
                prop_assert!(!["/", "~", "~/", "/etc", "/home", "/root"].map(std::path::Path::new)
                    .contains(&path.as_path()), "{}", path.display());
            }
        }
    }
}
