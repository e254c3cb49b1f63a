//! go test: a line for each test with `-v`, an object for each with `-json`; without, no count.

use super::pattern;

/// Returns the passed tests and subtests in `text`.
pub(super) fn passed(text: &str) -> u64 {
    let verbose = pattern(r"^\s*--- PASS: \S+ \(\d+\.\d+s\)$");
    let is_passed = |line: &&str| is_event(line) || verbose.is_match(line);
    text.lines().filter(is_passed).count() as u64
}

/// Says whether a line is the event of `-json` that one test passed; see `go doc test2json`.
fn is_event(line: &str) -> bool {
    if !line.starts_with("{\"") {
        return false;
    }
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    event["Action"] == "pass" && event["Test"].is_string() && event["Package"].is_string()
}

#[cfg(test)]
pub(super) const OUTPUT: &str = "\
=== RUN   TestA
=== RUN   TestA/sub
=== RUN   TestA/two
--- PASS: TestA (0.00s)
    --- PASS: TestA/sub (0.00s)
    --- PASS: TestA/two (0.00s)
=== RUN   TestB
    a_test.go:4: hi
--- PASS: TestB (0.00s)
=== RUN   TestS
    a_test.go:5: s
--- SKIP: TestS (0.00s)
PASS
ok  \tex\t0.004s
=== RUN   TestF
    b_test.go:3: x
--- FAIL: TestF (0.00s)
=== RUN   TestG
--- PASS: TestG (0.00s)
FAIL
FAIL\tex/b\t0.007s
FAIL
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_passed_tests_are_counted_and_those_of_packages_are_not() {
        let json = r#"{"Time":"2026-11-21T19:05:07.9809143Z","Action":"start","Package":"ex"}
{"Time":"2026-11-21T19:05:07.985502382Z","Action":"run","Package":"ex/b","Test":"TestF"}
{"Time":"2026-11-21T19:05:07.985872078Z","Action":"output","Package":"ex/b","Test":"TestF","Output":"--- FAIL: TestF (0.00s)\n","OutputType":"frame"}
{"Time":"2026-11-21T19:05:07.985876254Z","Action":"fail","Package":"ex/b","Test":"TestF","Elapsed":0}
{"Time":"2026-11-21T19:05:07.985888973Z","Action":"output","Package":"ex/b","Test":"TestG","Output":"--- PASS: TestG (0.00s)\n","OutputType":"frame"}
{"Time":"2026-11-21T19:05:07.985891627Z","Action":"pass","Package":"ex/b","Test":"TestG","Elapsed":0}
{"Time":"2026-11-21T19:05:07.987377409Z","Action":"pass","Package":"ex","Test":"TestA/sub","Elapsed":0}
{"Time":"2026-11-21T19:05:07.987422327Z","Action":"skip","Package":"ex","Test":"TestS","Elapsed":0}
{"Time":"2026-11-21T19:05:07.989991586Z","Action":"pass","Package":"ex","Elapsed":0.009}
"#;
        for (text, count) in [
            (OUTPUT, 5),
            (json, 2),
            ("ok  \tex\t0.004s\nok  \tex/b\t0.003s\n", 0),
            ("{\"Action\":\"pass\"", 0),
        ] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
