//! The table of docs/mutations.md is what this suite plays.

use std::fs;
use std::path::Path;

use crate::mutation::{Mutation, Noticed};
use crate::mutations;
use crate::rules;

/// What enforces something and is not removed here, and why.
const LEFT_OUT: &[(&str, &str)] = &[];

#[test]
fn the_document_tells_what_is_played() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mutations.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let table = table();
    assert!(
        text.contains(&table),
        "docs/mutations.md should hold:\n\n{table}"
    );
}

fn table() -> String {
    let mut text = "| removed | on | the proof says | noticed by |\n|---|---|---|---|\n".to_owned();
    for one in mutations::all() {
        let rows: Vec<&str> = one.rows.iter().map(|row| row.words()).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            one.removes,
            rows.join(", "),
            one.proof
                .map_or_else(String::new, |line| format!("{line} ...")),
            noticed(&one)
        ));
    }
    for rule in rules::denied() {
        text.push_str(&format!(
            "| the denial of `{0}` | sealed, docker, podman | | its own case |\n",
            rule.case
        ));
    }
    text.push_str("\nLeft out:\n\n");
    for (what, why) in LEFT_OUT {
        text.push_str(&format!("- {what}: {why}.\n"));
    }
    text
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
