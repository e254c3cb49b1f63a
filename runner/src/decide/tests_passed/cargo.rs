//! cargo test: a line for each test binary and for the documentation's tests.

use super::sum;

/// Returns the passed tests of all binaries in `text`.
pub(super) fn passed(text: &str) -> u64 {
    sum(
        r"(?m)^test result: (?:ok|FAILED)\. (\d+) passed; \d+ failed; \d+ ignored;",
        text,
    )
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "
running 3 tests
test one ... ok
test two ... ignored
test three - should panic ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.20s


running 1 test
test it ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests toy

running 1 test
test src/lib.rs - a (line 1) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.28s

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binaries_are_added_up() {
        let failed = "test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let indented = format!("  {failed}");
        for (text, count) in [(OUTPUT, 4), (failed, 7), (&indented, 0)] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
