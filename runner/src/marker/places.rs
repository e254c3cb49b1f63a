//! Where in the configuration each rule about paths is written.

use autoclave_policies::yaml::Node;

pub const MUTABLE: &str = "target.mutable";

/// A rule about paths, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// The marker's name.
    pub marker: String,
    /// The key of the list that it stands in, from the marker: `target.mutable`.
    pub list: &'static str,
    /// The glob or path as it is written.
    pub text: String,
    /// Counted from 1, like the column.
    pub line: usize,
    pub column: usize,
}

impl RulePlace {
    /// Returns the place of `node`; whoever knows the marker's name fills it in.
    pub(super) fn at(node: &Node, list: &'static str, text: &str) -> Self {
        Self {
            marker: String::new(),
            list,
            text: text.to_owned(),
            line: node.line,
            column: node.column,
        }
    }
}

/// Where the rules of one marker are written; empty for what no file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulePlaces {
    origin: String,
    rules: Vec<RulePlace>,
}

impl RulePlaces {
    pub(super) fn new(origin: &str, rules: Vec<RulePlace>) -> Self {
        Self {
            origin: origin.to_owned(),
            rules,
        }
    }

    /// Returns the place of the first rule of `list` whose text `is_meant`: `config.yaml:5:12`.
    pub fn find(&self, list: &str, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.list == list && is_meant(&rule.text))?;
        Some(format!("{}:{}:{}", self.origin, rule.line, rule.column))
    }
}
