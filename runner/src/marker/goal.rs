//! What a marker wants: its target, its metric, its guards.

use std::time::Duration;

use autoclave_policies::yaml::Value;

use super::decode::{Fields, Trouble, kind};
use super::duration::duration;
use super::file::GlobPlace;
use super::keys;
use super::percent::{fraction, positive_fraction};
use super::values::{
    alpha, count, filled, glob, guard_name, metric, metric_name, pattern, text, word,
};
use super::{Dialect, Extract, GuardSpec, MetricSpec, Step, Target};
use crate::model::Direction;

const MINUTE: Duration = Duration::from_secs(60);
const DIRECTIONS: [(&str, Direction); 2] =
    [("lower", Direction::Lower), ("higher", Direction::Higher)];

pub(super) fn target(marker: &mut Fields<'_, '_>, globs: &mut Vec<GlobPlace>) -> Option<Target> {
    const HINT: &str = "list what may change, such as `mutable: [\"src/**\"]`";
    marker.required_node("target", HINT)?;
    let mut fields = marker.section("target", &keys::TARGET)?;
    let given = fields.required_node("mutable", HINT);
    let mutable = fields.list("mutable", glob);
    if matches!(given.map(|node| &node.value), Some(Value::Sequence(items)) if items.is_empty()) {
        fields.problem(
            "mutable",
            Trouble::new("is empty: nothing may change").hint(HINT),
        );
    }
    for (glob, node) in &mutable {
        globs.push(GlobPlace {
            marker: String::new(),
            glob: glob.clone(),
            line: node.line,
            column: node.column,
        });
    }
    let mut list = |name| {
        fields
            .list(name, glob)
            .into_iter()
            .map(|(glob, _)| glob)
            .collect()
    };
    Some(Target {
        mutable: mutable.into_iter().map(|(glob, _)| glob).collect(),
        immutable: list("immutable"),
        hidden: list("hidden"),
        scratch: list("scratch"),
    })
}

/// Returns the step, or `None` when it is absent or its command is empty.
pub(super) fn prepare(marker: &mut Fields<'_, '_>) -> Option<Step> {
    let mut fields = marker.section("prepare", &keys::PREPARE)?;
    let command = fields.required("command", "write a shell command", text);
    let timeout = fields.or("timeout", 10 * MINUTE, duration);
    let command = command.filter(|command| !command.trim().is_empty())?;
    Some(Step { command, timeout })
}

pub(super) fn metric_spec(marker: &mut Fields<'_, '_>) -> Option<MetricSpec> {
    marker.required_node(
        "metric",
        "say how to measure: `command`, `extract`, `direction`",
    )?;
    let mut fields = marker.section("metric", &keys::METRIC)?;
    let command = fields.required("command", "write the shell command that measures", filled);
    let name = fields
        .optional("name", metric_name)
        .filter(|name| !name.is_empty());
    fields.required_node(
        "extract",
        "write a shell filter, `regex:ms=([0-9.]+)` or `metric-lines`",
    );
    let extract = extract(&mut fields, name.as_deref());
    let unit = fields
        .optional("unit", text)
        .filter(|unit| !unit.is_empty());
    let direction = fields.required("direction", "write `lower` or `higher`", word(&DIRECTIONS));
    let baseline = fields.optional("baseline", metric);
    let build = fields
        .optional("build", text)
        .filter(|build| !build.trim().is_empty());
    let timeout = fields.or("timeout", 5 * MINUTE, duration);
    let min_effect = fields.or("min_effect", 0.0, fraction);
    let design_effect = fields.or("design_effect", 0.03, positive_fraction);
    let alpha = fields.or("alpha", 0.02, alpha);
    let max_pairs = fields.or("max_pairs", 60, count(1..=10_000));
    let target = fields.optional("target", metric);
    Some(MetricSpec {
        command: command?,
        extract: extract?,
        name,
        unit,
        direction: direction?,
        baseline,
        build,
        timeout,
        min_effect,
        design_effect,
        alpha,
        max_pairs,
        target,
    })
}

/// Reads `extract`, where it is given; `name` is that of the metric beside it.
fn extract(fields: &mut Fields<'_, '_>, name: Option<&str>) -> Option<Extract> {
    let written = fields.optional("extract", filled)?;
    if let Some(expression) = written.strip_prefix("regex:") {
        return match pattern(expression) {
            Ok(()) => Some(Extract::Regex(expression.to_owned())),
            Err(trouble) => {
                fields.problem("extract", trouble);
                None
            }
        };
    }
    if written != "metric-lines" {
        return Some(Extract::Filter(written));
    }
    if name.is_none() {
        let trouble = Trouble::new("`metric-lines` needs a `name` beside it");
        fields.problem(
            "extract",
            trouble.hint("add `name: ms` for lines such as `METRIC ms=12`"),
        );
    }
    let name = name?.to_owned();
    Some(Extract::MetricLines { name })
}

/// Returns the guards of `guard` or `guards`, named.
pub(super) fn guards(marker: &mut Fields<'_, '_>) -> Vec<GuardSpec> {
    let mut guards = Vec::new();
    if let (Some(_), Some(second)) = (marker.node("guard"), marker.node("guards")) {
        let path = marker.key("guards");
        let trouble = Trouble::new("both `guard` and `guards` are given")
            .hint("move the one of `guard` into the list of `guards`");
        marker.findings.problem(second, &path, trouble);
    }
    if let Some(fields) = marker.section("guard", &keys::GUARD) {
        guards.extend(guard(fields, 1));
    }
    if let Some(node) = marker.node("guards") {
        let path = marker.key("guards");
        match &node.value {
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let fields = Fields::open(marker.findings, item, path.clone(), &keys::GUARD);
                    let Some(guard) = guard(fields, index + 1) else {
                        continue;
                    };
                    if guards
                        .iter()
                        .any(|other: &GuardSpec| other.name == guard.name)
                    {
                        let trouble = Trouble::new(format!("a second guard `{}`", guard.name));
                        let trouble = trouble.hint("give each guard a name of its own");
                        marker.findings.problem(item, &path, trouble);
                    }
                    guards.push(guard);
                }
            }
            Value::Scalar(_) | Value::Mapping(_) => {
                let trouble = Trouble::new(format!("expected a list, found {}", kind(node)));
                let trouble = trouble.hint("write `- command: ...`, or `guard:` for a single one");
                marker.findings.problem(node, &path, trouble);
            }
        }
    }
    guards
}

fn guard(mut fields: Fields<'_, '_>, number: usize) -> Option<GuardSpec> {
    let unnamed = match number {
        1 => "guard".to_owned(),
        _ => format!("guard-{number}"),
    };
    let given = fields.optional("name", guard_name);
    let command = fields.required("command", "write the shell command that checks", filled);
    let extract = extract(&mut fields, given.as_deref());
    if fields.node("extract").is_none() {
        without_extract(&mut fields, "threshold");
        without_extract(&mut fields, "direction");
    }
    let threshold = fields.optional("threshold", metric);
    let direction = fields.or("direction", Direction::Higher, word(&DIRECTIONS));
    let rework_attempts = fields.or("rework_attempts", 2, count(0..=100));
    let timeout = fields.or("timeout", 10 * MINUTE, duration);
    Some(GuardSpec {
        name: given.unwrap_or(unnamed),
        command: command?,
        threshold: threshold.filter(|_| extract.is_some()),
        extract,
        direction,
        rework_attempts,
        timeout,
    })
}

fn without_extract(fields: &mut Fields<'_, '_>, name: &'static str) {
    let Some(node) = fields.node(name) else {
        return;
    };
    let key = fields.key(name);
    let trouble = Trouble::new(format!("`{name}` means nothing without `extract`"));
    let hint = match fields.findings.dialect {
        Dialect::Autoclave => "add `extract`, or remove it: the exit code decides",
        Dialect::Autoresearch => "the exit code decides",
    };
    fields.findings.stricture(node, &key, trouble.hint(hint));
}
