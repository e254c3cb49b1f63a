//! What the scripted model says, in YAML.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::yaml;

/// What the model says in each agent session, in the order the sessions begin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub sessions: Vec<Session>,
}

/// What the model says in one session: after the brief, and after each later message of the user.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(from = "SessionFile")]
pub struct Session {
    pub turns: Vec<Turn>,
    /// One list of turns for each time the session is resumed.
    pub rework: Vec<Vec<Turn>>,
}

/// A session is written as a list of turns, or as a table where it is also resumed.
#[derive(Deserialize)]
#[serde(untagged)]
enum SessionFile {
    Turns(Vec<Turn>),
    Resumed {
        turns: Vec<Turn>,
        rework: Vec<Vec<Turn>>,
    },
}

impl From<SessionFile> for Session {
    fn from(file: SessionFile) -> Self {
        match file {
            SessionFile::Turns(turns) => Self {
                turns,
                rework: Vec::new(),
            },
            SessionFile::Resumed { turns, rework } => Self { turns, rework },
        }
    }
}

/// One answer of the model. `error` wins over `hang`, which wins over the rest.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    pub text: Option<String>,
    pub tools: Vec<ToolCall>,
    pub error: Option<ApiError>,
    /// The request is never answered.
    pub hang: bool,
    pub usage: TurnUsage,
}

/// One tool call; `input` goes to the agent as it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    pub input: Value,
}

/// An error answer. A header's value `now+N` becomes the Unix time N seconds from the answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    pub status: u16,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default = "scripted_error")]
    pub message: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn scripted_error() -> String {
    "scripted error".to_owned()
}

/// The tokens that an answer says it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnUsage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub output_tokens: u64,
}

impl Default for TurnUsage {
    fn default() -> Self {
        Self {
            input_tokens: 1000,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: 0,
            output_tokens: 100,
        }
    }
}

impl Script {
    /// Reads a script; JSON is YAML too.
    ///
    /// # Errors
    ///
    /// A sentence fragment: text that is no YAML, or no script.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_value(yaml::parse(text)?).map_err(|e| e.to_string())
    }

    /// Returns the turn at `index` of a session's `round` (0: after the brief); where the script
    /// has ended, one that says `Done.`.
    pub fn turn(&self, session: usize, round: usize, index: usize) -> Turn {
        let turns = self.sessions.get(session).and_then(|s| match round {
            0 => Some(&s.turns),
            _ => s.rework.get(round - 1),
        });
        turns
            .and_then(|t| t.get(index))
            .cloned()
            .unwrap_or_else(|| Turn {
                text: Some("Done.".to_owned()),
                ..Turn::default()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_session_are_read() {
        let script = Script::parse(
            "sessions:\n- - {text: hi}\n- turns: [{hang: true}]\n  rework: [[{text: again}]]\n",
        )
        .unwrap();
        assert_eq!(script.turn(0, 0, 0).text.as_deref(), Some("hi"));
        assert_eq!(script.turn(0, 0, 1).text.as_deref(), Some("Done."));
        assert!(script.turn(1, 0, 0).hang);
        assert_eq!(script.turn(1, 1, 0).text.as_deref(), Some("again"));
    }

    #[test]
    fn a_misspelt_turn_is_refused() {
        assert!(Script::parse("sessions: [[{txt: hi}]]").is_err());
    }
}
