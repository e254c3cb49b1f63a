//! jest: the line `Tests:` of its summary.

use super::sum;

/// Returns the passed tests of every summary in `text`.
pub(super) fn passed(text: &str) -> u64 {
    sum(
        r"(?m)^Tests:\s+(?:\d+ [a-z]+, )*(\d+) passed, \d+ total$",
        text,
    )
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "\
PASS j/a.test.js
  ✓ a (3 ms)
  ✓ b
  ○ skipped c
  ✎ todo d
  x
    ✓ y

Test Suites: 1 passed, 1 total
Tests:       1 skipped, 1 todo, 3 passed, 5 total
Snapshots:   0 total
Time:        0.797 s, estimated 1 s
Ran all test suites matching a.test.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_they_are_printed() {
        for (text, count) in [
            (OUTPUT, 3),
            (
                "Tests:       1 failed, 1 skipped, 1 todo, 3 passed, 6 total\n",
                3,
            ),
            ("Tests:       14 passed, 14 total\n", 14),
            ("Tests:       1 failed, 1 total\n", 0),
            ("Test Suites: 1 failed, 1 passed, 2 total\n", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
