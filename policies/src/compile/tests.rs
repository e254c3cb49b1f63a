use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::{Ability, EntryKind, Grant, Level, PolicyRules, RepoPath};

pub(crate) fn path(text: &str) -> RepoPath {
    RepoPath::try_from(text).unwrap()
}

pub(crate) fn list(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

/// A tree of files; `x@` is a link, `x!` a submodule.
pub(crate) fn tree(files: &[&str]) -> Tree {
    Tree::new(files.iter().map(|file| {
        if let Some(link) = file.strip_suffix('@') {
            (path(link), EntryKind::Symlink)
        } else if let Some(module) = file.strip_suffix('!') {
            (path(module), EntryKind::Submodule)
        } else {
            (path(file), EntryKind::File)
        }
    }))
}

pub(crate) fn root_host() -> HostCapabilities {
    HostCapabilities {
        second_uid: Some((4242, 4242)),
        namespaces: Ability::Works,
        overlay: Ability::Works,
        landlock_abi: 7,
        seccomp: Ability::Works,
        identity: Ability::Works,
        cgroup: true,
    }
}

fn missing(why: &str) -> Ability {
    Ability::Fails {
        why: why.to_owned(),
    }
}

pub(crate) fn user_host() -> HostCapabilities {
    HostCapabilities {
        second_uid: None,
        ..root_host()
    }
}

pub(crate) fn request() -> PlanRequest {
    PlanRequest {
        views: Vec::new(),
        env: BTreeMap::new(),
        limits: Limits {
            memory_bytes: 1 << 30,
            cpus: 1.0,
            pids: 100,
            disk_bytes: 1 << 30,
        },
        allow_degraded: Vec::new(),
    }
}

fn plan(rules: &PolicyRules, files: &[&str], host: &HostCapabilities) -> Plan {
    let policy = Policy::new(rules).unwrap();
    compile(&policy, &tree(files), host, &request()).unwrap()
}

fn whole(at: &str) -> Grant {
    Grant::Tree {
        path: path(at),
        created: false,
    }
}

fn made(at: &str) -> Grant {
    Grant::Tree {
        path: path(at),
        created: true,
    }
}

fn open(at: &str) -> Grant {
    Grant::Open {
        path: (!at.is_empty()).then(|| path(at)),
    }
}

fn file(at: &str) -> Grant {
    Grant::File { path: path(at) }
}

#[test]
fn one_file_beside_its_benchmark_opens_the_root_for_a_second_uid() {
    let rules = PolicyRules {
        mutable: list(&["solver.py"]),
        named_by_harness: vec![path("bench.py")],
        ..PolicyRules::default()
    };
    let files = ["bench.py", "docs/a.md", "solver.py"];
    assert_eq!(
        plan(&rules, &files, &root_host()).grants,
        [open(""), file("solver.py")]
    );
    let same_user = plan(&rules, &files, &user_host());
    assert_eq!(same_user.grants, [file("solver.py")]);
    assert_eq!(same_user.identity, Identity::SameUser);
}

#[test]
fn a_rust_crate_gets_whole_sources_and_an_empty_target() {
    let rules = PolicyRules {
        mutable: list(&["src/**"]),
        immutable: list(&["src/ffi/**"]),
        scratch: list(&["target/"]),
        ..PolicyRules::default()
    };
    let files = [
        ".gitignore",
        "Cargo.toml",
        "src/ffi/c.rs",
        "src/lib.rs",
        "src/net/http.rs",
        "src/net/tls/mod.rs",
        "tests/it.rs",
    ];
    assert_eq!(
        plan(&rules, &files, &root_host()).grants,
        [
            open("src"),
            file("src/lib.rs"),
            whole("src/net"),
            made("target")
        ]
    );
    let same_user = plan(&rules, &files, &user_host());
    assert_eq!(
        same_user.grants,
        [file("src/lib.rs"), whole("src/net"), made("target")]
    );
    assert_eq!(same_user.in_place, [path("src")]);
}

#[test]
fn a_directory_of_one_kind_is_granted_whole() {
    let rules = PolicyRules {
        mutable: list(&["src/"]),
        ..PolicyRules::default()
    };
    assert_eq!(
        plan(&rules, &["README", "src/a", "src/b/c"], &root_host()).grants,
        [whole("src")]
    );
}

#[test]
fn everything_mutable_opens_the_root_which_is_no_tree() {
    let rules = PolicyRules {
        mutable: list(&["**"]),
        ..PolicyRules::default()
    };
    assert_eq!(
        plan(&rules, &["a", "b/c", "d/CLAUDE.md", "d/e"], &root_host()).grants,
        [open(""), file("a"), whole("b"), open("d"), file("d/e")]
    );
}

#[test]
fn submodules_and_hidden_files_keep_their_directory_mixed() {
    let rules = PolicyRules {
        mutable: list(&["a/", "b/"]),
        hidden: list(&["b/answers.txt"]),
        ..PolicyRules::default()
    };
    let granted = plan(
        &rules,
        &["a/x", "a/module!", "b/answers.txt", "b/y"],
        &root_host(),
    );
    assert_eq!(
        granted.grants,
        [open("a"), file("a/x"), open("b"), file("b/y")]
    );
    assert!(!granted.is_writable(&path("a/module")));
}

#[test]
fn a_link_is_granted_itself_and_only_where_ownership_protects() {
    let rules = PolicyRules {
        mutable: list(&["link", "solver.py"]),
        ..PolicyRules::default()
    };
    let files = ["bench.py", "link@", "solver.py"];
    assert_eq!(
        plan(&rules, &files, &root_host()).grants,
        [open(""), file("link"), file("solver.py")]
    );
    assert_eq!(
        plan(&rules, &files, &user_host()).grants,
        [file("solver.py")]
    );
}

#[test]
fn a_missing_mutable_directory_is_made_rather_than_its_parent_opened() {
    let rules = PolicyRules {
        mutable: list(&["gen/out/*.rs"]),
        ..PolicyRules::default()
    };
    assert_eq!(
        plan(&rules, &["README"], &root_host()).grants,
        [made("gen/out")]
    );
}

#[test]
fn nothing_is_made_inside_a_link_or_a_submodule() {
    let rules = PolicyRules {
        mutable: list(&["link/new/", "module/new/"]),
        ..PolicyRules::default()
    };
    assert_eq!(plan(&rules, &["link@", "module!"], &root_host()).grants, []);
}

#[test]
fn scratch_wildcards_are_granted_where_they_exist_and_open_nothing() {
    let rules = PolicyRules {
        scratch: list(&["**/__pycache__/", "*.log"]),
        ..PolicyRules::default()
    };
    assert_eq!(
        plan(&rules, &["a/__pycache__/x", "a/b", "c/d"], &root_host()).grants,
        [whole("a/__pycache__")]
    );
}

#[test]
fn a_file_named_in_a_protected_directory_is_written_in_place_only() {
    let rules = PolicyRules {
        mutable: list(&[".github/workflows/ci.yml"]),
        ..PolicyRules::default()
    };
    let files = [".github/workflows/ci.yml", "README"];
    assert_eq!(
        plan(&rules, &files, &root_host()).grants,
        [file(".github/workflows/ci.yml")]
    );
}

#[test]
fn a_host_without_namespaces_is_refused_until_accepted_by_name() {
    let policy = Policy::new(&PolicyRules::default()).unwrap();
    let host = HostCapabilities {
        namespaces: missing("unshare: EPERM"),
        ..user_host()
    };
    let refusals = compile(&policy, &tree(&[]), &host, &request()).unwrap_err();
    let rules: Vec<_> = refusals.iter().map(|r| r.rule.as_str()).collect();
    assert_eq!(rules, ["view"]);
    assert!(refusals[0].why.contains("unshare: EPERM"));
    assert!(
        refusals[0]
            .nearest
            .as_ref()
            .unwrap()
            .contains("allow_degraded: [landlock]")
    );
    let accepting = PlanRequest {
        allow_degraded: list(&["landlock"]),
        ..request()
    };
    let plan = compile(&policy, &tree(&[]), &host, &accepting).unwrap();
    assert_eq!(plan.level, Level::Landlock);
    let older = HostCapabilities {
        landlock_abi: 5,
        ..host
    };
    let refusals = compile(&policy, &tree(&[]), &older, &accepting).unwrap_err();
    let rules: Vec<_> = refusals.iter().map(|r| r.rule.as_str()).collect();
    assert_eq!(rules, ["processes"]);
    let sealed = HostCapabilities {
        namespaces: Ability::Works,
        ..older
    };
    let plan = compile(&policy, &tree(&[]), &sealed, &accepting).unwrap();
    assert_eq!(plan.level, Level::Sealed);
}

#[test]
fn no_degradation_replaces_landlock_seccomp_or_the_identity() {
    let policy = Policy::new(&PolicyRules::default()).unwrap();
    let host = HostCapabilities {
        landlock_abi: 2,
        seccomp: missing("ENOSYS"),
        identity: missing("no CAP_SETUID"),
        ..root_host()
    };
    let accepting = PlanRequest {
        allow_degraded: list(&["landlock", "nothing"]),
        ..request()
    };
    let refusals = compile(&policy, &tree(&[]), &host, &accepting).unwrap_err();
    let rules: Vec<_> = refusals.iter().map(|r| r.rule.as_str()).collect();
    assert_eq!(rules, ["paths", "syscalls", "identity", "allow_degraded"]);
}

#[test]
fn limits_and_views_that_mean_nothing_are_refused() {
    let policy = Policy::new(&PolicyRules::default()).unwrap();
    let view = |source: &str, target: &str| View {
        source: PathBuf::from(source),
        target: PathBuf::from(target),
    };
    let mut request = request();
    request.limits.cpus = f64::NAN;
    request.views = vec![view("/a", "/x"), view("/b/../c", "/x")];
    let refusals = compile(&policy, &tree(&[]), &root_host(), &request).unwrap_err();
    let rules: Vec<_> = refusals.iter().map(|r| r.rule.as_str()).collect();
    assert_eq!(rules, ["limits", "views", "views"]);
}

fn pattern() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        Just("a"),
        Just("b"),
        Just("*"),
        Just("a*"),
        Just("**"),
        Just("CLAUDE.md"),
        Just("conftest.py")
    ];
    (proptest::collection::vec(component, 1..4), any::<bool>()).prop_map(|(components, slash)| {
        let slash = if slash { "/" } else { "" };
        components.join("/") + slash
    })
}

pub(crate) fn patterns() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(pattern(), 0..3)
}

/// Trees of up to 12 entries in which nothing lies in a file.
pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("ab"), 1 => Just("CLAUDE.md"), 1 => Just(".git1"), 1 => Just("conftest.py")];
    let file = proptest::collection::vec(name, 1..4).prop_map(|names| path(&names.join("/")));
    let kind = prop_oneof![
        6 => Just(EntryKind::File),
        1 => Just(EntryKind::Symlink),
        1 => Just(EntryKind::Submodule)
    ];
    proptest::collection::vec((file, kind), 0..12).prop_map(|mut entries| {
        let directories: BTreeSet<RepoPath> = entries
            .iter()
            .flat_map(|(path, _)| std::iter::successors(path.parent(), RepoPath::parent))
            .collect();
        entries.retain(|(path, _)| !directories.contains(path));
        Tree::new(entries)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_plan_grants_exactly_what_the_policy_says(
        tree in any_tree(),
        (mutable, immutable, hidden, scratch) in (patterns(), patterns(), patterns(), patterns()),
        named_by_harness in proptest::collection::vec(Just(path("a/b")), 0..2),
        second_uid in any::<bool>(),
    ) {
        let hidden_harness = vec![path("b/a")];
        let rules =
            PolicyRules { mutable, immutable, hidden, scratch, named_by_harness, hidden_harness };
        let policy = Policy::new(&rules).unwrap();
        let host = if second_uid { root_host() } else { user_host() };
        let plan = compile(&policy, &tree, &host, &request()).unwrap();

        for (path, kind) in tree.entries() {
            let expected = policy.class_of(path).is_writable();
            match kind {
                EntryKind::File => prop_assert_eq!(plan.is_writable(path), expected, "{}", path),
                EntryKind::Symlink if second_uid => {
                    prop_assert_eq!(plan.is_writable(path), expected, "{}", path);
                }
                EntryKind::Symlink => prop_assert!(expected || !plan.is_writable(path)),
                EntryKind::Submodule => prop_assert!(!plan.is_writable(path), "{}", path),
            }
        }
        let files = tree.entries().filter(|(path, _)| policy.steers(path).is_some());
        for (path, _) in files {
            let globs = rules.mutable.iter().chain(&rules.scratch);
            let mut literals = globs.filter(|text| !text.contains('*'));
            let is_named = literals.any(|text| text.contains("conftest.py"));
            prop_assert!(is_named || !plan.is_writable(path), "{}", path);
        }
        for directory in std::iter::once(None).chain(tree.directories().map(Some)) {
            let mut writable = policy.mutable.iter().chain(&policy.scratch);
            let is_foreseen = writable.any(|glob| glob.may_match_child_of(directory));
            prop_assert!(is_foreseen || !plan.can_create_in(directory), "{:?}", directory);
            prop_assert!(!(policy.is_closed(directory) && plan.can_create_in(directory)), "{:?}", directory);
        }
        let paths: Vec<_> = plan.grants.iter().map(Grant::path).collect();
        prop_assert!(paths.is_sorted_by(|a, b| a < b), "{:?}", plan.grants);
        let trees = plan.grants.iter().filter(|grant| matches!(grant, Grant::Tree { .. }));
        for tree in trees.filter_map(Grant::path) {
            let beneath = paths.iter().flatten().filter(|path| path.is_within(tree));
            prop_assert_eq!(beneath.count(), 1, "{:?}", plan.grants);
        }
    }
}
