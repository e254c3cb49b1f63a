//! What attacks came to, as the program tells it.

use std::collections::BTreeMap;
use std::fmt;

use crate::case::Outcome;

/// What one attack came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// `done`, the errno of the call that was refused, `nothing`, `broken`, a signal, or `timeout`.
    pub word: String,
    /// The call, or what else is to be told.
    at: String,
}

impl Measured {
    /// Reads the program's output: what each attack came to, by its id.
    pub fn parse(text: &str) -> BTreeMap<String, Self> {
        let line = |line: &str| {
            let mut words = line.split('\t').map(str::to_owned);
            let (id, word) = (words.next()?, words.next()?);
            let at = words.next().unwrap_or_default();
            let measured = match word.as_str() {
                "killed" => Self {
                    word: at,
                    at: String::new(),
                },
                _ => Self { word, at },
            };
            Some((id, measured))
        };
        text.lines().filter_map(line).collect()
    }

    /// Stands for an attack that the program has said nothing of.
    pub fn missing() -> Self {
        Self {
            word: "missing".to_owned(),
            at: String::new(),
        }
    }

    pub fn got_through(&self) -> bool {
        self.word == "done"
    }

    /// Says whether it is what a row must answer.
    pub fn is(&self, expected: Outcome) -> bool {
        match expected {
            Outcome::Denied(errnos) => errnos.split(' ').any(|errno| errno == self.word),
            Outcome::Harmless(_) | Outcome::Open(_) => self.got_through(),
            Outcome::EndsAll(_) => self.word == "missing",
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => f.write_str(&self.word),
            at => write!(f, "{} at {at}", self.word),
        }
    }
}
