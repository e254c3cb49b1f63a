//! How exactly one number is read from what a command prints.

use autoclave_policies::steers_terminal;
use regex::bytes::Regex;

use crate::model::Metric;

/// Why there is no number. Never taken for 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNumber {
    #[error("printed nothing where a number was expected")]
    Empty,
    #[error("printed more than one number: `{first}` and `{second}`")]
    Several { first: String, second: String },
    #[error("`{0}` has a comma; numbers are written without separators, with a decimal point")]
    Comma(String),
    #[error("`{0}` is not a finite number")]
    NotFinite(String),
    #[error("`{text}` starts with a number, but `{rest}` follows it")]
    Trailing { text: String, rest: String },
    #[error("`{0}` is not a number")]
    NotANumber(String),
    #[error("the regular expression `{pattern}` does not compile: {why}")]
    BadPattern { pattern: String, why: String },
    #[error("nothing matches the regular expression `{0}`")]
    NoMatch(String),
    #[error("there is no line `METRIC {0}=...`")]
    MissingLine(String),
    #[error("there is more than one line `METRIC {0}=...`")]
    DoubledLine(String),
}

/// Reads the one number that `text` is, white space around it aside.
///
/// Accepts a sign, digits with a decimal point, and an exponent: `1.2e-05`, `3.5E+2`, `-0.7`, `+1`.
///
/// # Errors
///
/// [`NoNumber`], by name, for anything else; `text` need not be UTF-8.
pub fn number(text: &[u8]) -> Result<Metric, NoNumber> {
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let first = words.next().ok_or(NoNumber::Empty)?;
    let value = word_number(first);
    match (value, words.next()) {
        (value, None) => value,
        (Ok(_), Some(second)) if word_number(second).is_ok() => Err(NoNumber::Several {
            first: shown(first),
            second: shown(second),
        }),
        (Ok(_), Some(second)) => Err(NoNumber::Trailing {
            text: shown(text.trim_ascii()),
            rest: shown(second),
        }),
        (Err(NoNumber::NotANumber(_)), Some(_)) => {
            Err(NoNumber::NotANumber(shown(text.trim_ascii())))
        }
        (Err(why), Some(_)) => Err(why),
    }
}

/// Reads the number in the first group of `pattern`, or in the whole match where there is no
/// group.
///
/// # Errors
///
/// [`NoNumber`] when the pattern does not compile, matches nothing or more than once, or what it
/// matches is not one number.
pub fn regex_number(pattern: &str, text: &[u8]) -> Result<Metric, NoNumber> {
    let regex = Regex::new(pattern).map_err(|cause| NoNumber::BadPattern {
        pattern: pattern.to_owned(),
        why: cause.to_string(),
    })?;
    let mut found = regex.captures_iter(text).map(|groups| {
        groups
            .get(1)
            .or(groups.get(0))
            .map_or(&b""[..], |m| m.as_bytes())
    });
    let first = found
        .next()
        .ok_or_else(|| NoNumber::NoMatch(pattern.to_owned()))?;
    match found.next() {
        None => number(first),
        Some(second) => Err(NoNumber::Several {
            first: shown(first),
            second: shown(second),
        }),
    }
}

/// Reads the number of the one line `METRIC name=value`.
///
/// # Errors
///
/// [`NoNumber`] when there is no such line, more than one, or its value is not one number.
pub fn metric_lines(name: &str, text: &[u8]) -> Result<Metric, NoNumber> {
    let mut values = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| metric_value(name, line));
    let value = values
        .next()
        .ok_or_else(|| NoNumber::MissingLine(name.to_owned()))?;
    match values.next() {
        None => number(value),
        Some(_) => Err(NoNumber::DoubledLine(name.to_owned())),
    }
}

/// Returns what follows `METRIC name=` in a line that starts so.
fn metric_value<'a>(name: &str, line: &'a [u8]) -> Option<&'a [u8]> {
    let rest = line.trim_ascii().strip_prefix(b"METRIC")?;
    if !rest.first()?.is_ascii_whitespace() {
        return None;
    }
    let rest = rest.trim_ascii_start().strip_prefix(name.as_bytes())?;
    rest.trim_ascii_start().strip_prefix(b"=")
}

/// Reads a word without white space.
fn word_number(word: &[u8]) -> Result<Metric, NoNumber> {
    let length = numeral_length(word);
    let unsigned = word
        .strip_prefix(b"-")
        .or(word.strip_prefix(b"+"))
        .unwrap_or(word);
    let is_named = ["inf", "infinity", "nan"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name.as_bytes()));
    if is_named {
        return Err(NoNumber::NotFinite(shown(word)));
    }
    if length == 0 {
        return Err(NoNumber::NotANumber(shown(word)));
    }
    if word.get(length) == Some(&b',') {
        return Err(NoNumber::Comma(shown(word)));
    }
    if length < word.len() {
        return Err(NoNumber::Trailing {
            text: shown(word),
            rest: shown(&word[length..]),
        });
    }
    std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .ok_or_else(|| NoNumber::NotANumber(shown(word)))
        .and_then(|value| {
            Metric::try_from(value).map_err(|_infinite| NoNumber::NotFinite(shown(word)))
        })
}

/// Returns how many leading bytes of `word` write a number; 0 when it does not start with one.
fn numeral_length(word: &[u8]) -> usize {
    let digits = |from: usize| {
        word[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let sign = |at: usize| usize::from(matches!(word.get(at), Some(b'+' | b'-')));
    let start = sign(0);
    let whole = digits(start);
    let mut end = start + whole;
    let mut fraction = 0;
    if word.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(word.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + sign(end + 1);
        let count = digits(exponent.min(word.len()));
        if count > 0 {
            end = exponent + count;
        }
    }
    end
}

/// Returns the start of `text` for a message: one line, at most 60 characters.
fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let start = &text[..text.len().min(4 * LONGEST)];
    let line: String = String::from_utf8_lossy(start)
        .chars()
        .map(|c| if steers_terminal(c) { ' ' } else { c })
        .collect();
    if line.chars().count() > LONGEST {
        line.chars().take(LONGEST).chain(['…']).collect()
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metric(value: f64) -> Metric {
        Metric::try_from(value).unwrap()
    }

    #[test]
    fn plain_numbers_are_read() {
        for (text, value) in [
            ("1.2e-05", 1.2e-5),
            ("3.5E+2", 350.0),
            ("-0.7", -0.7),
            ("42", 42.0),
            ("+1", 1.0),
            ("  12.\n", 12.0),
            ("\t.5\r\n", 0.5),
            ("0", 0.0),
            ("007", 7.0),
        ] {
            assert_eq!(number(text.as_bytes()), Ok(metric(value)), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        use NoNumber::{Comma, Empty, NotANumber, NotFinite, Several, Trailing};
        let trailing = |text: &str, rest: &str| Trailing {
            text: text.into(),
            rest: rest.into(),
        };
        for (text, why) in [
            ("", Empty),
            (" \n\t", Empty),
            (
                "1\n2",
                Several {
                    first: "1".into(),
                    second: "2".into(),
                },
            ),
            ("1,234", Comma("1,234".into())),
            ("0,5", Comma("0,5".into())),
            ("inf", NotFinite("inf".into())),
            ("-Infinity", NotFinite("-Infinity".into())),
            ("NaN", NotFinite("NaN".into())),
            ("1e999", NotFinite("1e999".into())),
            ("12ms", trailing("12ms", "ms")),
            ("12 ms", trailing("12 ms", "ms")),
            ("1e", trailing("1e", "e")),
            ("1.2.3", trailing("1.2.3", ".3")),
            ("0x10", trailing("0x10", "x10")),
            ("1_000", trailing("1_000", "_000")),
            ("fast", NotANumber("fast".into())),
            (".", NotANumber(".".into())),
            ("-", NotANumber("-".into())),
            ("ms = 12", NotANumber("ms = 12".into())),
        ] {
            assert_eq!(number(text.as_bytes()), Err(why), "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_a_readable_message() {
        let why = number(b"\xff\xfe12").unwrap_err();
        assert_eq!(why.to_string(), "`\u{fffd}\u{fffd}12` is not a number");
    }

    #[test]
    fn a_regular_expression_reads_its_first_group_between_any_bytes() {
        assert_eq!(
            regex_number("ms=([0-9.]+)", b"\xff\xfe ms=1.5 s=3"),
            Ok(metric(1.5))
        );
        assert_eq!(regex_number("[0-9]+", b"took 12 ms"), Ok(metric(12.0)));
    }

    #[test]
    fn a_regular_expression_must_match_once() {
        assert_eq!(
            regex_number("ms=([0-9]+)", b"none"),
            Err(NoNumber::NoMatch("ms=([0-9]+)".into()))
        );
        assert_eq!(
            regex_number("ms=([0-9]+)", b"ms=1 ms=2"),
            Err(NoNumber::Several {
                first: "1".into(),
                second: "2".into()
            })
        );
        assert!(matches!(
            regex_number("(", b""),
            Err(NoNumber::BadPattern { .. })
        ));
    }

    #[test]
    fn the_metric_line_of_a_name_is_read_among_others() {
        let text = b"noise\nMETRIC rss=7\r\nMETRIC ms=1.5e1\r\nMETRIC ms_total=3\nMETRICS ms=9\n";
        assert_eq!(metric_lines("ms", text), Ok(metric(15.0)));
    }

    #[test]
    fn missing_and_doubled_metric_lines_are_refused() {
        assert_eq!(
            metric_lines("ms", b"ms=1"),
            Err(NoNumber::MissingLine("ms".into()))
        );
        assert_eq!(
            metric_lines("ms", b"METRIC ms=1\nMETRIC ms=1\n"),
            Err(NoNumber::DoubledLine("ms".into()))
        );
        assert_eq!(metric_lines("ms", b"METRIC ms="), Err(NoNumber::Empty));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _: Result<Metric, NoNumber> = number(&bytes);
            let _: Result<Metric, NoNumber> = metric_lines("ms", &bytes);
        }

        #[test]
        fn what_a_number_prints_as_is_read_back(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Ok(metric(value)));
            prop_assert_eq!(number(format!("{value:e}").as_bytes()), Ok(metric(value)));
        }
    }
}
