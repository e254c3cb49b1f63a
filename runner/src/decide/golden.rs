//! What a command's output on an input is known by.

use std::fmt;

use autoclave_policies::RepoPath;
use serde::{Deserialize, Serialize};

/// An input whose output must stay what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoldenInput {
    /// A file of the base commit.
    File(RepoPath),
    /// What `golden.generate` prints for it.
    Seed(u32),
}

impl fmt::Display for GoldenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{path}`"),
            Self::Seed(seed) => write!(f, "the input of seed {seed}"),
        }
    }
}

/// What the base commit gave for one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenOutput {
    pub input: GoldenInput,
    /// SHA-256 of how the command ended and of its standard output, in hexadecimal digits.
    pub digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_have_their_golden_lines_and_words() {
        let file = GoldenInput::File(RepoPath::try_from("tests/a.in").unwrap());
        for (input, line, words) in [
            (file, r#"{"file":"tests/a.in"}"#, "`tests/a.in`"),
            (GoldenInput::Seed(7), r#"{"seed":7}"#, "the input of seed 7"),
        ] {
            assert_eq!(serde_json::to_string(&input).unwrap(), line);
            assert_eq!(serde_json::from_str::<GoldenInput>(line).unwrap(), input);
            assert_eq!(input.to_string(), words);
        }
    }
}
