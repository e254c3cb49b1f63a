//! JUnit XML, which most runners can write: `<testcase>` elements without a failure.

use super::pattern;

/// Returns the passed test cases of every report in `text`.
pub(super) fn passed(text: &str) -> u64 {
    if !text.contains("<testcase") {
        return 0;
    }
    // What tests printed is quoted as text, and no element.
    let quoted = pattern(r"(?s)<!\[CDATA\[.*?\]\]>|<!--.*?-->");
    let text = quoted.replace_all(text, "");
    let case = pattern(r#"(?s)<testcase(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>"#);
    let ill = pattern(r"<(?:failure|error|skipped)\b");
    let is_passed = |found: &regex::Captures<'_>| {
        let is_empty = &found[1] == "/";
        let rest = &text[found.get(0).map_or(0, |whole| whole.end())..];
        is_empty
            || rest
                .split_once("</testcase>")
                .is_some_and(|(content, _)| !ill.is_match(content))
    };
    case.captures_iter(&text).filter(is_passed).count() as u64
}

#[cfg(test)]
pub(super) const OUTPUT: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="2" tests="6" time="0.475" timestamp="2026-11-21T19:04:00.998484+00:00" hostname="vm"><testcase classname="test_a" name="test_a[1]" time="0.005" /><testcase classname="test_a" name="test_a[2]" time="0.000" /><testcase classname="test_a" name="test_a[3]" time="0.000" /><testcase classname="test_a" name="test_s" time="0.000"><skipped type="pytest.skip" message="no">/workspace/test_a.py:4: no</skipped></testcase><testcase classname="test_a" name="test_x" time="0.028"><skipped type="pytest.xfail" message="" /></testcase><testcase classname="test_a" name="test_xp" time="0.000" /></testsuite></testsuites>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_several_runners_are_read() {
        let vitest = r#"<testsuites name="vitest tests" tests="4" failures="0" errors="0" time="0.002173796">
    <testsuite name="v/a.test.js" tests="4" failures="0" errors="0" skipped="1" time="0.002173796">
        <testcase classname="v/a.test.js" name="a" time="0.000954194">
        </testcase>
        <testcase classname="v/a.test.js" name="c" time="0">
            <skipped/>
        </testcase>
        <testcase classname="v/a.test.js" name="x &gt; y" time="0.00006656">
        </testcase>
    </testsuite>
</testsuites>"#;
        let node = r#"<testsuites>
	<testcase name="a" time="0.000826" classname="test"/>
	<testcase name="c" time="0.000257" classname="test">
		<skipped type="skipped" message="true"/>
	</testcase>
	<testsuite name="x" time="0.000283" disabled="0" errors="0" tests="1" failures="0" skipped="0" hostname="vm">
		<testcase name="y" time="0.000113" classname="test"/>
	</testsuite>
	<!-- tests 4 --> <!-- <testcase name="no"/> -->
</testsuites>"#;
        let odd = r#"<testcase name='a > b'><system-out><![CDATA[<failure/> </testcase> <testcase/>]]></system-out></testcase>
<testcase name="f"><failure message="x"/></testcase><testcase name="flaky"><flakyFailure/></testcase>
<testcase name="e"
          time="1"><error/></testcase><testcase name="torn">"#;
        for (text, count) in [(OUTPUT, 4), (vitest, 2), (node, 2), (odd, 2)] {
            assert_eq!(passed(text), count, "{text}");
        }
    }
}
