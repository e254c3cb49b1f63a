//! Which session and turn of the script a request asks for.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

/// The place in the script that a request is answered from; all from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    pub session: usize,
    /// How often the user spoke again since the brief.
    pub round: usize,
    pub turn: usize,
}

/// Remembers which sessions began and how many turns each played.
#[derive(Debug, Default)]
pub struct Conversations {
    begun: usize,
    sessions: HashMap<String, usize>,
    played: HashMap<(usize, usize), usize>,
}

impl Conversations {
    /// Returns the place for a request, which plays that turn: the same request again (a retry)
    /// gets the next one.
    ///
    /// A conversation is known by `key`, the agent's own id of its session. An unknown one that
    /// holds no answer yet begins the script's next session; with answers it goes on with the last.
    pub fn place(&mut self, key: Option<&str>, messages: &[Value]) -> Place {
        let known = key.and_then(|key| self.sessions.get(key).copied());
        let session = known.unwrap_or_else(|| {
            if self.begun == 0 || messages.iter().all(|m| m["role"] != "assistant") {
                self.begun += 1;
            }
            self.begun - 1
        });
        if let Some(key) = key {
            self.sessions.insert(key.to_owned(), session);
        }
        let round = rounds(messages);
        let played = self.played.entry((session, round)).or_default();
        let turn = *played;
        *played += 1;
        Place {
            session,
            round,
            turn,
        }
    }
}

/// Counts the user's messages that follow an answer and bring no tool's result.
fn rounds(messages: &[Value]) -> usize {
    messages
        .windows(2)
        .filter(|pair| pair[0]["role"] == "assistant" && pair[1]["role"] == "user")
        .filter(|pair| {
            let blocks = pair[1]["content"].as_array().map_or(&[][..], Vec::as_slice);
            blocks.iter().all(|block| block["type"] != "tool_result")
        })
        .count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(session: usize, round: usize, turn: usize) -> Place {
        Place {
            session,
            round,
            turn,
        }
    }

    #[test]
    fn retries_tool_results_and_resumed_talks_find_their_turns() {
        let brief = json!({"role": "user", "content": "go"});
        let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]});
        let result =
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]});
        let done = json!({"role": "assistant", "content": "done"});
        let again = json!({"role": "user", "content": "the guard failed"});

        let mut talks = Conversations::default();
        let mut ask = |key, messages: &[&Value]| {
            let messages: Vec<Value> = messages.iter().map(|m| (*m).clone()).collect();
            talks.place(Some(key), &messages)
        };
        assert_eq!(ask("a", &[&brief]), place(0, 0, 0));
        assert_eq!(ask("a", &[&brief]), place(0, 0, 1));
        assert_eq!(ask("a", &[&brief, &call, &result]), place(0, 0, 2));
        assert_eq!(ask("b", &[&brief]), place(1, 0, 0));
        assert_eq!(
            ask("a", &[&brief, &call, &result, &done, &again]),
            place(0, 1, 0)
        );
        assert_eq!(ask("new", &[&brief, &done, &again]), place(1, 1, 0));
    }
}
