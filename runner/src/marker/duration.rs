//! Durations as people write them: `90s`, `10m`, `1h30m`.

use std::time::Duration;

use autoclave_policies::yaml::{Meaning, Node};

use super::decode::{Trouble, kind};
use super::values::scalar;

/// Longer ones are more likely a slip than a wish.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a duration above zero.
pub(super) fn duration(node: &Node) -> Result<Duration, Trouble> {
    const HINT: &str = "write hours, minutes and seconds: `90s`, `10m`, `1h30m`";
    let text = &scalar(node, "a duration")?.text;
    if let Meaning::Integer(_) | Meaning::Float(_) = scalar(node, "a duration")?.meaning() {
        let trouble = Trouble::new(format!("the duration `{text}` has no unit"));
        return Err(trouble.hint(format!("write `{text}s` or `{text}m`")));
    }
    let parsed = parse(text).ok_or_else(|| {
        Trouble::new(format!("expected a duration, found {}", kind(node))).hint(HINT)
    })?;
    if parsed.is_zero() {
        return Err(Trouble::new("a duration of zero leaves no time").hint(HINT));
    }
    if parsed > LONGEST {
        return Err(Trouble::new(format!("`{text}` is too long")).hint("at most 720h"));
    }
    Ok(parsed)
}

/// Reads a duration from an argument.
///
/// # Errors
///
/// The text is no duration above zero; the message says how one is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse(text) {
        Some(parsed) if !parsed.is_zero() => Ok(parsed),
        _ => Err("write hours, minutes and seconds: `90s`, `10m`, `1h30m`".to_owned()),
    }
}

/// Returns the duration that `text` writes: each of `h`, `m`, `s` at most once, in this order.
fn parse(text: &str) -> Option<Duration> {
    let mut units = [('h', 3600), ('m', 60), ('s', 1)].into_iter();
    let mut seconds = 0_u64;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(unit_at);
        let letter = tail.chars().next()?;
        let (_, factor) = units.find(|(unit, _)| *unit == letter)?;
        let amount = number.parse::<u64>().ok()?.checked_mul(factor)?;
        seconds = seconds.checked_add(amount)?;
        rest = &tail[letter.len_utf8()..];
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_units_people_write() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_none() {
        for text in [
            "",
            "m",
            "10",
            "10 m",
            "1m1h",
            "1m1m",
            "-1m",
            "1.5h",
            "1é",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
