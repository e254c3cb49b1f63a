//! How many tests passed, read from what test runners print.
//!
//! A candidate's code runs in the process that prints these words, so that a hostile one can write
//! them itself. What a count shows is tests that are no longer found, run or reached.

mod cargo;
mod go;
mod jest;
mod junit;
mod nextest;
mod node;
mod pytest;
mod unittest;
mod vitest;

use std::borrow::Cow;

use regex::Regex;

use crate::marker::Counting;
use crate::model::{TestFormat, TestsPassed};

/// Returns how many tests passed by each runner that `outputs` (the streams of one command) tell
/// of; a runner that tells of none is left out. In the order of [`TestFormat::ALL`].
pub fn count(counting: Counting, outputs: &[&[u8]]) -> Vec<TestsPassed> {
    let formats: &[TestFormat] = match &counting {
        Counting::Auto => &TestFormat::ALL,
        Counting::Off => &[],
        Counting::Only(format) => std::slice::from_ref(format),
    };
    if formats.is_empty() {
        return Vec::new();
    }
    let texts: Vec<String> = outputs.iter().map(|output| plain(output)).collect();
    let counted = formats.iter().filter_map(|format| {
        let count = texts.iter().map(|text| count_of(*format, text)).sum();
        (count > 0).then_some(TestsPassed {
            format: *format,
            count,
        })
    });
    counted.collect()
}

/// Says why `now` falls below `base`: which tests that passed do not pass any more; a fragment.
///
/// # Errors
///
/// The fragment, where any runner tells of fewer passed tests, or of none.
pub fn keeps_up(base: &[TestsPassed], now: &[TestsPassed]) -> Result<(), String> {
    for TestsPassed { format, count } in base {
        let word = format.word();
        match now.iter().find(|one| one.format == *format) {
            None => {
                return Err(format!(
                    "tells of no passed tests any more; on the base {count} passed ({word})"
                ));
            }
            Some(one) if one.count < *count => {
                return Err(format!(
                    "passed {} tests, fewer than the {count} of the base ({word})",
                    one.count
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns counts in words: `12 tests passed (pytest), 3 (cargo)`; nothing for none.
pub fn words(passed: &[TestsPassed]) -> Option<String> {
    let (first, others) = passed.split_first()?;
    let mut words = format!("{} tests passed ({})", first.count, first.format.word());
    for other in others {
        words.push_str(&format!(", {} ({})", other.count, other.format.word()));
    }
    Some(words)
}

fn count_of(format: TestFormat, text: &str) -> u64 {
    match format {
        TestFormat::Pytest => pytest::passed(text),
        TestFormat::Unittest => unittest::passed(text),
        TestFormat::Cargo => cargo::passed(text),
        TestFormat::Nextest => nextest::passed(text),
        TestFormat::Jest => jest::passed(text),
        TestFormat::Vitest => vitest::passed(text),
        TestFormat::Node => node::passed(text),
        TestFormat::Go => go::passed(text),
        TestFormat::Junit => junit::passed(text),
    }
}

/// Returns the output as text without colours and carriage returns.
fn plain(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text: Cow<'_, str> = if text.contains('\u{1b}') {
        // Control sequences; see ECMA-48, 5.4.
        pattern(r"\x1b\[[0-?]*[ -/]*[@-~]")
            .replace_all(&text, "")
            .into_owned()
            .into()
    } else {
        text
    };
    text.replace('\r', "")
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

/// Returns the sum of the first group of every match.
fn sum(regex: &str, text: &str) -> u64 {
    let regex = pattern(regex);
    let found = regex.captures_iter(text);
    found
        .filter_map(|found| found.get(1)?.as_str().parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(format: TestFormat, count: u64) -> TestsPassed {
        TestsPassed { format, count }
    }

    /// One output of each runner, as it was printed.
    const OUTPUTS: [(TestFormat, u64, &str); 9] = [
        (TestFormat::Pytest, 3, pytest::OUTPUT),
        (TestFormat::Unittest, 2, unittest::OUTPUT),
        (TestFormat::Cargo, 4, cargo::OUTPUT),
        (TestFormat::Nextest, 3, nextest::OUTPUT),
        (TestFormat::Jest, 3, jest::OUTPUT),
        (TestFormat::Vitest, 3, vitest::OUTPUT),
        (TestFormat::Node, 3, node::OUTPUT),
        (TestFormat::Go, 5, go::OUTPUT),
        (TestFormat::Junit, 4, junit::OUTPUT),
    ];

    #[test]
    fn every_runner_is_told_from_all_others() {
        for (format, count, output) in OUTPUTS {
            let found = super::count(Counting::Auto, &[output.as_bytes()]);
            assert_eq!(found, [passed(format, count)], "{}", format.word());
            let found = super::count(Counting::Only(format), &[b"", output.as_bytes()]);
            assert_eq!(found, [passed(format, count)], "{}", format.word());
            let off = super::count(Counting::Off, &[output.as_bytes()]);
            assert_eq!(off, [], "{}", format.word());
        }
    }

    #[test]
    fn a_guard_of_several_runners_is_counted_for_each() {
        let both = [cargo::OUTPUT, pytest::OUTPUT, pytest::OUTPUT].concat();
        let found = count(Counting::Auto, &[both.as_bytes()]);
        let expected = [passed(TestFormat::Pytest, 6), passed(TestFormat::Cargo, 4)];
        assert_eq!(found, expected);
        assert_eq!(
            words(&found).as_deref(),
            Some("6 tests passed (pytest), 4 (cargo)")
        );
        assert_eq!(words(&[]), None);
    }

    #[test]
    fn other_output_tells_of_no_tests() {
        for output in [
            "",
            "42\n",
            "all tests passed\n",
            "12 passed\n",
            "Tests: fine\n",
            "3 files in 0.5s\n",
            "# passing\nok\n",
            "test result: none\n",
            "<testsuite tests=\"3\"/>",
            "METRIC passed=3\n",
        ] {
            assert_eq!(count(Counting::Auto, &[output.as_bytes()]), [], "{output}");
        }
    }

    #[test]
    fn fewer_passed_tests_are_told_with_both_counts() {
        let base = [passed(TestFormat::Pytest, 12), passed(TestFormat::Cargo, 3)];
        assert_eq!(keeps_up(&base, &base), Ok(()));
        let more = [passed(TestFormat::Pytest, 13), passed(TestFormat::Cargo, 3)];
        assert_eq!(keeps_up(&base, &more), Ok(()));
        assert_eq!(keeps_up(&[], &more), Ok(()));
        let fewer = [passed(TestFormat::Pytest, 11), passed(TestFormat::Cargo, 3)];
        assert_eq!(
            keeps_up(&base, &fewer).unwrap_err(),
            "passed 11 tests, fewer than the 12 of the base (pytest)"
        );
        assert_eq!(
            keeps_up(&base, &more[..1]).unwrap_err(),
            "tells of no passed tests any more; on the base 3 passed (cargo)"
        );
    }

    #[test]
    fn no_torn_output_tells_of_more() {
        for (format, whole, output) in OUTPUTS {
            for (end, _) in output.char_indices() {
                let torn = &output[..end];
                let found = count(Counting::Only(format), &[torn.as_bytes()]);
                let is_more = found.iter().any(|passed| passed.count > whole);
                assert!(!is_more, "{found:?} in `{torn}`");
            }
        }
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _counts = count(Counting::Auto, &[&bytes]);
        }
    }
}
