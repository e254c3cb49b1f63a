//! The configuration file as a whole.

use autoclave_policies::yaml::{Node, Value};
use autoclave_policies::{Problem, Problems, Source};

use super::decode::{Fields, Findings, Trouble, kind};
use super::places::{MUTABLE, RulePlace, RulePlaces};
use super::policy_file::{Policies, ReadPolicy};
use super::values::{marker_name, scalar, text};
use super::{Dialect, Marker, Status, goal, golden, guards, keys, means};

/// A configuration file without problems.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// In the order of the file; at least one; names are unique.
    pub markers: Vec<Marker>,
    /// What was ignored, in the order of the file; empty in our own dialect.
    pub warnings: Vec<Problem>,
    pub source: Source,
    /// Every rule about paths of every marker, list by list.
    pub rules: Vec<RulePlace>,
}

/// Reads a configuration file; `origin` is what messages call it, `read_policy` reads the policy
/// files that it names.
///
/// # Errors
///
/// Every problem of the file, and of the policy files that it names, at once; only where it is not
/// YAML, the first.
pub fn parse_config(
    text: &str,
    origin: &str,
    dialect: Dialect,
    read_policy: ReadPolicy<'_>,
) -> Result<ConfigFile, Problems> {
    let source = Source {
        origin: origin.to_owned(),
        text: text.to_owned(),
    };
    let (root, mut findings) = Findings::open(&source, dialect)?;
    let mut rules: Vec<RulePlace> = Vec::new();
    let mut policies = Policies {
        read: read_policy,
        problems: Vec::new(),
    };
    let markers = read_markers(&mut findings, &root, &mut rules, &mut policies);
    findings
        .warnings
        .sort_by_key(|warning| (warning.line, warning.column));
    match Problems::new(source.clone(), findings.problems) {
        Some(problems) => Err(Problems {
            included: policies.problems,
            ..problems
        }),
        None if !policies.problems.is_empty() => Err(Problems {
            source,
            problems: Vec::new(),
            included: policies.problems,
        }),
        None => Ok(ConfigFile {
            markers,
            warnings: findings.warnings,
            source,
            rules,
        }),
    }
}

impl ConfigFile {
    /// Checks that each mutable glob of `marker` matches something; `is_match` looks into the tree.
    ///
    /// # Errors
    ///
    /// Every glob that matches nothing.
    pub fn check_against_tree(
        &self,
        marker: &str,
        is_match: &dyn Fn(&str) -> bool,
    ) -> Result<(), Problems> {
        let rules = self.rules.iter();
        let mutable = rules.filter(|rule| rule.marker == marker && rule.list == MUTABLE);
        let idle = mutable.filter(|rule| !is_match(&rule.text));
        let problems = idle.map(|place| Problem {
            line: place.line,
            column: place.column,
            key: format!("{marker}.{MUTABLE}"),
            message: format!("`{}` matches no file", place.text),
            hint: Some(
                "globs are relative to the repository root and see committed files only".to_owned(),
            ),
        });
        match Problems::new(self.source.clone(), problems.collect()) {
            Some(problems) => Err(problems),
            None => Ok(()),
        }
    }

    /// Returns where the rules of `marker` are written.
    pub fn places_of(&self, marker: &str) -> RulePlaces {
        let rules = self.rules.iter().filter(|rule| rule.marker == marker);
        RulePlaces::new(&self.source.origin, rules.cloned().collect())
    }
}

fn read_markers(
    findings: &mut Findings,
    root: &Node,
    rules: &mut Vec<RulePlace>,
    policies: &mut Policies<'_>,
) -> Vec<Marker> {
    const HINT: &str = "write `markers:` with a list; `autoclave init` writes an example";
    let mut fields = Fields::open(findings, root, String::new(), &keys::FILE);
    let Some(list) = fields.required_node("markers", HINT) else {
        return Vec::new();
    };
    let Value::Sequence(items) = &list.value else {
        let trouble = Trouble::new(format!("expected a list, found {}", kind(list)));
        fields.problem(
            "markers",
            trouble.hint("begin each marker with `- name: ...`"),
        );
        return Vec::new();
    };
    if items.is_empty() {
        fields.problem("markers", Trouble::new("is empty").hint(HINT));
    }
    let mut markers = Vec::new();
    let mut seen: Vec<(String, usize)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("markers[{index}]");
        let mut fields = Fields::open(findings, item, path, &keys::MARKER);
        let first = rules.len();
        let name = fields.required("name", "such as `sort-speed`", marker_name);
        if let Some(name) = &name {
            if let Some((_, line)) = seen.iter().find(|(other, _)| other == name) {
                let trouble = Trouble::new(format!("a second marker `{name}`"));
                fields.problem("name", trouble.hint(format!("the first is in line {line}")));
            }
            seen.push((name.clone(), item.line));
        }
        let marker = read_marker(&mut fields, name.clone(), rules, policies);
        for rule in &mut rules[first..] {
            rule.marker = name.clone().unwrap_or_default();
        }
        markers.extend(marker);
    }
    markers
}

fn read_marker(
    fields: &mut Fields<'_, '_>,
    name: Option<String>,
    rules: &mut Vec<RulePlace>,
    policies: &mut Policies<'_>,
) -> Option<Marker> {
    let description = fields.or("description", String::new(), text);
    let status = status(fields);
    let target = goal::target(fields, rules);
    let prepare = goal::prepare(fields);
    let metric = goal::metric_spec(fields);
    let guards = guards::guards(fields);
    let golden = golden::golden(fields);
    let track = guards::track(fields);
    let (limits, model) = means::loop_limits(fields);
    let agent = means::agent(fields, model);
    let sandbox = means::sandbox(fields, policies, rules);
    Some(Marker {
        name: name?,
        description,
        status,
        target: target?,
        prepare,
        metric: metric?,
        guards: guards.commands,
        line_guards: guards.lines,
        golden,
        track,
        limits,
        agent,
        sandbox,
    })
}

/// Reads the status; an older file may have others, which do not run.
fn status(fields: &mut Fields<'_, '_>) -> Status {
    let words = [("active", Status::Active), ("paused", Status::Paused)];
    if let (Dialect::Autoresearch, Some(node)) = (fields.findings.dialect, fields.node("status"))
        && let Ok(word) = scalar(node, "a word")
        && !words.iter().any(|(known, _)| *known == word.text)
    {
        let trouble = Trouble::new(format!("the status `{}` is taken for `paused`", word.text));
        let key = fields.key("status");
        fields.findings.stricture(node, &key, trouble);
        return Status::Paused;
    }
    fields.or("status", Status::Active, super::values::word(&words))
}
