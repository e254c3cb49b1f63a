use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::compile::tests::{any_tree, list, path, patterns, request, root_host, tree, user_host};
use crate::{EntryKind, HostPolicy, PolicyRules, View, compile};

fn host_policy() -> HostPolicy {
    HostPolicy {
        name: "default".to_owned(),
        read: vec![PathBuf::from("/usr"), PathBuf::from("~/.rustup")],
        deny: vec![PathBuf::from("~/.ssh"), PathBuf::from("/etc/shadow")],
        path: Vec::new(),
        env: BTreeMap::new(),
    }
}

/// Who a command is, by which layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Root,
    User,
    Landlock,
    Container,
}

/// Asks `ask` about a tree under rules.
fn with_access<T>(
    rules: &PolicyRules,
    tree: &Tree,
    row: Row,
    ask: impl FnOnce(&Access<'_>, &Policy, &Plan) -> T,
) -> T {
    let policy = Policy::new(rules).unwrap();
    let mut host = match row {
        Row::Root | Row::Container => root_host(),
        Row::User | Row::Landlock => user_host(),
    };
    let mut request = request();
    request.views = ["/usr", "/home/me/.rustup", "/data"]
        .map(|place| View {
            source: PathBuf::from(place),
            target: PathBuf::from(place),
        })
        .to_vec();
    if row == Row::Landlock {
        host.namespaces = crate::Ability::Fails {
            why: "none".to_owned(),
        };
        request.allow_degraded = list(&["landlock"]);
    }
    let plan = compile(&policy, tree, &host, &request).unwrap();
    let host_policy = host_policy();
    let side = HostSide {
        policy: &host_policy,
        home: Some(Path::new("/home/me")),
        protects_hard_links: true,
    };
    let access = Access::new(AccessParts {
        policy: &policy,
        tree,
        plan: &plan,
        backend: match row {
            Row::Container => Backend::Container,
            Row::Root | Row::User | Row::Landlock => Backend::Process,
        },
        host: &side,
    });
    ask(&access, &policy, &plan)
}

fn rules() -> PolicyRules {
    PolicyRules {
        mutable: list(&["src/**", "lone/a"]),
        immutable: list(&["src/fixed.rs"]),
        hidden: list(&["secret/"]),
        scratch: list(&["target/"]),
        named_by_harness: vec![path("src/bench.py")],
        ..PolicyRules::default()
    }
}

fn example() -> Tree {
    let files = [
        "README.md",
        "in@",
        "lone/a",
        "lone/b",
        "loop@",
        "module!",
        "out@",
        "secret/key",
        "src/CLAUDE.md",
        "src/a.rs",
        "src/bench.py",
        "src/build.rs",
        "src/fixed.rs",
        "src/to@",
        "src/whole/b.rs",
        "whole@",
    ];
    let targets = [
        ("in", "src/a.rs"),
        ("loop", "loop"),
        ("out", "../etc/shadow"),
        ("src/to", "../README.md"),
        ("whole", "/workspace/src/whole/"),
    ];
    tree(&files)
        .with_executables([path("README.md")])
        .with_targets(targets.map(|(link, target)| (path(link), target.as_bytes().to_vec())))
}

/// Says, for people, what becomes of each operation.
fn told(row: Row, asked: &[(&str, Operation)]) -> Vec<String> {
    with_access(&rules(), &example(), row, |access, _, _| {
        let tell = |(at, operation): &(&str, Operation)| match at.strip_prefix('/') {
            Some(_) => access.decide_outside(Path::new(at), *operation).to_string(),
            None => access.decide(&path(at), *operation).to_string(),
        };
        asked.iter().map(tell).collect()
    })
}

#[test]
fn with_a_uid_of_its_own_ownership_decides_in_the_markers_words() {
    let said = [
        (
            "src/a.rs",
            Operation::Write,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
        (
            "src/new",
            Operation::CreateFile,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
        (
            "src/Makefile",
            Operation::CreateFile,
            "allowed, taken back at the end: it steers tests or builds (C and C++), and `target.mutable` does not name it",
        ),
        (
            "src/fixed.rs",
            Operation::Write,
            "refused by ownership: `src/fixed.rs` of `target.immutable` covers it",
        ),
        (
            "src/fixed.rs",
            Operation::RenameOver,
            "refused by ownership: `src/fixed.rs` of `target.immutable` covers it",
        ),
        (
            "src/bench.py",
            Operation::RemoveFile,
            "refused by ownership: the metric or a guard names it",
        ),
        (
            "src/build.rs",
            Operation::Chmod,
            "refused by ownership: it steers tests or builds (Rust), and `target.mutable` does not name it",
        ),
        (
            "src/CLAUDE.md",
            Operation::HardLink,
            "refused by ownership: it steers git, agents, editors or CI (`**/CLAUDE.md`), and `target.mutable` does not name it",
        ),
        (
            "src/whole",
            Operation::RenameAway,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
        (
            "src",
            Operation::RenameAway,
            "refused by ownership: `src/` holds what may not change",
        ),
        (
            "README.md",
            Operation::Append,
            "refused by ownership: no pattern of `target` covers it",
        ),
        (
            "README.md",
            Operation::Execute,
            "allowed: it is in the workspace and not hidden",
        ),
        (
            "src/a.rs",
            Operation::Execute,
            "not possible: its mode does not let it be executed",
        ),
        (
            "new",
            Operation::CreateFile,
            "refused by ownership: no pattern of `target` covers it",
        ),
        (
            "secret/key",
            Operation::Read,
            "not possible: `secret/` of `target.hidden` covers it",
        ),
        (
            "secret",
            Operation::List,
            "not possible: `secret/` of `target.hidden` covers it",
        ),
        (
            "target/x",
            Operation::CreateFile,
            "allowed, thrown away: `target/` of `target.scratch` covers it",
        ),
        (
            "target",
            Operation::RemoveDirectory,
            "refused by ownership: in the root nothing can be created, removed or renamed",
        ),
        (
            ".git/x",
            Operation::CreateFile,
            "allowed, thrown away: a `.git` is no part of a commit",
        ),
        (
            "module/x",
            Operation::CreateFile,
            "refused by ownership: no pattern of `target` covers it",
        ),
        (
            "module",
            Operation::RemoveDirectory,
            "refused by ownership: it is a submodule",
        ),
        (
            "in",
            Operation::Write,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
        (
            "in",
            Operation::RemoveFile,
            "refused by ownership: no pattern of `target` covers it",
        ),
        (
            "src/to",
            Operation::Truncate,
            "refused by ownership: no pattern of `target` covers it",
        ),
        (
            "src/to",
            Operation::RemoveFile,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
        (
            "whole/b.rs",
            Operation::SetTimes,
            "allowed, thrown away: `src/**` of `target.mutable` covers it",
        ),
        (
            "loop",
            Operation::Read,
            "not possible: links lead in circles",
        ),
        (
            "out",
            Operation::Read,
            "refused by the mount namespace: `/etc/shadow` of `deny` in policy `default`",
        ),
        (
            "README.md/x",
            Operation::CreateFile,
            "not possible: something above it is no directory",
        ),
        (
            "none/x",
            Operation::CreateFile,
            "not possible: it is not there",
        ),
        (
            "src/a.rs",
            Operation::CreateFile,
            "not possible: it is there already",
        ),
        (
            "src",
            Operation::Write,
            "not possible: it is of another kind",
        ),
    ];
    let asked = said.map(|(at, operation, _)| (at, operation));
    for row in [Row::Root, Row::Container] {
        for ((at, operation, expected), found) in said.iter().zip(told(row, &asked)) {
            assert_eq!(found, *expected, "{row:?}: {operation} {at}");
        }
    }
}

#[test]
fn without_one_landlock_decides_and_says_what_it_does_not_govern() {
    let said = [
        (
            "lone/a",
            Operation::Write,
            "allowed, kept: `lone/a` of `target.mutable` covers it",
        ),
        (
            "lone/a",
            Operation::RemoveFile,
            "refused by Landlock: in `lone/` files can be edited in place, and none created, removed or renamed",
        ),
        (
            "lone/b",
            Operation::RemoveFile,
            "refused by Landlock: no pattern of `target` covers it",
        ),
        (
            "src/new",
            Operation::CreateFile,
            "refused by Landlock: in `src/` files can be edited in place, and none created, removed or renamed",
        ),
        (
            "src/fixed.rs",
            Operation::Write,
            "refused by Landlock: `src/fixed.rs` of `target.immutable` covers it",
        ),
        (
            "src/fixed.rs",
            Operation::Chmod,
            "allowed, taken back at the end: `src/fixed.rs` of `target.immutable` covers it; not governed by Landlock",
        ),
        (
            "src/whole/new",
            Operation::CreateFile,
            "allowed, kept: `src/**` of `target.mutable` covers it",
        ),
    ];
    let asked = said.map(|(at, operation, _)| (at, operation));
    for row in [Row::User, Row::Landlock] {
        for ((at, operation, expected), found) in said.iter().zip(told(row, &asked)) {
            assert_eq!(found, *expected, "{row:?}: {operation} {at}");
        }
    }
}

#[test]
fn what_is_outside_is_told_by_the_hosts_policy() {
    for (row, at, operation, expected) in [
        (
            Row::Root,
            "/usr/bin/env",
            Operation::Execute,
            "allowed: `/usr` of `read` in policy `default`",
        ),
        (
            Row::Root,
            "/usr/x",
            Operation::CreateFile,
            "refused by a read-only mount: `/usr` of `read` in policy `default`",
        ),
        (
            Row::Root,
            "/home/me/.rustup/x",
            Operation::Read,
            "allowed: `~/.rustup` of `read` in policy `default`",
        ),
        (
            Row::Root,
            "/home/me/.ssh/id",
            Operation::Read,
            "refused by the mount namespace: `~/.ssh` of `deny` in policy `default`",
        ),
        (
            Row::Root,
            "/home/me/notes",
            Operation::Read,
            "refused by the mount namespace: policy `default` does not show it",
        ),
        (
            Row::Root,
            "/data/x",
            Operation::Read,
            "allowed: `/data` of `sandbox.read`",
        ),
        (
            Row::Root,
            "/tmp/x",
            Operation::CreateFile,
            "allowed, thrown away: every sandbox has a `/tmp` of its own",
        ),
        (
            Row::Root,
            "/dev/null",
            Operation::Write,
            "allowed, thrown away: a device that does no harm",
        ),
        (
            Row::Root,
            "/dev/sda",
            Operation::Read,
            "refused by the mount namespace: a device that does no harm",
        ),
        (
            Row::Root,
            "/workspace/src/a.rs",
            Operation::Read,
            "allowed: it is in the workspace and not hidden",
        ),
        (
            Row::Container,
            "/etc/passwd",
            Operation::Write,
            "refused by ownership: what is there comes with the image",
        ),
        (
            Row::Container,
            "/home/me/notes",
            Operation::Read,
            "refused by the mount namespace: policy `default` does not show it",
        ),
        (
            Row::Landlock,
            "/home/me/notes",
            Operation::Read,
            "refused by Landlock: policy `default` does not show it",
        ),
        (
            Row::Landlock,
            "/home/me/notes",
            Operation::Chmod,
            "allowed, kept: policy `default` does not show it; not governed by Landlock",
        ),
    ] {
        assert_eq!(
            told(row, &[(at, operation)]),
            [expected],
            "{row:?}: {operation} {at}"
        );
    }
}

#[test]
fn the_network_is_the_models_service_or_nothing() {
    let model = Some("api.anthropic.com");
    for (level, host, model, expected) in [
        (
            Level::Sealed,
            "example.org",
            model,
            "refused by the network namespace: sandboxes have no network",
        ),
        (
            Level::Landlock,
            "example.org",
            model,
            "refused by seccomp: sandboxes have no network",
        ),
        (
            Level::Sealed,
            "api.anthropic.com",
            None,
            "refused by the network namespace: sandboxes have no network",
        ),
        (
            Level::Sealed,
            "API.anthropic.com",
            model,
            "allowed: `API.anthropic.com` is the model's service: its messages pass through the gateway, and nothing else",
        ),
    ] {
        assert_eq!(connect(level, host, model).to_string(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_model_agrees_with_what_was_compiled(
        tree in any_tree(),
        (mutable, immutable, hidden, scratch) in (patterns(), patterns(), patterns(), patterns()),
        row in prop_oneof![Just(Row::Root), Just(Row::User), Just(Row::Landlock), Just(Row::Container)],
    ) {
        let rules = PolicyRules { mutable, immutable, hidden, scratch, ..PolicyRules::default() };
        with_access(&rules, &tree, row, |access, policy, plan| {
            for (path, kind) in tree.entries() {
                agrees(access, policy, plan, path, kind)?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}

/// Checks what must hold of one entry, whatever the model's own reasons are.
fn agrees(
    access: &Access<'_>,
    policy: &Policy,
    plan: &Plan,
    path: &RepoPath,
    kind: EntryKind,
) -> Result<(), TestCaseError> {
    let class = policy.class_of(path);
    for operation in Operation::ALL {
        let decision = access.decide(path, operation);
        let shown = format!("{operation} {path}: {decision}");
        let makes_it = matches!(
            operation,
            Operation::CreateFile
                | Operation::CreateDirectory
                | Operation::CreateLink
                | Operation::RenameOver
        );
        match class {
            Class::Hidden => prop_assert!(!decision.is_allowed || makes_it, "{}", shown),
            Class::Immutable | Class::ReadOnly if operation.changes() => {
                let is_open = decision.layer == Layer::Ungoverned;
                prop_assert!(!decision.is_allowed || is_open, "{}", shown);
            }
            _ => {}
        }
        if decision.outcome == Some(Outcome::Kept) {
            prop_assert_eq!(class, Class::Mutable, "{}", shown);
        }
        prop_assert_eq!(
            decision.outcome.is_some(),
            decision.is_allowed && operation.changes(),
            "{}",
            shown
        );
    }
    if kind == EntryKind::File && class != Class::Hidden {
        let is_writable = access.decide(path, Operation::Write).is_allowed;
        prop_assert_eq!(is_writable, plan.is_writable(path), "{}", path);
        prop_assert_eq!(is_writable, class.is_writable(), "{}", path);
        prop_assert!(access.decide(path, Operation::Read).is_allowed, "{}", path);
    }
    Ok(())
}
