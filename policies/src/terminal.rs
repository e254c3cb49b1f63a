//! What a terminal obeys instead of showing it.

/// Says whether `c` would steer a terminal: a control character, or one that turns the direction of
/// writing, by which a line reads as something else (<https://trojansource.codes>).
#[must_use]
pub fn steers_terminal(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}
