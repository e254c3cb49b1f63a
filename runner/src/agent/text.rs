//! Short texts for people, cut out of long ones.

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
    cut(end.map_or(line, |(at, _)| &line[..=at]), 200)
}

/// Returns the last line that says something, in at most 200 characters.
pub fn last_line(text: &str) -> String {
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.chars().any(char::is_alphanumeric));
    cut(line.unwrap_or_default(), 200)
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
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }

    #[test]
    fn the_last_line_that_says_something_is_found() {
        assert_eq!(last_line("one\ntwo \n--\n"), "two");
    }
}
