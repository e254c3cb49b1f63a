//! Python's unittest: what ran, less what did not pass.

use super::{pattern, sum};

/// Returns the passed tests of every summary in `text`.
pub(super) fn passed(text: &str) -> u64 {
    let summary = pattern(
        r"(?m)^Ran (\d+) tests? in \d+\.\d+s\n\n(?:OK|FAILED|NO TESTS RAN)(?: \(([^)]*)\))?\n",
    );
    let of = |found: regex::Captures<'_>| {
        let ran: u64 = found[1].parse().ok()?;
        let others = found.get(2).map_or("", |others| others.as_str());
        let kinds = r"\b(?:failures|errors|skipped|expected failures)=(\d+)";
        Some(ran.saturating_sub(sum(kinds, others)))
    };
    summary.captures_iter(text).filter_map(of).sum()
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "\
.s.
----------------------------------------------------------------------
Ran 3 tests in 0.000s

OK (skipped=1)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_they_are_printed() {
        for (text, count) in [
            (OUTPUT, 2),
            ("Ran 1 test in 0.002s\n\nOK\n", 1),
            (
                "Ran 9 tests in 0.002s\n\nFAILED (failures=2, errors=1, expected failures=1)\n",
                5,
            ),
            ("Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", 0),
            ("Ran 3 tests in 0.002s\n", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
