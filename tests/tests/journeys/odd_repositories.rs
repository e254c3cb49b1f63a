//! Repositories with odd shapes and names: they work, or are refused by name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use e2e::stage::{Checkout, Setup, Stage};

use crate::toy;

e2e::journeys!(
    each_backend: [
        without_a_usable_repository_each_command_says_why,
        detached_head_is_a_base_like_any_other,
        odd_names_are_kept_byte_by_byte,
        links_stay_links_and_lead_nowhere_else,
        bytes_and_modes_are_kept_as_they_are,
        submodules_and_nested_repositories_are_left_alone,
        linked_work_tree_and_subfolder_are_found,
    ],
    each_caller: [],
);

const ONE: &str = "    loop: {max_experiments: 1}\n    guard: {command: 'sh tests/guard.sh'}\n";

/// Runs the marker to a keep and checks that the user's side is as it was.
#[track_caller]
fn run_to_keep(stage: &Stage) {
    let before = Checkout::of(&stage.repo());
    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    before.assert_unchanged(&stage.repo());
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
}

/// Returns what the winner changed: status letter and path, NUL between them.
fn changed(stage: &Stage) -> String {
    stage.git(&[
        "diff",
        "-z",
        "--no-renames",
        "--name-status",
        "HEAD",
        "autoclave/smaller",
    ])
}

fn without_a_usable_repository_each_command_says_why(setup: Setup) {
    let stage = Stage::empty(setup);
    let refusals = |why: &str| {
        for command in [&["check"][..], &["run"], &["results"]] {
            stage.autoclave(command).expect(6).says(why);
        }
        stage
            .autoclave(&["exec", "--", "true"])
            .expect(125)
            .says(why);
    };
    refusals("no git repository at");

    stage.git(&["init", "-q", "--bare"]);
    refusals("is bare: it has no work tree");
    fs::remove_dir_all(stage.repo()).unwrap();
    fs::create_dir(stage.repo()).unwrap();
    setup.caller.own(&stage.repo());

    stage.git(&["init", "-q"]);
    stage.write(
        ".autoclave/config.yaml",
        toy::MARKER.replace("BACKEND", &setup.keys()),
    );
    let no_commits = "has no commits";
    stage.autoclave(&["run"]).expect(6).says(no_commits);
    stage
        .autoclave(&["exec", "--", "true"])
        .expect(125)
        .says(no_commits);
    let check = stage.autoclave(&["check"]);
    assert_ne!(check.code, Some(0), "{check}");
    assert!(check.stdout.contains(no_commits), "{check}");

    // A commit without files has nothing that may change.
    stage.git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    stage
        .autoclave(&["run"])
        .expect(2)
        .says("`src/**` matches no file");
    stage.autoclave(&["exec", "--", "true"]).expect(0);
}

fn detached_head_is_a_base_like_any_other(setup: Setup) {
    let stage = toy::shelled(setup, ONE, "echo 50 > src/number.txt\n");
    stage.write("src/number.txt", "5\n");
    stage.commit_all("newer");
    stage.git(&["checkout", "-q", "--detach", "HEAD~1"]);
    run_to_keep(&stage);
    assert_eq!(stage.results("smaller")["baseline"]["value"], 100.0);
    stage
        .autoclave(&["finalize", "-m", "smaller", "--branch", "autoclave/final"])
        .expect(0);
    assert_eq!(stage.git(&["show", "autoclave/final:src/number.txt"]), "50");
}

fn odd_names_are_kept_byte_by_byte(setup: Setup) {
    let names: [&[u8]; 8] = [
        b"new\nline",
        b"quo\"te's",
        b"-dash",
        "über-日本".as_bytes(),
        b"not\xffutf8",
        b"back\\slash",
        b" space ",
        b"$(touch x);*",
    ];
    let stage = toy::shelled(
        setup,
        ONE,
        "for f in src/*; do test -d \"$f\" || echo more >> \"$f\"; done; echo 50 > src/number.txt\n",
    );
    for name in names {
        let path = stage
            .repo()
            .join("src")
            .join(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        fs::write(path, "odd\n").unwrap();
    }
    setup.caller.own(&stage.repo());
    stage.commit_all("odd names");
    run_to_keep(&stage);
    let tree = |commit: &str| stage.git(&["ls-tree", "-rz", "--name-only", commit]);
    assert_eq!(tree("autoclave/smaller"), tree("HEAD"));
    assert_eq!(changed(&stage).matches("M\0").count(), names.len() + 1);
    stage.autoclave(&["show", "1"]).expect(0);
    stage
        .autoclave(&["finalize", "-m", "smaller", "--branch", "autoclave/final"])
        .expect(0);
    let names = stage.git(&["diff", "-z", "--name-only", "HEAD", "autoclave/final"]);
    assert!(
        names.contains("src/new\nline\0") && names.contains("src/-dash\0"),
        "{names:?}"
    );
}

fn links_stay_links_and_lead_nowhere_else(setup: Setup) {
    let agent = "echo 50 > src/inside; echo mine > src/outside; echo mine > src/protected; echo made > src/dangling
ln -s number.txt src/new-inside; ln -s ../tests/guard.sh src/new-protected; ln -s /etc/passwd src/new-outside; true\n";
    let stage = toy::shelled(setup, ONE, agent);
    let canary = stage.outside("home/canary");
    fs::write(&canary, "alive\n").unwrap();
    for (target, name) in [
        ("number.txt", "inside"),
        (canary.to_str().unwrap(), "outside"),
        ("../tests/guard.sh", "protected"),
        ("not-there", "dangling"),
    ] {
        symlink(target, stage.repo().join("src").join(name)).unwrap();
    }
    setup.caller.own(&stage.repo());
    stage.commit_all("links");
    run_to_keep(&stage);
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive\n");
    assert_eq!(
        changed(&stage).replace('\0', " "),
        "A src/new-inside A src/not-there M src/number.txt "
    );
    let mode = stage.git(&[
        "ls-tree",
        "autoclave/smaller",
        "src/new-inside",
        "src/inside",
    ]);
    assert_eq!(
        mode.lines()
            .filter(|line| line.starts_with("120000"))
            .count(),
        2,
        "{mode}"
    );
    let dropped = stage.ledger();
    let dropped = dropped
        .iter()
        .find_map(|line| line["dropped"].as_array())
        .unwrap();
    let dropped: Vec<_> = dropped
        .iter()
        .map(|drop| drop["path"].as_str().unwrap())
        .collect();
    assert_eq!(dropped, ["src/new-outside", "src/new-protected"]);
}

fn bytes_and_modes_are_kept_as_they_are(setup: Setup) {
    const POINTER: &str =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let agent = "printf '50\\n' > src/number.txt; printf 'two\\r\\n' >> src/crlf.txt; chmod +x src/plain.sh; chmod -x src/tool.sh
cmp src/pointer.bin tests/pointer.bin || exit 1; printf '\\000\\377' >> src/bytes; : > src/empty\n";
    let stage = toy::shelled(setup, ONE, agent);
    for (path, bytes) in [
        ("src/crlf.txt", &b"one\r\n"[..]),
        ("src/pointer.bin", POINTER.as_bytes()),
        ("tests/pointer.bin", POINTER.as_bytes()),
        ("src/bytes", b"\0\r\n\xff"),
        ("src/plain.sh", b"true\n"),
        ("src/tool.sh", b"true\n"),
    ] {
        stage.write(path, bytes);
    }
    let tool = stage.repo().join("src/tool.sh");
    fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    // Committed before there were attributes: the blob holds the carriage returns.
    stage.commit_all("bytes");
    stage.write(
        ".gitattributes",
        "* text=auto\n*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    stage.git(&["add", ".gitattributes"]);
    stage.git(&["commit", "-qm", "attributes"]);
    stage.git(&["config", "core.autocrlf", "true"]);
    let before = stage.git(&["ls-tree", "HEAD", "src/"]);
    run_to_keep(&stage);
    let after = stage.git(&["ls-tree", "autoclave/smaller", "src/"]);
    let of = |tree: &str, name: &str| {
        let line = tree
            .lines()
            .find(|line| line.ends_with(name))
            .unwrap_or_default();
        line.to_owned()
    };
    assert_eq!(of(&before, "pointer.bin"), of(&after, "pointer.bin"));
    for (name, mode) in [
        ("plain.sh", "100755"),
        ("tool.sh", "100644"),
        ("empty", "100644"),
    ] {
        assert!(of(&after, name).starts_with(mode), "{after}");
    }
    let hash = |text: &str| {
        stage.write("hashed", text);
        let hash = stage.git(&["hash-object", "--no-filters", "hashed"]);
        fs::remove_file(stage.repo().join("hashed")).unwrap();
        hash
    };
    let crlf = stage.git(&["rev-parse", "autoclave/smaller:src/crlf.txt"]);
    assert_eq!(crlf, hash("one\r\ntwo\r\n"));
}

fn submodules_and_nested_repositories_are_left_alone(setup: Setup) {
    let agent = "echo 50 > src/number.txt; echo mine > vendor/sub/file; git init -q src/inner
echo inner > src/inner/file; git -C src/inner -c user.name=x -c user.email=x@x add file; true\n";
    let config = toy::MARKER.replace("['src/**']", "['src/**', 'vendor/**']");
    let config = format!("{config}{ONE}    agent: {{command: [sh, agent.sh], protocol: none}}\n");
    let mut files = toy::FILES.to_vec();
    files.push(("agent.sh", agent));
    let stage = Stage::new(setup, &config, &files);
    // A repository inside the checkout, which git records as a commit: a submodule.
    stage.git(&["init", "-q", "vendor/sub"]);
    stage.write("vendor/sub/file", "theirs\n");
    stage.git(&["-C", "vendor/sub", "add", "file"]);
    stage.git(&["-C", "vendor/sub", "commit", "-qm", "theirs"]);
    stage.write(
        ".gitmodules",
        "[submodule \"sub\"]\n\tpath = vendor/sub\n\turl = ../sub\n",
    );
    stage.commit_all("a submodule");
    let sub = stage.git(&["ls-tree", "HEAD", "vendor/"]);
    assert!(sub.starts_with("160000"), "{sub}");
    // And one that git does not know of.
    stage.git(&["init", "-q", "src/untracked"]);

    run_to_keep(&stage);
    assert_eq!(stage.git(&["ls-tree", "autoclave/smaller", "vendor/"]), sub);
    assert_eq!(
        changed(&stage).replace('\0', " "),
        "A src/inner/file M src/number.txt "
    );
}

fn linked_work_tree_and_subfolder_are_found(setup: Setup) {
    let stage = toy::shelled(setup, ONE, "echo 50 > src/number.txt\n");
    stage.git(&["worktree", "add", "-q", "linked"]);
    let before = Checkout::of(&stage.repo());
    let run = |folder: &str, arguments: &[&str]| {
        let mut command = stage.command(arguments);
        let output = command
            .current_dir(stage.repo().join(folder))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    run("linked/src", &["run", "-m", "smaller"]);
    assert_eq!(
        stage.git(&["show", "autoclave/smaller:src/number.txt"]),
        "50"
    );
    assert!(stage.repo().join("linked/.autoclave/runs").is_dir());
    fs::remove_dir_all(stage.repo().join("linked/.autoclave/runs")).unwrap();
    before.assert_unchanged(&stage.repo());
}
