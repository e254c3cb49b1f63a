//! With what a marker is worked on: the loop, the agent, the sandbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use autoclave_policies::Limits;
use autoclave_policies::yaml::Value;

use super::decode::{Fields, Trouble, kind};
use super::duration::duration;
use super::keys;
use super::places::RulePlace;
use super::policy_file::{self, Policies};
use super::size::size;
use super::values::{
    boolean, cores, count, dollars, filled, host_path, permission_mode, scalar, text, word,
};
use super::{AgentSpec, BackendChoice, BackendKind, LoopLimits, Protocol, SandboxSpec};

const GIB: u64 = 1 << 30;
const MOST: u32 = 1_000_000;

/// Returns the limits of the loop, and the model named there.
pub(super) fn loop_limits(marker: &mut Fields<'_, '_>) -> (LoopLimits, Option<String>) {
    let mut limits = LoopLimits {
        budget_per_experiment: Duration::from_secs(25 * 60),
        max_experiments: 10,
        max_cost_usd: None,
        stop_after_no_gain: 15,
        refine_after: 3,
        pivot_after: 5,
        pivots_before_outside: 2,
        pivots_before_stop: 3,
    };
    let Some(mut fields) = marker.section("loop", &keys::LOOP) else {
        return (limits, None);
    };
    let model = fields.optional("model", filled);
    limits.budget_per_experiment = fields.or(
        "budget_per_experiment",
        limits.budget_per_experiment,
        duration,
    );
    limits.max_experiments = fields.or("max_experiments", limits.max_experiments, count(1..=MOST));
    limits.max_cost_usd = fields.optional("max_cost_usd", dollars);
    limits.stop_after_no_gain = fields.or(
        "stop_after_no_gain",
        limits.stop_after_no_gain,
        count(1..=MOST),
    );
    limits.refine_after = fields.or("refine_after", limits.refine_after, count(1..=MOST));
    limits.pivot_after = fields.or("pivot_after", limits.pivot_after, count(1..=MOST));
    limits.pivots_before_outside = fields.or(
        "pivots_before_outside",
        limits.pivots_before_outside,
        count(0..=MOST),
    );
    limits.pivots_before_stop = fields.or(
        "pivots_before_stop",
        limits.pivots_before_stop,
        count(1..=MOST),
    );
    if limits.pivot_after <= limits.refine_after {
        let key = if fields.node("pivot_after").is_some() {
            "pivot_after"
        } else {
            "refine_after"
        };
        let trouble = Trouble::new(format!(
            "`pivot_after` ({}) must be above `refine_after` ({})",
            limits.pivot_after, limits.refine_after
        ));
        fields.problem(key, trouble.hint("first refine, then pivot: 3 and 5, say"));
    }
    (limits, model)
}

/// Returns the agent; its model is `loop_model` where it names none.
pub(super) fn agent(marker: &mut Fields<'_, '_>, loop_model: Option<String>) -> AgentSpec {
    let mut agent = AgentSpec {
        name: "default".to_owned(),
        model: loop_model,
        permission_mode: "bypassPermissions".to_owned(),
        allowed_tools: Vec::new(),
        disallowed_tools: Vec::new(),
        command: vec!["claude".to_owned()],
        protocol: Protocol::ClaudeCode,
        max_turns: None,
        from_host: false,
    };
    let Some(mut fields) = marker.section("agent", &keys::AGENT) else {
        return agent;
    };
    agent.name = fields.or("name", agent.name, filled);
    agent.model = fields.optional("model", filled).or(agent.model);
    agent.permission_mode = fields.or("permission_mode", agent.permission_mode, permission_mode);
    agent.allowed_tools = texts(&mut fields, "allowed_tools");
    agent.disallowed_tools = texts(&mut fields, "disallowed_tools");
    if fields.node("command").is_some() {
        agent.command = fields
            .list("command", text)
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        let is_list = matches!(
            fields.node("command").map(|node| &node.value),
            Some(Value::Sequence(_))
        );
        let names_none = agent
            .command
            .first()
            .is_none_or(|program| program.trim().is_empty());
        if is_list && names_none {
            let trouble = Trouble::new("names no program").hint("write `[claude]`");
            fields.problem("command", trouble);
        }
    }
    let protocols = [
        ("claude-code", Protocol::ClaudeCode),
        ("none", Protocol::None),
    ];
    agent.protocol = fields.or("protocol", agent.protocol, word(&protocols));
    agent.max_turns = fields.optional("max_turns", count(1..=MOST));
    agent.from_host = fields.or("from_host", agent.from_host, boolean);
    agent
}

fn texts(fields: &mut Fields<'_, '_>, name: &'static str) -> Vec<String> {
    fields
        .list(name, filled)
        .into_iter()
        .map(|(text, _)| text)
        .collect()
}

/// Returns the sandbox; its policy is read with `policies`.
pub(super) fn sandbox(
    marker: &mut Fields<'_, '_>,
    policies: &mut Policies<'_>,
    rules: &mut Vec<RulePlace>,
) -> SandboxSpec {
    let mut sandbox = SandboxSpec {
        backend: BackendChoice::Auto,
        image: super::DEFAULT_IMAGE.to_owned(),
        measure: None,
        policy: policy_file::default_policy(),
        read: Vec::new(),
        env: BTreeMap::new(),
        limits: Limits {
            memory_bytes: 8 * GIB,
            cpus: 2.0,
            pids: 512,
            disk_bytes: 10 * GIB,
        },
        allow_degraded: Vec::new(),
    };
    let Some(mut fields) = marker.section("sandbox", &keys::SANDBOX) else {
        return sandbox;
    };
    let backends = [
        ("auto", BackendChoice::Auto),
        ("process", BackendChoice::Process),
        ("container", BackendChoice::Container),
    ];
    sandbox.backend = fields.or("backend", sandbox.backend, word(&backends));
    sandbox.image = fields.or("image", sandbox.image, filled);
    let kinds = [
        ("process", BackendKind::Process),
        ("container", BackendKind::Container),
    ];
    sandbox.measure = fields.optional("measure", word(&kinds));
    if let Some(name) = fields.optional("policy", filled) {
        match policies.named(&name) {
            Ok(policy) => sandbox.policy = policy.unwrap_or(sandbox.policy),
            Err(trouble) => fields.problem("policy", trouble),
        }
    }
    let read = fields.list("read", host_path);
    for (path, node) in &read {
        rules.push(RulePlace::at(node, "sandbox.read", path));
        if let Some(denied) = sandbox.policy.denial_of(Path::new(path)) {
            let (name, denied) = (&sandbox.policy.name, denied.display());
            let message = format!("`{path}` would show `{denied}`, which policy `{name}` denies");
            let key = fields.key("read");
            let hint = "name the folders that are needed instead, such as `~/.cargo/registry`";
            fields
                .findings
                .problem(node, &key, Trouble::new(message).hint(hint));
        }
    }
    sandbox.read = read.into_iter().map(|(path, _)| path).collect();
    sandbox.env = env(&mut fields);
    let levels = fields.list("allow_degraded", word(&[("landlock", "landlock")]));
    sandbox.allow_degraded = levels
        .into_iter()
        .map(|(level, _)| level.to_owned())
        .collect();
    if let Some(mut fields) = fields.section("limits", &keys::LIMITS) {
        let limits = &mut sandbox.limits;
        limits.memory_bytes = fields.or("memory", limits.memory_bytes, size);
        limits.cpus = fields.or("cpus", limits.cpus, cores);
        limits.pids = fields.or("pids", limits.pids, count(1..=4_194_304));
        limits.disk_bytes = fields.or("disk", limits.disk_bytes, size);
    }
    sandbox
}

/// Returns the variables of `env`.
pub(super) fn env(fields: &mut Fields<'_, '_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(node) = fields.node("env") else {
        return env;
    };
    let path = fields.key("env");
    let Value::Mapping(pairs) = &node.value else {
        let trouble = Trouble::new(format!("expected a mapping, found {}", kind(node)));
        fields
            .findings
            .problem(node, &path, trouble.hint("write `{NAME: \"value\"}`"));
        return env;
    };
    for (key, value) in pairs {
        let name = scalar(key, "a name").map(|scalar| scalar.text.clone());
        let name = name.and_then(|name| {
            if is_variable(&name) {
                Ok(name)
            } else {
                Err(Trouble::new(format!("`{name}` cannot name a variable"))
                    .hint("letters, digits and `_`, not beginning with a digit"))
            }
        });
        match name {
            Err(trouble) => fields.findings.problem(key, &path, trouble),
            Ok(name) => match text(value) {
                Err(trouble) => {
                    let path = format!("{path}.{name}");
                    fields.findings.problem(value, &path, trouble);
                }
                Ok(text) => {
                    env.insert(name, text);
                }
            },
        }
    }
    env
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
