//! What a command is handed down: the caller's environment and descriptors stay outside.

use e2e::stage::KEY;

use crate::case::Control::With;
use crate::case::{Case, Group};
use crate::place::{Place, Surroundings, nonce_of};

crate::on_each_row!(crate::environment::GROUP);

pub const GROUP: Group = Group {
    name: "environment",
    cases: CASES,
    surroundings,
};

/// What a caller may have set: programs to load, options, places of credentials, credentials.
const VARIABLES: &[&str] = &[
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "ENV",
    "PROMPT_COMMAND",
    "NODE_OPTIONS",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PERL5OPT",
    "RUSTC_WRAPPER",
    "GIT_SSH_COMMAND",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "HTTPS_PROXY",
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
];

/// Gives the caller all of [`VARIABLES`], each with the word `value` in it, and the credential.
fn surroundings(place: &Place) -> Surroundings {
    let value = format!("/nonexistent/{}", nonce_of(place.folder()));
    let mut env: Vec<_> = VARIABLES
        .iter()
        .map(|name| (*name, value.clone()))
        .collect();
    env.push(("ANTHROPIC_API_KEY", KEY.to_owned()));
    Surroundings {
        words: vec![("value", value), ("credential", KEY.to_owned())],
        env,
        ..Surroundings::none(place)
    }
}

const fn variable(name: &'static str) -> Case {
    Case::denied(name, "has_variable", name, "ENOENT")
}

const CASES: &[Case] = &[
    variable("LD_PRELOAD"),
    variable("LD_AUDIT"),
    variable("LD_LIBRARY_PATH"),
    variable("GLIBC_TUNABLES"),
    variable("BASH_ENV"),
    variable("ENV"),
    variable("PROMPT_COMMAND"),
    variable("NODE_OPTIONS"),
    variable("PYTHONSTARTUP"),
    variable("PYTHONPATH"),
    variable("PERL5OPT"),
    variable("RUSTC_WRAPPER"),
    variable("GIT_SSH_COMMAND"),
    // Claude Code sets its own.
    variable("GIT_EDITOR").command_only(),
    variable("GIT_EXTERNAL_DIFF"),
    variable("SSH_AUTH_SOCK"),
    variable("DBUS_SESSION_BUS_ADDRESS"),
    variable("HTTPS_PROXY"),
    variable("AWS_SECRET_ACCESS_KEY"),
    variable("GITHUB_TOKEN"),
    // The agent's session has a placeholder there.
    variable("ANTHROPIC_API_KEY").command_only(),
    Case::denied(
        "any of it under another name",
        "has_value",
        "{value}",
        "ENOENT",
    ),
    Case::denied(
        "the credential under another name",
        "has_value",
        "{credential}",
        "ENOENT",
    ),
    // The caller has left three of them open; see `Scene`.
    Case::denied("a folder left open", "has_descriptor", "7", "EBADF").control(With("0")),
    Case::denied("a file left open to read", "has_descriptor", "8", "EBADF").control(With("0")),
    Case::denied("a file left open to write", "has_descriptor", "9", "EBADF").control(With("0")),
    Case::denied(
        "a folder that leads out of the root",
        "has_directory",
        "",
        "EBADF",
    )
    .control(With("open")),
];

#[test]
fn every_variable_of_the_caller_has_a_case() {
    for name in VARIABLES {
        let is_tried = |case: &Case| case.attack == "has_variable" && case.argument == *name;
        assert!(CASES.iter().any(is_tried), "{name}");
    }
}
