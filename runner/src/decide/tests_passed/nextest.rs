//! cargo nextest: its summary.

use super::sum;

/// Returns the passed tests of every summary in `text`; flaky ones that passed are among them.
pub(super) fn passed(text: &str) -> u64 {
    sum(
        r"(?m)^\s*Summary \[ *[0-9.]+s\] (?:\d+/)?\d+ tests? run: (\d+) passed\b",
        text,
    )
}

#[cfg(test)]
pub(super) const OUTPUT: &str =
    "    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.02s
────────────
 Nextest run ID a2817f46-a926-48d5-9923-75b1e7b99d10 with nextest profile: default
    Starting 3 tests across 2 binaries (1 test skipped)
        PASS [   0.048s] (1/3) toy one
        PASS [   0.025s] (2/3) toy::it it
        PASS [   0.232s] (3/3) toy three
────────────
     Summary [   0.233s] 3 tests run: 3 passed, 1 skipped
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_they_are_printed() {
        for (text, count) in [
            (OUTPUT, 3),
            (
                "     Summary [   0.079s] 1 test run: 1 passed, 3 skipped\n",
                1,
            ),
            (
                "     Summary [  12.000s] 5/9 tests run: 4 passed, 1 failed, 2 skipped\n",
                4,
            ),
            (
                "     Summary [   0.233s] 3 tests run: 3 passed (1 slow, 1 flaky), 1 skipped\n",
                3,
            ),
            (
                "     Summary [   0.010s] 2 tests run: 0 passed, 2 failed\n",
                0,
            ),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
