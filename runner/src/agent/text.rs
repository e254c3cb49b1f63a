//! Short texts for people, cut out of long ones.

use autoclave_policies::steers_terminal;

/// Returns at most `limit` characters of `text`; a cut ends in `…`.
pub fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept + "…"
}

/// Returns the first sentence of the first line that says something, in at most 200 characters.
pub fn first_sentence(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| line.chars().any(char::is_alphanumeric));
    let line = line
        .unwrap_or_default()
        .trim_start_matches(['#', '*', '-', '>', ' ']);
    let end = line
        .char_indices()
        .find(|&(at, c)| matches!(c, '.' | '!' | '?') && line[at + 1..].starts_with(' '));
    shown(end.map_or(line, |(at, _)| &line[..=at]))
}

/// Returns the last line that says something, in at most 200 characters.
pub fn last_line(text: &str) -> String {
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.chars().any(char::is_alphanumeric));
    shown(line.unwrap_or_default())
}

/// Returns `line` as it may stand in a commit's message: without what would steer a terminal.
fn shown(line: &str) -> String {
    let harmless = line.chars().filter(|c| !steers_terminal(*c));
    cut(&harmless.collect::<String>(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_at_its_full_stop_not_within_a_number_or_name() {
        assert_eq!(
            first_sentence("\n---\n## Cut a.rs by 1.5 ms. And more.\n"),
            "Cut a.rs by 1.5 ms."
        );
        assert_eq!(first_sentence(""), "");
    }

    #[test]
    fn what_would_steer_a_terminal_is_left_out() {
        let text = "\u{1b}]0;a\u{7} b\u{202e}c\r";
        assert_eq!(first_sentence(text), "]0;a bc");
        assert_eq!(last_line(text), "]0;a bc");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }

    #[test]
    fn the_last_line_that_says_something_is_found() {
        assert_eq!(last_line("one\ntwo \n--\n"), "two");
    }
}
