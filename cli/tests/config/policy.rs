//! Presets and policy files, as sandboxes show them.

use crate::repository::{Repository, Said};

fn marker(sandbox: &str) -> String {
    format!(
        "    metric: {{command: 'cargo', extract: cat, direction: lower}}
    agent: {{protocol: none, command: [sh]}}
    sandbox: {sandbox}
"
    )
}

fn check(sandbox: &str, policy: Option<&str>) -> Said {
    let repository = Repository::with_marker(&marker(sandbox));
    repository.script(".cargo/bin/cargo", "#!/bin/sh\necho 5\n");
    if let Some(policy) = policy {
        repository.write(".autoclave/policy.yaml", policy);
    }
    repository.run(&["check", "--json"])
}

#[test]
fn a_program_that_the_policy_does_not_show_is_found_with_what_shows_it() {
    let said = check("{}", None);
    assert_eq!(said.code, 4, "{}", said.stdout);
    let (detail, hint) = said.check("metric");
    assert!(
        detail.starts_with("`cargo` cannot be run in the sandbox\n"),
        "{detail}"
    );
    assert!(
        hint.ends_with(
            "/.cargo/bin/cargo`, which policy `default` does not show: set \
             `sandbox.policy: toolchains`, or add `~/.cargo/bin` to `sandbox.read`"
        ),
        "{hint}"
    );
}

#[test]
fn what_the_hint_says_makes_it_run() {
    for sandbox in ["{policy: toolchains}", "{read: [~/.cargo/bin]}"] {
        let said = check(sandbox, None);
        assert_eq!(said.code, 0, "{sandbox}: {}", said.stdout);
        assert!(said.check("metric").0.starts_with("5 on the base"));
    }
}

#[test]
fn a_policy_file_narrows_what_is_shown() {
    let sandbox = "{policy: .autoclave/policy.yaml}";
    let said = check(sandbox, Some("extends: toolchains\n"));
    assert_eq!(said.code, 0, "{}", said.stdout);
    let said = check(sandbox, Some("extends: toolchains\ndeny: [~/.cargo]\n"));
    assert_eq!(said.code, 4, "{}", said.stdout);
    let (detail, _) = said.check("policy");
    assert!(detail.starts_with("`.autoclave/policy.yaml`; "), "{detail}");
}

#[test]
fn a_bare_command_sees_what_its_policy_shows() {
    let repository = Repository::with_marker(&marker("{}"));
    repository.script(".cargo/bin/cargo", "#!/bin/sh\necho 5\n");
    let exec = |policy: &[&str]| repository.run(&[&["exec"], policy, &["--", "cargo"]].concat());
    assert_eq!(exec(&[]).code, 127);
    let said = exec(&["--policy", "toolchains"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "5\n"));
    let file = ".autoclave/policy.yaml";
    repository.write(file, "extends: toolchains\n");
    assert_eq!(exec(&["--policy", file]).code, 0);
    repository.write(file, "extends: toolchains\ndeny: [~/.cargo]\n");
    assert_eq!(exec(&["--policy", file]).code, 127);

    let said = exec(&["--policy", "toolchain"]);
    assert_eq!(said.code, 125);
    assert!(
        said.stderr
            .contains("--policy:1:1: unknown policy preset `toolchain`"),
        "{}",
        said.stderr
    );
    repository.write(file, "reed: []\n");
    let said = exec(&["--policy", file]);
    assert_eq!(said.code, 125);
    assert!(
        said.stderr.contains(".autoclave/policy.yaml:1:1: "),
        "{}",
        said.stderr
    );
}

#[test]
fn problems_of_the_policy_file_are_told_with_those_of_the_configuration() {
    let repository = Repository::with_marker(&marker("{policy: .autoclave/policy.yaml, reed: []}"));
    let policy = "extends: strict\nread: [/srv]\nexamples: {denied: [/usr/bin/env]}\n";
    repository.write(".autoclave/policy.yaml", policy);
    let said = repository.run(&["check"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr);
}
