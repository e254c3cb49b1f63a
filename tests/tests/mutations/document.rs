//! The table of docs/mutations.md is what this suite plays.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::escapes;
use crate::mutation::{Mutation, Noticed};
use crate::mutations;
use crate::row::Row;
use crate::rules;

/// What enforces something and is not removed here, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "that the command cannot be traced before it starts",
        "execve(2) makes it so that it can, and until then nothing else runs in its sandbox",
    ),
    (
        "the empty ambient set of capabilities",
        "a change of the uid empties it, a new user namespace does, and so does the empty inheritable set",
    ),
    (
        "the denial of requests to devices beneath what is mutable",
        "no device can be made there, and none works on such a mount",
    ),
    (
        "time limits, and that nothing outlives the runner",
        "`runner/src/sandbox/process/tests/lifetime.rs` and `tests/tests/faults/engine.rs` play these",
    ),
    (
        "that views in containers get no new mounts of the host",
        "engines refuse anything else for a folder that no other mount shares; `tests/tests/container_options.rs` compares what they are asked for",
    ),
    (
        "the watch on a container's disk, and the limits of how much is taken of changes",
        "their own tests play them, which take minutes or gigabytes",
    ),
    (
        "that a tree in which something is mounted is not removed",
        "`runner/src/sandbox/process/removal.rs` plays it in namespaces of its own; here, what is lost would be the machine's",
    ),
];

#[test]
fn the_document_tells_what_is_played() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mutations.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let table = table();
    std::io::stdout().write_all(table.as_bytes()).unwrap();
    assert!(
        text.contains(&table),
        "docs/mutations.md should hold:\n\n{table}"
    );
}

fn table() -> String {
    let mut text = "| removed | on | the proof says | noticed by |\n|---|---|---|---|\n".to_owned();
    for one in mutations::all() {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            one.removes,
            words(&one.rows),
            one.proof
                .map_or_else(String::new, |line| format!("{line} ...")),
            noticed(&one)
        ));
    }
    for rule in rules::denied() {
        text.push_str(&format!(
            "| the denial of `{}` | {} | | its own case |\n",
            rule.case,
            words(rule.list.rows())
        ));
    }
    text.push_str("\nCases of the escape suite that fail, too:\n\n");
    text.push_str("| removed | on | the case | which must come to |\n|---|---|---|---|\n");
    for one in escapes::ALL {
        let gone: Vec<String> = one.gone.iter().map(|name| removes(name)).collect();
        text.push_str(&format!(
            "| {} | {} | {}: {} | {} |\n",
            gone.join(" and "),
            one.row.words(),
            one.group,
            one.case,
            one.documented()
        ));
    }
    text.push_str("\nLeft out:\n\n");
    for (what, why) in LEFT_OUT {
        text.push_str(&format!("- {what}: {why}.\n"));
    }
    text
}

/// Returns what a mutation removes, for people.
fn removes(name: &str) -> String {
    let all = mutations::all();
    let one = all.into_iter().find(|one| one.name == name);
    one.unwrap_or_else(|| panic!("no mutation is called {name}"))
        .removes
}

fn words(rows: &[Row]) -> String {
    let words: Vec<&str> = rows.iter().map(|row| row.words()).collect();
    words.join(", ")
}

fn noticed(one: &Mutation) -> String {
    let code = |cases: Vec<&str>| {
        let cases: Vec<String> = cases.iter().map(|case| format!("`{case}`")).collect();
        cases.join(", ")
    };
    match &one.noticed {
        Noticed::By(cases) => code(cases.iter().map(String::as_str).collect()),
        Noticed::Breaks(message) => format!("nothing runs: \"{message}\""),
        Noticed::Together { by, others, cases } => {
            format!(
                "covered by {by}; together with {}: {}",
                code(others.clone()),
                code(cases.clone())
            )
        }
        Noticed::ByTheProof(why) => format!("the proof alone: {why}"),
    }
}
