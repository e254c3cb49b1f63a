//! What a marker watches beside its metric: its guards and what it tracks.

use autoclave_policies::yaml::{Meaning, Node, Value};

use super::decode::{Fields, Trouble, kind};
use super::duration::duration;
use super::goal::{DIRECTIONS, MINUTE, extract};
use super::keys;
use super::percent::fraction;
use super::values::{boolean, count, filled, guard_name, metric, metric_name, real, scalar, word};
use super::{Counting, Dialect, GuardSpec, LineGuard, Strictness, Tolerance};
use crate::model::{Direction, TestFormat};

/// The guards of a marker, by where their output comes from.
#[derive(Default)]
pub(super) struct Guards {
    pub commands: Vec<GuardSpec>,
    pub lines: Vec<LineGuard>,
}

enum Guard {
    Command(GuardSpec),
    Line(LineGuard),
}

impl Guards {
    fn push(&mut self, guard: Guard) {
        match guard {
            Guard::Command(guard) => self.commands.push(guard),
            Guard::Line(guard) => self.lines.push(guard),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.commands.iter().any(|guard| guard.name == name)
            || self.lines.iter().any(|guard| guard.name == name)
    }
}

impl Guard {
    fn name(&self) -> &str {
        match self {
            Self::Command(guard) => &guard.name,
            Self::Line(guard) => &guard.name,
        }
    }
}

/// Returns the guards of `guard` or `guards`, named.
pub(super) fn guards(marker: &mut Fields<'_, '_>) -> Guards {
    let mut guards = Guards::default();
    if let (Some(_), Some(second)) = (marker.node("guard"), marker.node("guards")) {
        let path = marker.key("guards");
        let trouble = Trouble::new("both `guard` and `guards` are given")
            .hint("move the one of `guard` into the list of `guards`");
        marker.findings.problem(second, &path, trouble);
    }
    if let Some(fields) = marker.section("guard", &keys::GUARD)
        && let Some(guard) = guard(fields, 1)
    {
        guards.push(guard);
    }
    let Some(node) = marker.node("guards") else {
        return guards;
    };
    let path = marker.key("guards");
    let Value::Sequence(items) = &node.value else {
        let trouble = Trouble::new(format!("expected a list, found {}", kind(node)));
        let trouble = trouble.hint("write `- command: ...`, or `guard:` for a single one");
        marker.findings.problem(node, &path, trouble);
        return guards;
    };
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let fields = Fields::open(marker.findings, item, path.clone(), &keys::GUARD);
        let Some(guard) = guard(fields, index + 1) else {
            continue;
        };
        if guards.has(guard.name()) {
            let trouble = Trouble::new(format!("a second guard `{}`", guard.name()));
            let trouble = trouble.hint("give each guard a name of its own");
            marker.findings.problem(item, &path, trouble);
        }
        guards.push(guard);
    }
    guards
}

/// Returns the names of `track`.
pub(super) fn track(marker: &mut Fields<'_, '_>) -> Vec<String> {
    let named = marker.list("track", line_name);
    let mut names: Vec<String> = Vec::new();
    for (name, node) in named {
        if names.contains(&name) {
            let path = marker.key("track");
            let trouble = Trouble::new(format!("`{name}` is tracked twice"));
            let trouble = trouble.hint("name each once");
            marker.findings.problem(node, &path, trouble);
        } else {
            names.push(name);
        }
    }
    names
}

fn line_name(node: &Node) -> Result<String, Trouble> {
    let name = metric_name(node)?;
    if name.is_empty() {
        return Err(Trouble::new("is empty")
            .hint("write the name of a `METRIC name=value` line, such as `rss`"));
    }
    Ok(name)
}

fn guard(mut fields: Fields<'_, '_>, number: usize) -> Option<Guard> {
    let unnamed = match number {
        1 => "guard".to_owned(),
        _ => format!("guard-{number}"),
    };
    let given = fields.optional("name", guard_name);
    let name = given.clone().unwrap_or(unnamed);
    if fields.node("metric").is_some() {
        return line_guard(fields, name).map(Guard::Line);
    }
    let hint = "write the shell command that checks, or `metric: NAME` of what the metric prints";
    let command = fields.required("command", hint, filled);
    let extract = extract(&mut fields, given.as_deref());
    if fields.node("extract").is_none() {
        without_extract(&mut fields, "threshold");
        without_extract(&mut fields, "direction");
        if is_soft(&mut fields) {
            let trouble = Trouble::new("a soft guard compares a number, and here is none");
            fields.problem("kind", trouble.hint("add `extract`, or remove `kind`"));
        }
    }
    let threshold = fields.optional("threshold", metric);
    let direction = fields.or("direction", Direction::Higher, word(&DIRECTIONS));
    let strictness = strictness(&mut fields);
    let hidden = fields.or("hidden", false, boolean);
    let liveness = fields.or("liveness", false, boolean);
    let counting = counting_words();
    let tests = fields.or("tests", Counting::Auto, word(&counting));
    // Every answer tells the agent something of a check that it should not know.
    let most = if hidden { 0 } else { 2 };
    let mut rework_attempts = fields.or("rework_attempts", most, count(0..=100));
    if let Strictness::Soft { .. } = strictness {
        if fields.node("rework_attempts").is_some() {
            let trouble = Trouble::new("a soft guard never goes back to the agent");
            fields.problem(
                "rework_attempts",
                trouble.hint("remove it, or `kind: soft`"),
            );
        }
        rework_attempts = 0;
    }
    let timeout = fields.or("timeout", 10 * MINUTE, duration);
    Some(Guard::Command(GuardSpec {
        name,
        command: command?,
        threshold: threshold.filter(|_| extract.is_some()),
        extract,
        direction,
        strictness,
        tests,
        hidden,
        liveness,
        rework_attempts,
        timeout,
    }))
}

/// Reads a guard on a number that the metric's command prints.
fn line_guard(mut fields: Fields<'_, '_>, name: String) -> Option<LineGuard> {
    for other in [
        "command",
        "extract",
        "tests",
        "hidden",
        "liveness",
        "rework_attempts",
        "timeout",
    ] {
        if fields.node(other).is_some() {
            let trouble = Trouble::new(format!("`{other}` means nothing beside `metric`"));
            let hint = "`metric` reads a line that the metric's command prints, and runs nothing";
            fields.problem(other, trouble.hint(hint));
        }
    }
    let line = fields.optional("metric", line_name);
    let threshold = fields.optional("threshold", metric);
    let direction = fields.or("direction", Direction::Higher, word(&DIRECTIONS));
    let strictness = strictness(&mut fields);
    Some(LineGuard {
        name,
        line: line?,
        threshold,
        direction,
        strictness,
    })
}

const KINDS: [(&str, bool); 2] = [("hard", false), ("soft", true)];

fn is_soft(fields: &mut Fields<'_, '_>) -> bool {
    let kind = fields.node("kind").map(word(&KINDS));
    kind.is_some_and(|kind| kind == Ok(true))
}

fn strictness(fields: &mut Fields<'_, '_>) -> Strictness {
    let is_soft = fields.or("kind", false, word(&KINDS));
    let given = fields.optional("tolerance", tolerance);
    if is_soft {
        let tolerance = given.unwrap_or(Tolerance::Share(0.0));
        return Strictness::Soft { tolerance };
    }
    if fields.node("tolerance").is_some() {
        let trouble = Trouble::new("`tolerance` means nothing without `kind: soft`");
        let hint = "add `kind: soft`, or move `threshold` instead";
        fields.problem("tolerance", trouble.hint(hint));
    }
    Strictness::Hard
}

/// Reads `2%` of the bound, or an amount in the number's own unit.
fn tolerance(node: &Node) -> Result<Tolerance, Trouble> {
    const HINT: &str = "write `2%` of the bound, or an amount such as `3`";
    let scalar = scalar(node, "a tolerance")?;
    if scalar.meaning() == Meaning::Text && scalar.text.ends_with('%') {
        return fraction(node).map(Tolerance::Share);
    }
    let amount = real(node).map_err(|trouble| trouble.hint(HINT))?;
    if amount < 0.0 {
        return Err(Trouble::new("must not be below 0").hint(HINT));
    }
    Ok(Tolerance::Amount(amount))
}

fn counting_words() -> Vec<(&'static str, Counting)> {
    let formats = TestFormat::ALL.map(|format| (format.word(), Counting::Only(format)));
    let words = [("auto", Counting::Auto), ("off", Counting::Off)];
    words.into_iter().chain(formats).collect()
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
