//! pytest: the line that ends its output.

use super::{pattern, sum};

/// Returns the passed tests of every summary in `text`.
pub(super) fn passed(text: &str) -> u64 {
    // `=== 3 passed, 1 skipped in 0.05s ===`, or without the frame (`-q`).
    let summary = pattern(
        r"(?m)^=*\s*((?:\d+ [a-z]+(?: [a-z]+)?, )*\d+ [a-z]+(?: [a-z]+)?) in \d+\.\d+s(?: \([0-9:]+\))?\s*=*$",
    );
    let lines = summary.captures_iter(text);
    lines
        .map(|line| sum(r"(?:^|, )(\d+) passed(?:,|$)", &line[1]))
        .sum()
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "\
============================= test session starts ==============================
platform linux -- Python 3.11.7, pytest-9.2.0, pluggy-1.7.0
rootdir: /workspace
plugins: xdist-3.8.0
collected 6 items

test_a.py ...sxX                                                         [100%]

============== 3 passed, 1 skipped, 1 xfailed, 1 xpassed in 0.05s ==============
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_they_are_printed() {
        for (text, count) in [
            (OUTPUT, 3),
            (
                "...sxX [100%]\n3 passed, 1 skipped, 1 xfailed, 1 xpassed in 0.07s\n",
                3,
            ),
            (
                "1 failed, 3 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error in 0.11s\n",
                3,
            ),
            ("bringing up nodes...\n3 passed, 1 skipped in 2.96s\n", 3),
            ("=== 12 passed, 2 warnings in 75.10s (0:01:15) ===\n", 12),
            ("2 passed, 4 subtests passed in 0.10s\n", 2),
            ("1 passed in 0.01s\n2 passed in 0.01s\n", 3),
            ("8 deselected in 0.02s\n", 0),
            ("no tests ran in 0.01s\n", 0),
            // With -qq there is no count.
            ("...sxX                   [100%]\n", 0),
            ("I say 3 passed in 0.05s\n", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }

    #[test]
    fn colours_are_no_hindrance() {
        let text = b"\x1b[33m\x1b[32m3 passed\x1b[0m, \x1b[33m\x1b[1m1 skipped\x1b[0m\x1b[33m in 0.03s\x1b[0m\x1b[0m\r\n";
        assert_eq!(passed(&super::super::plain(text)), 3);
    }
}
