//! Relative amounts: `3%`, or the same as a fraction, `0.03`.

use autoclave_policies::yaml::{Meaning, Node};

use super::decode::{Trouble, kind};
use super::values::{real, scalar};

/// Reads a fraction from 0 to 1.
pub(super) fn fraction(node: &Node) -> Result<f64, Trouble> {
    const HINT: &str = "write `3%` or `0.03`";
    let text = &scalar(node, "a percentage")?.text;
    let fraction = match text.strip_suffix('%') {
        Some(number) => percent(number).ok_or_else(|| {
            Trouble::new(format!("expected a percentage, found {}", kind(node))).hint(HINT)
        })?,
        None => real(node).map_err(|trouble| trouble.hint(HINT))?,
    };
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let trouble = Trouble::new(format!("`{text}` is not from 0% to 100%"));
    let is_bare = matches!(
        scalar(node, "a percentage")?.meaning(),
        Meaning::Integer(2..=100)
    );
    Err(if is_bare {
        trouble.hint(format!("did you mean `{text}%`?"))
    } else {
        trouble.hint(HINT)
    })
}

/// Reads a fraction above 0 and up to 1.
pub(super) fn positive_fraction(node: &Node) -> Result<f64, Trouble> {
    let fraction = fraction(node)?;
    if fraction > 0.0 {
        Ok(fraction)
    } else {
        Err(Trouble::new("must be above 0%").hint("write `3%` or `0.03`"))
    }
}

fn percent(number: &str) -> Option<f64> {
    let is_decimal = number.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && number.ends_with(|c: char| c.is_ascii_digit())
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    is_decimal.then(|| number.parse::<f64>().ok().map(|number| number / 100.0))?
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percentages_are_decimals() {
        assert_eq!(percent("3"), Some(0.03));
        assert_eq!(percent("0.5"), Some(0.005));
        assert_eq!(percent("-3"), Some(-0.03));
        for text in [
            "", " 3", "3 ", "nan", "inf", "1e3", ".", "3.", "1.2.3", "--1",
        ] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
