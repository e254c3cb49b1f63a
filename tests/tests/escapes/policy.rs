//! What a configuration asks for in vain: nothing of it starts anything, and each says why.

use e2e::stage::Stage;

use crate::row::Row;

/// The `target` and `sandbox` of a marker, and a word of what is said of it.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "mutable: ['src/**'], mutabel: ['src/**']",
        "",
        "unknown key `mutabel`",
    ),
    (
        "mutable: ['src/**']",
        "privileged: true",
        "unknown key `privileged`",
    ),
    (
        "mutable: ['src/**']",
        "limits: {memroy: 1G}",
        "unknown key `memroy`",
    ),
    ("immutable: ['src/**']", "", "`mutable`"),
    ("mutable: ['../src/**']", "", "`..`"),
    ("mutable: ['src/../../x']", "", "`..`"),
    ("mutable: ['/etc/**']", "", "/etc/**"),
    ("mutable: ['~/**']", "", "~/**"),
    ("mutable: ['src/**']", "read: ['/not/there']", "/not/there"),
    ("mutable: ['src/**']", "read: ['usr/../etc']", "usr/../etc"),
    ("mutable: ['src/**']", "read: ['~/.ssh']", ".ssh"),
    (
        "mutable: ['src/**']",
        "read: ['~']",
        "not a path of the host",
    ),
    (
        "mutable: ['src/**']",
        "policy: no-such-preset",
        "no-such-preset",
    ),
    (
        "mutable: ['src/**']",
        "allow_degraded: [everything]",
        "everything",
    ),
];

#[test]
fn what_cannot_be_meant_is_refused_with_its_cause_before_anything_starts() {
    let setup = Row::SealedAsRoot.setup();
    if setup.is_skipped() {
        return;
    }
    let mut wrong = Vec::new();
    for (target, sandbox, why) in REFUSED {
        let stage = stage(target, sandbox);
        std::fs::create_dir_all(stage.outside("home/.ssh")).unwrap();
        for command in [
            &["check", "-m", "work"][..],
            &["exec", "-m", "work", "--", "touch", "/tmp/x"],
        ] {
            let ended = stage.autoclave(command);
            if ended.code == Some(0) || !ended.stderr.contains(why) && !ended.stdout.contains(why) {
                wrong.push(format!("{target} {sandbox} by {}: {ended}", command[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A glob that matches nothing is told by who checks; what it names may yet be made.
    let nothing = stage("mutable: ['not-there/**']", "");
    let ended = nothing.autoclave(&["check", "-m", "work"]);
    assert!(
        ended.code != Some(0) && format!("{ended}").contains("not-there/**"),
        "{ended}"
    );
    // The control: the same marker without any of it.
    let stage = stage("mutable: ['src/**']", "read: [/etc/hostname]");
    let touch = ["exec", "-m", "work", "--", "touch", "src/x"];
    stage.autoclave(&touch).expect(0);
}

#[test]
fn immutable_wins_over_mutable_and_what_nobody_names_is_closed() {
    let setup = Row::SealedAsRoot.setup();
    if setup.is_skipped() {
        return;
    }
    let stage = stage("mutable: ['**'], immutable: ['src/fixed.txt']", "");
    let code = |arguments: &[&str]| stage.autoclave(arguments).code;
    let marker = ["exec", "-m", "work", "--", "sh", "-c"];
    let exec = |script| code(&[&marker[..], &[script]].concat());
    assert_eq!(exec("echo x > src/file.txt"), Some(0));
    assert_ne!(exec("echo x > src/fixed.txt"), Some(0));
    // Without a marker and without `--write` nothing may change.
    assert_ne!(code(&["exec", "--", "touch", "src/new.txt"]), Some(0));
    assert_ne!(code(&["exec", "--", "touch", "src/file.txt"]), Some(0));
    assert_eq!(
        code(&["exec", "--write", "src/**", "--", "touch", "src/file.txt"]),
        Some(0)
    );
}

fn stage(target: &str, sandbox: &str) -> Stage {
    let more = if sandbox.is_empty() {
        String::new()
    } else {
        format!(", {sandbox}")
    };
    let config = format!(
        "markers:
  - name: work
    description: Work
    target: {{{target}}}
    metric: {{command: 'echo 1', extract: cat, direction: lower}}
    sandbox: {{backend: BACKEND{more}}}
"
    );
    let files = [("src/file.txt", "1\n"), ("src/fixed.txt", "1\n")];
    Stage::new(Row::SealedAsRoot.setup(), &config, &files)
}
