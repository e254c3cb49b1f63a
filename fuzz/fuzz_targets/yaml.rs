//! YAML, and the configuration and policy files that are made of it.
//!
//! The input is a configuration file, then a line `%%` and a policy file that it may name.
#![no_main]

use autoclave_policies::{Problem, Problems, Source, yaml};
use autoclave_runner::marker::{Dialect, parse_config, policy_named};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (config, policy) = text.split_once("\n%%\n").unwrap_or((&text, ""));

    if let Err(problem) = yaml::parse(config) {
        check_place(&problem, config);
    }
    let read_policy = |_: &str| Ok(policy.to_owned());
    for dialect in [Dialect::Autoclave, Dialect::Autoresearch] {
        match parse_config(config, "config.yaml", dialect, &read_policy) {
            Ok(file) => {
                assert!(!file.markers.is_empty());
                for (index, marker) in file.markers.iter().enumerate() {
                    let mut after = file.markers[index + 1..].iter();
                    assert!(
                        after.all(|other| other.name != marker.name),
                        "two of a name"
                    );
                    assert_eq!(marker.digest(), marker.clone().digest());
                }
                for warning in &file.warnings {
                    check_place(warning, config);
                }
                for place in &file.mutable_globs {
                    check_line(place.line, place.column, config);
                }
                let source = Source {
                    origin: "config.yaml".to_owned(),
                    text: config.to_owned(),
                };
                assert_eq!(file.source, source);
            }
            Err(problems) => check_problems(&problems),
        }
    }
    if let Err(problems) = policy_named(".autoclave/policy.yaml", &read_policy) {
        check_problems(&problems);
    }
});

fn check_problems(problems: &Problems) {
    assert!(problems.iter().count() > 0, "refused without a reason");
    for (source, problem) in problems.iter() {
        check_place(problem, &source.text);
    }
    let shown = problems.to_string();
    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(shown.chars().all(is_plain), "{shown:?} steers terminals");
}

fn check_place(problem: &Problem, text: &str) {
    assert!(!problem.message.is_empty());
    check_line(problem.line, problem.column, text);
}

/// Requires that a place is in the text, or right behind its end or that of a line.
fn check_line(line: usize, column: usize, text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(
        (1..=lines.len()).contains(&line),
        "line {line} of {}",
        lines.len()
    );
    let end = lines[line - 1].chars().count() + 1;
    assert!((1..=end).contains(&column), "column {column} of {end}");
}
