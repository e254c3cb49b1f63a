//! node --test: the counts that end its TAP and its `spec` report.

use super::sum;

/// Returns the passed tests of every report in `text`.
pub(super) fn passed(text: &str) -> u64 {
    // The whole block, so that not every line of a program that says `# pass 3` counts.
    sum(
        r"(?m)^[#ℹ] tests \d+\n[#ℹ] suites \d+\n[#ℹ] pass (\d+)\n[#ℹ] fail \d+$",
        text,
    )
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "\
TAP version 13
# hi
# Subtest: a
ok 1 - a
  ---
  duration_ms: 0.815906
  ...
# Subtest: x
    # Subtest: y
    ok 1 - y
      ---
      duration_ms: 0.110276
      ...
    1..1
1..4
# tests 4
# suites 1
# pass 3
# fail 0
# cancelled 0
# skipped 1
# todo 0
# duration_ms 220.267939
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_are_printed() {
        let spec = "\
hi
✔ a (0.869667ms)
﹣ c (0.154913ms) # SKIP
▶ x
  ✔ y (0.107121ms)
✔ x (0.272619ms)
ℹ tests 4
ℹ suites 1
ℹ pass 3
ℹ fail 0
ℹ cancelled 0
";
        for (text, count) in [
            (OUTPUT, 3),
            (spec, 3),
            ("# tests 5\n# suites 1\n# pass 3\n# fail 1\n", 3),
            ("# pass 3\n", 0),
            // The `dot` reporter tells no count.
            (".....\n", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
