//! Imports point down the ranks, and foreign crates stay in their folder.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names that only some folders may mention; a folder ends in `/`, a file does not.
const CONFINED: &[(&str, &[&str])] = &[
    ("git2", &["runner/src/repo"]),
    ("landlock", &["enter/src", "runner/src/sandbox/process"]),
    ("seccompiler", &["enter/src", "runner/src/sandbox/process"]),
    ("hyper", &["runner/src/gateway"]),
    ("hyper_util", &["runner/src/gateway"]),
    ("hyper_rustls", &["runner/src/gateway"]),
    (
        "rustls",
        &["runner/src/gateway", "runner/src/sandbox/container"],
    ),
    ("webpki_roots", &["runner/src/gateway"]),
    ("saphyr_parser", &["policies/src/yaml"]),
    ("clap", &["cli/src"]),
    ("clap_complete", &["cli/src"]),
    ("indicatif", &["cli/src/reporter"]),
    ("autoclave_runner", &["cli/src"]),
    ("autoclave_policies", &["cli/src", "runner/src"]),
];

/// What a pure place may not reach for.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio::",
    "nix::",
    "Uuid::new",
];
const PURE: &[&str] = &[
    "policies/src",
    "runner/src/model",
    "runner/src/event",
    "runner/src/marker",
    "runner/src/decide",
];

/// The ranks inside `runner`; a module imports from lower ranks and from itself only.
const RANKS: &[&[&str]] = &[
    &["model"],
    &["event", "marker", "decide"],
    &["agent", "gateway", "ledger", "repo", "sandbox"],
    &["campaign"],
];

/// Modules of the second rank may know one another, in this order only.
const SECOND_RANK: &[&str] = &["event", "marker", "decide"];

#[test]
fn sources_keep_to_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for member in ["policies", "runner", "cli", "enter"] {
        collect(&root.join(member).join("src"), &mut files);
    }
    assert!(files.len() > 15, "only {} sources found", files.len());
    let problems: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap();
            violations(path, &std::fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn workspace_members_depend_downwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (member, forbidden) in [
        (
            "policies",
            &[
                "autoclave-runner",
                "autoclave-enter",
                "git2",
                "tokio::",
                "nix::",
            ][..],
        ),
        // The runner shares the wire types of its helper, `autoclave-enter`.
        ("runner", &["clap", "indicatif"]),
        ("enter", &["autoclave-runner", "tokio::", "clap"]),
    ] {
        let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap();
        for name in forbidden {
            let depends = manifest.lines().any(|line| {
                line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} "))
            });
            assert!(!depends, "{member}/Cargo.toml depends on {name}");
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns what is wrong with the source `text` at `path` (relative to the repository root).
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (line, code) in code_lines(text) {
        let mut report = |what: String| {
            found.insert(format!("{path}:{line}: {what}"));
        };
        for (krate, homes) in CONFINED {
            if names_crate(&code, krate) && !is_within_any(path, homes) {
                report(format!("`{krate}` belongs to {homes:?}"));
            }
        }
        if is_within_any(path, PURE) {
            for impure in IMPURE.iter().filter(|impure| mentions(&code, impure)) {
                report(format!("`{impure}` in a pure place"));
            }
        }
        for print in ["println!", "eprintln!", "print!(", "eprint!("] {
            if code.contains(print)
                && !is_within_any(path, &["cli/src/reporter", "cli/src/diagnostic.rs"])
            {
                report(format!("`{print}` outside reporters and diagnostics"));
            }
        }
        if let Some(module) = runner_module(path) {
            for used in used_modules(&code) {
                if !may_import(module, used) {
                    report(format!("`{module}` may not import `{used}`"));
                }
            }
        }
    }
    found.into_iter().collect()
}

/// Yields the numbered lines up to the tests at the file's end, without comments. Files of tests
/// alone are read too: they print and import by the same rules, but may do I/O.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("").to_owned()))
        .collect()
}

/// Says whether `code` mentions the crate as the first word of a path.
fn names_crate(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + krate.len()..];
        let starts =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        let imported = code.trim_start().starts_with("use ") && after.starts_with(';');
        starts && (after.starts_with("::") || imported)
            // `crate::x` and `self::x` name our own module of that name.
            && !code[..at].ends_with("crate::")
            && !code[..at].ends_with("self::")
    })
}

/// Says whether `code` holds `name` from the start of a word; `unix::` does not hold `nix::`.
fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

fn is_within_any(path: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| {
        path.strip_prefix(home)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    })
}

/// Returns the top module of `runner` that the file belongs to.
fn runner_module(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("runner/src/")?;
    let module = inner.split(['/', '.']).next()?;
    (module != "lib").then_some(module)
}

/// Yields the top modules of this crate that `code` names after `crate::`.
fn used_modules(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).flat_map(|rest| {
        // `crate::{a::X, b::Y}` names several; the words of a group are looked at one by one.
        let group = rest.strip_prefix('{');
        let words = group
            .unwrap_or(rest)
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        let named = words.take(if group.is_some() { usize::MAX } else { 1 });
        named.filter_map(|word| {
            RANKS
                .iter()
                .copied()
                .flatten()
                .find(|name| **name == word)
                .copied()
        })
    })
}

fn may_import(module: &str, used: &str) -> bool {
    let rank = |name: &str| RANKS.iter().position(|rank| rank.contains(&name));
    let second = |name: &str| SECOND_RANK.iter().position(|other| *other == name);
    if module == used {
        return true;
    }
    match (second(module), second(used)) {
        (Some(module), Some(used)) => used < module,
        // A module without a rank is a mistake of its own: nothing may be imported by it.
        _ => rank(module).is_some_and(|module| rank(used).is_some_and(|used| used < module)),
    }
}

mod checker {
    //! The checker finds what is planted, and nothing else.
    use super::*;

    fn planted(path: &str, code: &str) -> usize {
        violations(path, code).len()
    }

    #[test]
    fn importing_upwards_or_sideways_is_found() {
        assert_eq!(
            planted("runner/src/model/ids.rs", "use crate::event::Event;"),
            1
        );
        assert_eq!(
            planted("runner/src/decide/mod.rs", "use crate::ledger::Ledger;"),
            1
        );
        assert_eq!(
            planted(
                "runner/src/repo/mod.rs",
                "let x = crate::sandbox::Exit::TimedOut;"
            ),
            1
        );
        assert_eq!(
            planted(
                "runner/src/gateway/mod.rs",
                "use crate::{model::RunId, campaign::Run};"
            ),
            1
        );
        assert_eq!(
            planted("runner/src/event.rs", "use crate::marker::Marker;"),
            1
        );
    }

    #[test]
    fn importing_downwards_is_fine() {
        assert_eq!(
            planted("runner/src/repo/mod.rs", "use crate::model::CommitId;"),
            0
        );
        assert_eq!(
            planted("runner/src/campaign/run.rs", "use crate::sandbox::Sandbox;"),
            0
        );
        assert_eq!(
            planted("runner/src/decide/mod.rs", "use crate::marker::MetricSpec;"),
            0
        );
    }

    #[test]
    fn foreign_crates_outside_their_folder_are_found() {
        assert_eq!(
            planted(
                "runner/src/campaign/run.rs",
                "fn f(r: &git2::Repository) {}"
            ),
            1
        );
        assert_eq!(
            planted("runner/src/repo/mod.rs", "use git2::Repository;"),
            0
        );
        assert_eq!(
            planted("runner/src/sandbox/mod.rs", "use landlock::ABI;"),
            1
        );
        assert_eq!(
            planted(
                "runner/src/sandbox/process/mod.rs",
                "use seccompiler::BpfProgram;"
            ),
            0
        );
        assert_eq!(planted("runner/src/agent/mod.rs", "use hyper::Request;"), 1);
        assert_eq!(planted("runner/src/marker/mod.rs", "use clap::Args;"), 1);
        assert_eq!(
            planted("policies/src/plan.rs", "use saphyr_parser::Event;"),
            1
        );
        assert_eq!(
            planted("policies/src/plan.rs", "use autoclave_runner::model;"),
            1
        );
    }

    #[test]
    fn io_in_a_pure_rank_is_found() {
        assert_eq!(
            planted("runner/src/decide/mod.rs", "let t = std::fs::read(p);"),
            1
        );
        assert_eq!(
            planted("policies/src/plan.rs", "let now = Instant::now();"),
            1
        );
        assert_eq!(
            planted("runner/src/ledger/mod.rs", "let t = std::fs::read(p);"),
            0
        );
    }

    #[test]
    fn printing_is_found_except_by_those_who_print() {
        assert_eq!(
            planted("runner/src/campaign/mod.rs", "    println!(\"x\");"),
            1
        );
        assert_eq!(
            planted("cli/src/reporter/json.rs", "    println!(\"x\");"),
            0
        );
    }

    #[test]
    fn comments_and_tests_do_not_count() {
        let text = "// use git2::Oid;\n#[cfg(test)]\nmod tests { use git2::Oid; }";
        assert_eq!(planted("runner/src/model/ids.rs", text), 0);
        assert_eq!(
            planted("runner/src/model/ids.rs", "let clap = landlock_level();"),
            0
        );
        assert_eq!(
            planted("runner/src/sandbox/mod.rs", "pub use level::landlock::Abi;"),
            0
        );
    }
}
