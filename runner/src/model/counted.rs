//! Numbers beside the metric: tests that passed, and what is tracked.

use serde::{Deserialize, Serialize};

use super::Metric;

/// A test runner whose output is understood, or a report format that many write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestFormat {
    Pytest,
    Unittest,
    Cargo,
    Nextest,
    Jest,
    Vitest,
    Node,
    Go,
    Junit,
}

impl TestFormat {
    pub const ALL: [Self; 9] = [
        Self::Pytest,
        Self::Unittest,
        Self::Cargo,
        Self::Nextest,
        Self::Jest,
        Self::Vitest,
        Self::Node,
        Self::Go,
        Self::Junit,
    ];

    /// Returns the word that stands for it in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
            Self::Cargo => "cargo",
            Self::Nextest => "nextest",
            Self::Jest => "jest",
            Self::Vitest => "vitest",
            Self::Node => "node",
            Self::Go => "go",
            Self::Junit => "junit",
        }
    }
}

/// How many tests passed, by the words of one test runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsPassed {
    pub format: TestFormat,
    /// Above 0.
    pub count: u64,
}

/// A number that is recorded and shown, and decides nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    pub name: String,
    pub value: Metric,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_serialized_as_its_word() {
        for format in TestFormat::ALL {
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(text, format!("\"{}\"", format.word()));
        }
    }
}
