//! A plan in words: `autoclave check --explain`.

use autoclave_policies::{Identity, Level, Limits};
use autoclave_runner::campaign::{BackendExplained, Explanation, Role, granted};

use crate::reporter::words::one_line;
use crate::sheet::Sheet;

/// What [`Level::Landlock`] leaves open; SECURITY.md tells it at length.
const OPEN_AT_LANDLOCK: &str = "names, modes and times of files outside can be seen, and as an \
    ordinary user changed; processes of the host can be listed; while the gateway is on, every unix \
    socket that the uid may use can be reached; disk is limited for each file alone (SECURITY.md)";

/// What every level leaves open.
const OPEN_AT_ALL: &str = "the host's kernel is shared; what the agent may read it can send to the \
    model's service (SECURITY.md)";

/// Returns what will be enforced, in lines that do not depend on the terminal.
pub fn text(explanation: &Explanation) -> String {
    let mut sheet = Sheet::with_indent(13);
    let Explanation {
        marker,
        base,
        policy,
        target,
        ..
    } = explanation;
    sheet.heading(&format!("marker `{marker}` on {}", base.short()));
    for (name, globs) in [
        ("mutable", &target.mutable),
        ("immutable", &target.immutable),
        ("hidden", &target.hidden),
        ("scratch", &target.scratch),
    ] {
        if !globs.is_empty() {
            sheet.list(name, &quoted(globs));
        }
    }
    sheet.list("harness", &strings(&explanation.harness));
    if !explanation.submodules.is_empty() {
        sheet.list("submodules", &strings(&explanation.submodules));
    }
    sheet.prose("policy", &one_line(policy, usize::MAX));
    for backend in &explanation.backends {
        backend_in_words(explanation, backend, &mut sheet);
    }
    sheet.into_text()
}

fn backend_in_words(explanation: &Explanation, backend: &BackendExplained, sheet: &mut Sheet) {
    let plan = &backend.plan;
    let is_agents = backend.roles.contains(&Role::Agent);
    let roles = match backend.roles.as_slice() {
        [Role::Agent] => "the agent",
        [Role::Measure] => "measurements",
        _ => "the agent and measurements",
    };
    sheet.heading(&format!("{roles}: {} backend", backend.enforcement.backend));
    if let Some(why) = &backend.chosen_because {
        sheet.prose("chosen", &one_line(why, usize::MAX));
    }
    if let Some(image) = &backend.image {
        sheet.prose("image", &format!("{} ({})", image.name, image.id));
    }
    sheet.prose("level", level(plan.level));
    sheet.prose("identity", &identity(plan.identity));
    let grants: Vec<String> = plan.grants.iter().map(granted).collect();
    sheet.list("writable", &grants);
    if !plan.in_place.is_empty() {
        let directories: Vec<String> = plan
            .in_place
            .iter()
            .map(|path| format!("{path}/"))
            .collect();
        sheet.list("in place", &directories);
        sheet.prose(
            "",
            "(files there can be edited, and none created, removed or renamed)",
        );
    }
    sheet.prose("read-only", "all else of the commit");
    if is_agents && !explanation.hidden.is_empty() {
        sheet.list("absent", &strings(&explanation.hidden));
    }
    let views: Vec<String> = plan
        .views
        .iter()
        .map(|view| one_line(&view.target.display().to_string(), usize::MAX))
        .collect();
    sheet.list("shown", &views);
    sheet.prose("its own", own_places(plan.level));
    sheet.prose("network", &network(explanation, backend));
    sheet.list(
        "env",
        &backend.env_names.iter().cloned().collect::<Vec<_>>(),
    );
    if is_agents && !backend.agent_env_names.is_empty() {
        let names: Vec<String> = backend.agent_env_names.iter().cloned().collect();
        sheet.list("agent env", &names);
    }
    sheet.prose("limits", &limits(&plan.limits));
    for (at, layer) in backend.enforcement.layers.iter().enumerate() {
        let name = if at == 0 { "enforced" } else { "" };
        let detail = format!("{}: {}", layer.name, layer.detail);
        sheet.prose(name, &one_line(&detail, usize::MAX));
    }
    if plan.level == Level::Landlock {
        sheet.prose("open", OPEN_AT_LANDLOCK);
    }
    sheet.prose("open", OPEN_AT_ALL);
    for warning in &backend.enforcement.warnings {
        sheet.prose("warning", &one_line(warning, usize::MAX));
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Sealed => "sealed: every layer is in force",
        Level::Landlock => "landlock: no namespaces, accepted by `sandbox.allow_degraded`",
    }
}

fn own_places(level: Level) -> &'static str {
    match level {
        Level::Sealed => {
            "a home, /tmp, /dev/shm, /proc, a few devices and the workspace's .git, thrown away"
        }
        Level::Landlock => "a home, a folder for /tmp and the copy's .git, thrown away",
    }
}

fn identity(identity: Identity) -> String {
    match identity {
        Identity::SecondUid { uid, gid } => {
            format!("uid {uid} and gid {gid} of its own: what may not change belongs to root")
        }
        Identity::SameUser => {
            "the user's own uid: Landlock alone tells what may change from what may not".to_owned()
        }
    }
}

fn network(explanation: &Explanation, backend: &BackendExplained) -> String {
    let mut text = match backend.roles.as_slice() {
        [Role::Measure] => "none".to_owned(),
        [Role::Agent] => "none but the gateway's unix socket, for the model's messages".to_owned(),
        _ => {
            "none; the agent's only way out is the gateway's unix socket, for the model's messages"
                .to_owned()
        }
    };
    if explanation.prepares {
        text.push_str("; `prepare`, your own command, has the host's");
    }
    text
}

fn limits(limits: &Limits) -> String {
    format!(
        "memory {}, cpus {}, processes and threads {}, disk {}",
        size(limits.memory_bytes),
        limits.cpus,
        limits.pids,
        size(limits.disk_bytes)
    )
}

/// Returns a size in the largest unit that it is a whole number of, as configurations write it.
fn size(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M')];
    let fitting = units
        .iter()
        .find(|(shift, _)| bytes >> shift << shift == bytes && bytes > 0);
    match fitting {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

fn quoted(globs: &[String]) -> Vec<String> {
    let globs = globs.iter();
    globs
        .map(|glob| format!("`{}`", one_line(glob, usize::MAX)))
        .collect()
}

fn strings<T: ToString>(paths: &[T]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use autoclave_policies::{Grant, Plan, RepoPath, View};
    use autoclave_runner::marker::Target;
    use autoclave_runner::sandbox::{Enforcement, Layer};

    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn backend(level: Level, identity: Identity, roles: &[Role]) -> BackendExplained {
        let names = ["HOME", "LANG", "PATH"].map(str::to_owned);
        BackendExplained {
            roles: roles.to_vec(),
            enforcement: Enforcement {
                backend: "process".to_owned(),
                level,
                layers: vec![Layer {
                    name: "paths".to_owned(),
                    detail: "Landlock 7, fully enforced".to_owned(),
                }],
                warnings: Vec::new(),
            },
            chosen_because: Some("no engine\u{7}answers".to_owned()),
            image: None,
            env_names: names.into_iter().collect(),
            agent_env_names: ["IS_SANDBOX".to_owned()].into_iter().collect(),
            plan: Plan {
                version: 1,
                level,
                identity,
                grants: vec![
                    Grant::Open { path: None },
                    Grant::File {
                        path: path("a.txt"),
                    },
                    Grant::Tree {
                        path: path("src"),
                        created: false,
                    },
                ],
                in_place: match identity {
                    Identity::SameUser => vec![path("data")],
                    Identity::SecondUid { .. } => Vec::new(),
                },
                views: vec![View {
                    source: "/usr".into(),
                    target: "/usr".into(),
                }],
                env: BTreeMap::new(),
                limits: Limits {
                    memory_bytes: 8 << 30,
                    cpus: 1.5,
                    pids: 64,
                    disk_bytes: (1 << 20) + 1,
                },
            },
        }
    }

    fn explanation(backends: Vec<BackendExplained>) -> Explanation {
        Explanation {
            marker: "smaller".to_owned(),
            base: "0123456789abcdef0123456789abcdef01234567"
                .to_owned()
                .try_into()
                .unwrap(),
            policy: "default".to_owned(),
            target: Target {
                mutable: vec!["src/**".to_owned(), "*.txt".to_owned()],
                immutable: vec!["tests/**".to_owned()],
                hidden: vec!["secret/".to_owned()],
                scratch: Vec::new(),
            },
            harness: vec![path("tests/measure.sh")],
            hidden: vec![path("secret/answers")],
            submodules: vec![path("vendor")],
            prepares: true,
            backends,
        }
    }

    #[test]
    fn a_plan_that_serves_both_is_told_once() {
        let identity = Identity::SecondUid {
            uid: 64_500,
            gid: 64_500,
        };
        let both = backend(Level::Sealed, identity, &[Role::Agent, Role::Measure]);
        insta::assert_snapshot!(text(&explanation(vec![both])));
    }

    #[test]
    fn what_a_lesser_level_leaves_open_is_told_beside_what_is_measured_elsewhere() {
        let agent = backend(Level::Landlock, Identity::SameUser, &[Role::Agent]);
        let identity = Identity::SecondUid { uid: 1, gid: 2 };
        let measure = backend(Level::Sealed, identity, &[Role::Measure]);
        insta::assert_snapshot!(text(&explanation(vec![agent, measure])));
    }
}
