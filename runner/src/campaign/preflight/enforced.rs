//! What the plan enforces, told to people.

use autoclave_policies::{Grant, Identity, Level};

use super::report::{Area, CheckReport};
use crate::campaign::bench::Role;
use crate::campaign::explain::granted;
use crate::campaign::workshop::Workshop;
use crate::event::MeasuredIn;
use crate::marker::ConfigFile;

/// How many names a list shows.
const SHOWN: usize = 10;

pub(super) fn check(workshop: &Workshop, config: &ConfigFile, report: &mut CheckReport) {
    for role in workshop.benches.roles() {
        backend(workshop, *role, report);
    }
    target(workshop, config, report);
    for role in workshop.benches.roles() {
        policy(workshop, *role, report);
    }
    in_place(workshop, report);
    for warning in workshop.warnings() {
        report.warn(Area::Repository, "submodules", warning, None);
    }
    harness(workshop, report);
    held_back(workshop, report);
    for role in workshop.benches.roles() {
        limits(workshop, *role, report);
    }
}

fn backend(workshop: &Workshop, role: Role, report: &mut CheckReport) {
    let name = workshop.benches.named("backend", role);
    let bench = workshop.bench(role);
    let enforcement = bench.sandbox.enforcement();
    let layers = enforcement
        .layers
        .iter()
        .map(|layer| format!("{}: {}", layer.name, layer.detail));
    let why = bench.chosen_because.iter();
    let why = why.map(|why| format!("`auto` took it, since: {why}"));
    let layers = layers.chain(why).collect::<Vec<_>>().join("; ");
    match enforcement.level {
        Level::Sealed => {
            let detail = format!("{}, sealed; {layers}", enforcement.backend);
            report.ok(Area::Sandbox, &name, detail);
        }
        Level::Landlock => {
            let detail = format!("{}, landlock only; {layers}", enforcement.backend);
            let hint = "SECURITY.md lists what stays open at this level, which \
                        `sandbox.allow_degraded` accepts";
            report.warn(Area::Sandbox, &name, detail, Some(hint));
        }
    }
    for warning in enforcement.warnings {
        let hint = "update it; a distribution may have patched it without a new number: its \
                    security tracker says so";
        report.warn(Area::Sandbox, "escape", warning, Some(hint));
    }
    let (backend, level) = (enforcement.backend, enforcement.level);
    match role {
        Role::Agent => {
            report.backend = Some(backend);
            report.level = Some(level);
        }
        Role::Measure => report.measured_in = Some(MeasuredIn { backend, level }),
    }
}

fn target(workshop: &Workshop, config: &ConfigFile, report: &mut CheckReport) {
    let is_match = |glob: &str| !workshop.idle_globs.iter().any(|idle| idle == glob);
    if let Err(problems) = config.check_against_tree(&workshop.marker.name, &is_match) {
        report.problems(&problems, "target");
    } else if let Err(error) = workshop.check_target() {
        let hint = "`harness` and `held back` below list what is protected";
        report.fail(Area::Config, "target", error.to_string(), Some(hint));
    } else {
        let globs = workshop.marker.target.mutable.join(", ");
        report.ok(Area::Config, "target", format!("mutable: {globs}"));
    }
}

fn policy(workshop: &Workshop, role: Role, report: &mut CheckReport) {
    let plan = &workshop.bench(role).plan;
    let writable = plan.grants.iter().map(granted);
    let shown = plan
        .views
        .iter()
        .map(|view| view.target.display().to_string());
    let detail = format!(
        "`{}`; writable: {}; shown of this machine: {}; all else is read-only or absent",
        workshop.marker.sandbox.policy.name,
        list(writable),
        list(shown),
    );
    let name = workshop.benches.named("policy", role);
    report.ok(Area::Sandbox, &name, detail);
}

fn in_place(workshop: &Workshop, report: &mut CheckReport) {
    let plan = &workshop.bench(Role::Agent).plan;
    let mut directories: Vec<String> = plan.in_place.iter().map(ToString::to_string).collect();
    let holds_files_of_root = plan
        .grants
        .iter()
        .any(|grant| matches!(grant, Grant::File { path } if path.parent().is_none()));
    if plan.identity == Identity::SameUser && holds_files_of_root && !plan.can_create_in(None) {
        directories.insert(0, "the root".to_owned());
    }
    if directories.is_empty() {
        return;
    }
    let detail = format!(
        "in these directories, files can be edited in place, and none created, removed or \
         renamed: {}",
        list(directories.into_iter())
    );
    let hint = "run as root, use the container backend, or make whole directories mutable \
                (`src/`), with nothing immutable beneath";
    report.warn(Area::Sandbox, "in place", detail, Some(hint));
}

fn harness(workshop: &Workshop, report: &mut CheckReport) {
    let files = workshop.harness.iter();
    let (kept, mut given): (Vec<_>, Vec<_>) = files.partition(|path| !workshop.is_mutable(path));
    given.extend(&workshop.steering.open);
    given.sort();
    given.dedup();
    if !given.is_empty() {
        let names = list(given.iter().map(ToString::to_string));
        let detail = format!("the agent may change what measures it: {names}");
        let hint = "take them out of `target.mutable`, where they are named";
        report.warn(Area::Config, "harness", detail, Some(hint));
    }
    let hidden = &workshop.hidden_harness;
    if !hidden.is_empty() {
        let names = list(hidden.iter().map(ToString::to_string));
        let detail = format!("absent from the agent's sandbox: {names}");
        report.ok(Area::Config, "hidden guards", detail);
    }
    if kept.is_empty() {
        let detail = "metric and guards name no file of the repository";
        let hint = "list under `target.immutable` what measures: tests, benchmarks, their data";
        report.warn(Area::Config, "harness", detail, Some(hint));
    } else {
        let names = list(kept.iter().map(ToString::to_string));
        report.ok(Area::Config, "harness", format!("protected: {names}"));
    }
}

/// Names what steers tests and builds, and stays as it is although a mutable glob matches it.
fn held_back(workshop: &Workshop, report: &mut CheckReport) {
    let files = &workshop.steering.held_back;
    if files.is_empty() {
        return;
    }
    let mut detail = list(files.iter().map(ToString::to_string));
    detail.push_str("; new files of such names are dropped, too");
    let hint = "they steer tests or builds; `target.mutable` opens one by naming its very path";
    report.noted(Area::Config, "held back", detail, hint);
}

fn limits(workshop: &Workshop, role: Role, report: &mut CheckReport) {
    let name = workshop.benches.named("limits", role);
    let bench = workshop.bench(role);
    let limits = bench.plan.limits;
    let gib = |bytes: u64| bytes as f64 / f64::from(1_u32 << 30);
    let said = format!(
        "memory {:.1} GiB, cpus {}, pids {}, disk {:.1} GiB",
        gib(limits.memory_bytes),
        limits.cpus,
        limits.pids,
        gib(limits.disk_bytes)
    );
    let has_memory = memory_of_host();
    if let Some(there) = has_memory.filter(|there| *there < limits.memory_bytes) {
        let detail = format!("{said}; this machine has {:.1} GiB of memory", gib(there));
        let hint = "lower `sandbox.limits.memory`, so that the machine itself does not run out";
        report.warn(Area::Sandbox, &name, detail, Some(hint));
    } else if bench.limits_each_process {
        let detail = format!("{said}; without a cgroup, memory is limited for each process alone");
        let hint = "a cgroup that this user may write limits all of them together";
        report.warn(Area::Sandbox, &name, detail, Some(hint));
    } else {
        report.ok(Area::Sandbox, &name, said);
    }
}

/// Returns the bytes of memory that this machine has; `None` where /proc does not say.
fn memory_of_host() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{shown} and {} more", count - SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn long_lists_say_how_much_they_leave_out() {
        let names = |count: usize| (0..count).map(|n| n.to_string());
        assert_eq!(list(names(0)), "nothing");
        assert_eq!(list(names(10)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(list(names(12)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
