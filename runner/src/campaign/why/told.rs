//! A decision in the words that people read, wherever they read it.

use std::path::{Path, PathBuf};

use autoclave_policies::{Decision, Rule};
use serde::Serialize;

use crate::campaign::host_view::expand_home;
use crate::marker::RulePlaces;

/// What is decided about one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `read`, `write`, `create file`, `remove`, `list`, `connect` ...
    pub operation: String,
    pub allowed: bool,
    /// What decided, in the user's own words.
    pub rule: String,
    /// Where the rule is written, `FILE:LINE:COLUMN`; `None` where it is built in.
    pub place: Option<String>,
    /// What enforces it, or would if it were not allowed.
    pub layer: String,
    /// What becomes of a change that is allowed.
    pub outcome: Option<String>,
    /// All of it, as a run's output says it: `refused by LAYER: RULE (PLACE)`.
    pub words: String,
}

impl Told {
    pub(super) fn new(
        operation: &str,
        decision: &Decision,
        places: &RulePlaces,
        home: Option<&Path>,
    ) -> Self {
        let place = place_of(&decision.rule, places, home);
        let at = place.iter().map(|place| format!(" ({place})"));
        Self {
            operation: operation.to_owned(),
            allowed: decision.is_allowed,
            rule: decision.rule.to_string(),
            layer: decision.layer.to_string(),
            outcome: decision.outcome.map(|outcome| outcome.to_string()),
            words: format!("{decision}{}", at.collect::<String>()),
            place,
        }
    }
}

/// Returns where `rule` is written.
pub(super) fn place_of(rule: &Rule, places: &RulePlaces, home: Option<&Path>) -> Option<String> {
    match rule {
        Rule::Mutable(glob) => places.find("target.mutable", |text| text == glob),
        Rule::Immutable(glob) => places.find("target.immutable", |text| text == glob),
        Rule::Hidden(glob) => places.find("target.hidden", |text| text == glob),
        Rule::Scratch(glob) => places.find("target.scratch", |text| text == glob),
        Rule::Shown(path) => places.find("sandbox.read", |text| {
            expand_home(Path::new(text), home).is_some_and(|shown: PathBuf| shown == *path)
        }),
        Rule::HiddenGuard
        | Rule::Protected(_)
        | Rule::Steers(_)
        | Rule::Harness
        | Rule::Repository
        | Rule::Uncovered
        | Rule::Submodule
        | Rule::InPlace(_)
        | Rule::Closed(_)
        | Rule::Mixed(_)
        | Rule::InTheWorkspace
        | Rule::NotThere
        | Rule::NotInADirectory
        | Rule::LinkLoop
        | Rule::AlreadyThere
        | Rule::WrongKind
        | Rule::NotExecutable
        | Rule::PolicyRead { .. }
        | Rule::PolicyDeny { .. }
        | Rule::System(_)
        | Rule::Own(_)
        | Rule::OwnRoot
        | Rule::Device
        | Rule::Kernel
        | Rule::Etc
        | Rule::Image
        | Rule::NotShown(_)
        | Rule::NoNetwork
        | Rule::Model(_) => None,
    }
}
