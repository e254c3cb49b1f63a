//! What is wrong in a file, and where.

use std::fmt;

use serde::Serialize;

use crate::terminal::steers_terminal;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key that it is about, from the top: `markers[0].metric.alpha`; empty for the whole file.
    pub key: String,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// The text of a file with the name it goes by in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub origin: String,
    pub text: String,
}

/// Everything that is wrong in a file; never empty.
///
/// Displays as a paragraph per problem: `file:line:column: key: message`, the line with a caret
/// under the place, and the hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub source: Source,
    /// In the order of the file.
    pub problems: Vec<Problem>,
    /// What is wrong in the files that this one names.
    pub included: Vec<Problems>,
}

impl Problems {
    /// Returns `problems` in the order of the file, or `None` when there are none.
    pub fn new(source: Source, mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        (!problems.is_empty()).then_some(Self {
            source,
            problems,
            included: Vec::new(),
        })
    }

    /// Yields every problem with its file's source, those of named files last.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Problem)> {
        let own = self.problems.iter().map(|problem| (&self.source, problem));
        let included = self.included.iter().flat_map(|file| {
            let problems = file.problems.iter();
            problems.map(|problem| (&file.source, problem))
        });
        own.chain(included)
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (source, problem)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&problem.render(source))?;
        }
        Ok(())
    }
}

impl Problem {
    /// Returns the problem as a paragraph for people, without a newline at its end.
    ///
    /// Control characters of the file are not passed on.
    pub fn render(&self, source: &Source) -> String {
        let Self { line, column, .. } = self;
        let mut text = format!("{}:{line}:{column}: ", source.origin);
        if !self.key.is_empty() {
            text.push_str(&self.key);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        let mut text = printable(&text);
        if let Some((excerpt, caret)) = self.excerpt(&source.text) {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            let indent = " ".repeat(caret);
            text.extend([format!("\n  {number} | {excerpt}\n  {gutter} | {indent}^")]);
        }
        if let Some(hint) = &self.hint {
            text.push_str(&printable(&format!("\n  hint: {hint}")));
        }
        text
    }

    /// Returns what of the line to show, and where in it the caret stands.
    fn excerpt(&self, text: &str) -> Option<(String, usize)> {
        const WIDTH: usize = 100;
        const BEFORE: usize = 60;
        let line = text.lines().nth(self.line.checked_sub(1)?)?;
        let caret = self.column.saturating_sub(1);
        let skipped = if caret > WIDTH { caret - BEFORE } else { 0 };
        let shown: String = line.chars().skip(skipped).take(WIDTH).collect();
        let excerpt = printable(shown.trim_end());
        (!excerpt.is_empty()).then_some((excerpt, caret - skipped))
    }
}

/// Replaces what would steer a terminal, but for the newline.
fn printable(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' => '\n',
        '\t' => ' ',
        c if steers_terminal(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize) -> Problem {
        Problem {
            line,
            column,
            key: "markers[0].name".to_owned(),
            message: "is bad".to_owned(),
            hint: Some("write a good one".to_owned()),
        }
    }

    #[test]
    fn problems_show_the_line_with_a_caret_and_the_hint_in_file_order() {
        let source = Source {
            origin: "a.yaml".to_owned(),
            text: "one: 1\n\ttwo: \u{1b}2\n".to_owned(),
        };
        let problems = Problems::new(source, vec![problem(2, 7), problem(1, 1)]).unwrap();
        let expected = "\
a.yaml:1:1: markers[0].name: is bad
  1 | one: 1
    | ^
  hint: write a good one

a.yaml:2:7: markers[0].name: is bad
  2 |  two: \u{fffd}2
    |       ^
  hint: write a good one";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn places_beyond_the_file_and_long_lines_are_shown_too() {
        let long = Source {
            origin: "a".to_owned(),
            text: "x".repeat(5000),
        };
        assert!(problem(1, 4000).render(&long).len() < 300);
        assert_eq!(
            problem(9, 9).render(&long),
            "a:9:9: markers[0].name: is bad\n  hint: write a good one"
        );
    }
}
