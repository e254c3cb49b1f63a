//! Amounts of memory as people write them: `512M`, `8G`.

use autoclave_policies::yaml::Node;

use super::decode::{Trouble, kind};
use super::values::scalar;

/// Less than this holds no program.
const SMALLEST: u64 = 1 << 20;
/// More than this no machine has.
const LARGEST: u64 = 1 << 50;

/// Reads an amount of bytes between 1M and 1024T.
pub(super) fn size(node: &Node) -> Result<u64, Trouble> {
    let text = &scalar(node, "a size")?.text;
    let bytes = parse(text).ok_or_else(|| {
        Trouble::new(format!("expected a size, found {}", kind(node)))
            .hint("write a whole number with its unit: `512M`, `8G` (powers of 1024)")
    })?;
    if !(SMALLEST..=LARGEST).contains(&bytes) {
        return Err(Trouble::new(format!("`{text}` is out of range")).hint("from 1M to 1024T"));
    }
    Ok(bytes)
}

/// Returns the bytes that `text` writes: digits, then `K`, `M`, `G` or `T`, with `iB` or without.
fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit {
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_need_a_unit() {
        assert_eq!(parse("8G"), Some(8_589_934_592));
        assert_eq!(parse("512MiB"), Some(536_870_912));
        for text in ["", "8", "G", "8GB", "8 G", "-8G", "1.5G", "99999999999T"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
