//! `autoclave init` and `autoclave schema`.

use std::fs;

use serde_json::Value;

use crate::repository::{KEY, Repository, Said};

#[test]
fn the_scaffold_fits_and_is_checked_green_as_it_is() {
    let repository = Repository::empty();
    repository.write("Makefile", "all:\n\ttrue\ntest:\n\tgrep -q int a.c\n");
    repository.write("a.c", "int main(void) { return 0; }\n");
    repository.write(".gitignore", "build/\n");
    repository.commit();
    let said = repository.run(&["init", "--json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let written = said.json();
    assert_eq!(written["path"], ".autoclave/config.yaml");
    assert_eq!(written["ecosystem"], "make");
    assert_eq!(written["mutable"][0], "*.c");
    assert_eq!(written["guard"], "make test");
    let config = repository.root().join(".autoclave/config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let comments = text.lines().filter(|line| line.contains("# ")).count();
    assert!(comments > 10, "{text}");
    insta::assert_snapshot!(text);

    repository.script("bin/claude", "#!/bin/sh\necho '2.1.197 (Claude Code)'\n");
    let mut command = repository.command();
    command
        .args(["check", "--json"])
        .env("ANTHROPIC_API_KEY", KEY);
    let checked = Said::of(&command.output().unwrap());
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
}

#[test]
fn a_configuration_is_never_overwritten() {
    let repository = Repository::with_config("mine\n");
    let said = repository.run(&["init", "--json"]);
    assert_eq!(said.code, 2);
    let error: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!(
        error["error"]["message"],
        "`.autoclave/config.yaml` exists already"
    );
    assert!(error["error"]["hint"].is_string());
    let config = repository.root().join(".autoclave/config.yaml");
    assert_eq!(fs::read_to_string(config).unwrap(), "mine\n");

    let older = Repository::empty();
    older.write(".autoresearch/config.yaml", "theirs\n");
    assert_eq!(older.run(&["init"]).code, 2);
    assert!(!older.root().join(".autoclave/config.yaml").exists());
}

#[test]
fn a_repository_without_commits_is_scaffolded_from_its_checkout() {
    let repository = Repository::empty();
    repository.write("Cargo.toml", "[package]\n");
    repository.write("src/lib.rs", "");
    let written = repository.run(&["init", "--json"]).json();
    assert_eq!(written["ecosystem"], "rust");
    assert_eq!(written["mutable"][0], "src/**/*.rs");
}

#[test]
fn the_schema_is_printed_as_json() {
    let said = Repository::empty().run(&["schema"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.json()["$defs"]["metric"]["required"][2], "direction");
}
