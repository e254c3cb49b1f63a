//! vitest: the line `Tests` of its summary.

use super::sum;

/// Returns the passed tests of every summary in `text`.
pub(super) fn passed(text: &str) -> u64 {
    sum(
        r"(?m)^\s*Tests\s+(?:\d+ [a-z ]+ \| )*(\d+) passed(?: \| \d+ [a-z ]+)* \(\d+\)$",
        text,
    )
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "
 RUN  v4.1.12 /workspace

 ✓ v/a.test.js (4 tests | 1 skipped) 2ms

 Test Files  1 passed (1)
      Tests  3 passed | 1 skipped (4)
   Start at  19:05:15
   Duration  389ms (transform 33ms, setup 0ms, import 43ms, tests 2ms, environment 0ms)

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_they_are_printed() {
        for (text, count) in [
            (OUTPUT, 3),
            ("      Tests  1 failed | 3 passed | 1 skipped (5)\n", 3),
            ("      Tests  2 passed (2)\n", 2),
            ("      Tests  2 passed | 1 expected fail | 1 todo (4)\n", 2),
            ("      Tests  1 failed (1)\n", 0),
            (" Test Files  9 passed (9)\n", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }

    #[test]
    fn colours_are_no_hindrance() {
        let text = b"\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m3 passed\x1b[39m\x1b[22m\x1b[2m | \x1b[22m\x1b[33m1 skipped\x1b[39m\x1b[90m (4)\x1b[39m\n";
        assert_eq!(passed(&super::super::plain(text)), 3);
    }
}
