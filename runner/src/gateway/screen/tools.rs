//! The tools of a request.

use serde::de::MapAccess;

use super::blocks::CacheControl;
use super::object::{Fields, Object};

/// The tools that run on the caller's side, or only look through the list of tools; each may be
/// followed by its date. What is not listed is refused, tools to come included.
const LOCAL: [&str; 7] = [
    "custom",
    "bash",
    "text_editor",
    "computer",
    "memory",
    "tool_search_tool_regex",
    "tool_search_tool_bm25",
];

#[derive(Default)]
pub struct Tool {
    kind: Option<String>,
    pub cache_control: Option<Object<CacheControl>>,
}

impl Fields for Tool {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "cache_control" => self.cache_control = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Tool {
    /// Returns the type of a tool that the service would run.
    pub fn server_side(&self) -> Option<String> {
        let kind = self.kind.as_ref()?;
        let name = match kind.rsplit_once('_') {
            Some((name, date)) if date.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => kind,
        };
        (!LOCAL.contains(&name)).then(|| kind.clone())
    }
}
