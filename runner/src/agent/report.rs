//! What is known of an agent's session when it has ended.

use std::collections::BTreeMap;

use crate::model::Usage;

use super::AgentOutcome;

/// What is known of an agent's session when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the agent says it used. Killed before its result, it says no cost: the gateway's
    /// own meter is the authority.
    pub usage: Usage,
    /// The id to resume it by.
    pub session: Option<String>,
    /// The first sentence of the result; the last line of a program that speaks plain text.
    /// At most 200 characters.
    pub summary: String,
    /// The agent's last words; cut to 64 KiB.
    pub result: String,
    /// How often each tool was called.
    pub tools: BTreeMap<String, u32>,
    /// Tool calls that the sandbox or a permission rule refused.
    pub denials: u32,
    /// Oldest first, at most 100; each at most 2,000 characters.
    pub errors: Vec<String>,
    /// Requests that the agent sent again.
    pub retries: u32,
    pub outcome: AgentOutcome,
}
