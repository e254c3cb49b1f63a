//! What a marker wants: its target and its metric.

use std::time::Duration;

use autoclave_policies::yaml::{Node, Value};

use super::decode::{Fields, Trouble};
use super::duration::duration;
use super::keys;
use super::percent::{fraction, positive_fraction};
use super::places::{MUTABLE, RulePlace};
use super::values::{alpha, count, filled, glob, metric, metric_name, pattern, text, word};
use super::{Extract, MetricHarness, MetricSpec, Step, Target};
use crate::model::Direction;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DIRECTIONS: [(&str, Direction); 2] =
    [("lower", Direction::Lower), ("higher", Direction::Higher)];

pub(super) fn target(marker: &mut Fields<'_, '_>, rules: &mut Vec<RulePlace>) -> Option<Target> {
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
    let mut place = |list, globs: Vec<(String, &Node)>| -> Vec<String> {
        let places = globs
            .iter()
            .map(|(glob, node)| RulePlace::at(node, list, glob));
        rules.extend(places);
        globs.into_iter().map(|(glob, _)| glob).collect()
    };
    Some(Target {
        mutable: place(MUTABLE, mutable),
        immutable: place("target.immutable", fields.list("immutable", glob)),
        hidden: place("target.hidden", fields.list("hidden", glob)),
        scratch: place("target.scratch", fields.list("scratch", glob)),
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
    let harness = harness(&mut fields);
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
        harness,
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

/// Reads `harness`; `None` where it is absent, or unfit and reported.
fn harness(metric: &mut Fields<'_, '_>) -> Option<MetricHarness> {
    let mut fields = metric.section("harness", &keys::HARNESS)?;
    let input = fields.optional("input", filled);
    let hint = "write the shell command that judges what `metric.command` prints";
    let check = fields.required("check", hint, filled)?;
    Some(MetricHarness { input, check })
}

/// Reads `extract`, where it is given; `name` is that of the metric beside it.
pub(super) fn extract(fields: &mut Fields<'_, '_>, name: Option<&str>) -> Option<Extract> {
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
