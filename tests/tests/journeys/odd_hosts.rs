//! Hosts that lack something, and repositories whose settings would run programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use e2e::stage::{Backend, Caller, Checkout, Setup, Stage};

use crate::toy;

e2e::journeys!(
    each_backend: [
        hooks_filters_and_programs_of_the_repository_are_never_run,
        no_credential_is_told_before_anything_starts,
        no_agent_is_told_before_anything_starts,
    ],
    each_caller: [],
    // Of users without any rights, who may not use an engine.
    process_alone: [
        checkout_that_cannot_be_written_is_refused_by_its_path,
        host_without_user_namespaces_is_refused_by_name,
    ],
);

const ONE: &str = "    loop: {max_experiments: 1}\n    guard: {command: 'sh tests/guard.sh'}\n";

fn hooks_filters_and_programs_of_the_repository_are_never_run(setup: Setup) {
    let stage = toy::shelled(setup, ONE, "echo 50 > src/number.txt\n");
    let canary = stage.outside("home/canary");
    let hooks = stage.outside("hooks");
    fs::create_dir(&hooks).unwrap();
    let hook = format!("#!/bin/sh\ntouch {}\ncat\nexit 1\n", canary.display());
    let evil = hooks.join("evil");
    fs::write(&evil, &hook).unwrap();
    fs::set_permissions(&evil, PermissionsExt::from_mode(0o755)).unwrap();
    for name in [
        "post-checkout",
        "post-commit",
        "post-index-change",
        "post-merge",
        "post-rewrite",
        "pre-commit",
        "pre-rebase",
        "prepare-commit-msg",
        "commit-msg",
        "reference-transaction",
        "pre-auto-gc",
    ] {
        fs::copy(&evil, hooks.join(name)).unwrap();
    }
    setup.caller.own(&hooks);
    stage.write(
        ".gitattributes",
        "* filter=evil diff=evil merge=evil ident\n",
    );
    stage.commit_all("attributes");
    let evil = evil.to_str().unwrap();
    for (key, value) in [
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.fsmonitor", evil),
        ("core.editor", evil),
        ("core.pager", evil),
        ("filter.evil.clean", evil),
        ("filter.evil.smudge", evil),
        ("filter.evil.process", evil),
        ("filter.evil.required", "true"),
        ("diff.evil.textconv", evil),
        ("diff.evil.command", evil),
        ("diff.external", evil),
        ("merge.evil.driver", evil),
        ("gpg.program", evil),
        ("commit.gpgSign", "true"),
        ("credential.helper", evil),
    ] {
        stage.git(&["config", key, value]);
    }
    let before = Checkout::of(&stage.repo());

    // Nobody has said who they are, either.
    let name = stage
        .command(&[])
        .get_envs()
        .any(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("GIT_")));
    assert!(!name && !fs::exists(stage.outside("home/.gitconfig")).unwrap());
    stage.autoclave(&["check"]).expect(0);
    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    stage.autoclave(&["show", "1"]).expect(0);
    stage.autoclave(&["status"]).expect(0);
    stage
        .autoclave(&["finalize", "-m", "smaller", "--branch", "autoclave/final"])
        .expect(0);
    stage
        .autoclave(&[
            "exec",
            "--write",
            "src/**",
            "--branch",
            "autoclave/exec",
            "--",
            "sh",
            "-c",
            "echo 1 > src/number.txt",
        ])
        .expect(0);
    stage.autoclave(&["clean"]).expect(0);
    before.assert_unchanged(&stage.repo());
    assert!(!fs::exists(&canary).unwrap());

    // The control: git itself runs them at every occasion.
    let mut git = setup.caller.command(Path::new("git"));
    let status = git
        .arg("status")
        .env("HOME", stage.outside("home"))
        .current_dir(stage.repo());
    status.output().unwrap();
    assert!(fs::exists(&canary).unwrap());
}

fn no_credential_is_told_before_anything_starts(setup: Setup) {
    let mut stage = toy::scripted(setup, ONE, "sessions: []");
    stage.set("ANTHROPIC_API_KEY", None);
    let run = stage.autoclave(&["run", "-m", "smaller"]).expect(7);
    run.says("there is no credential");
    run.says("ANTHROPIC_API_KEY");
    assert!(stage.model().seen().is_empty());
    let check = stage.autoclave(&["check"]);
    assert_ne!(check.code, Some(0), "{check}");
    assert!(check.stdout.contains("set ANTHROPIC_API_KEY"), "{check}");
}

fn no_agent_is_told_before_anything_starts(setup: Setup) {
    let config = format!("{}    agent: {{command: [no-such-agent]}}\n", toy::MARKER);
    let stage = Stage::new(setup, &config, &toy::FILES);
    let run = stage.autoclave(&["run", "-m", "smaller"]).expect(7);
    run.says("agent.command");
    if setup.backend != Backend::Process {
        // The image has the agent, or has not: that shows when it is to start.
        run.says("the agent's program `no-such-agent` could not be started in the sandbox");
        return;
    }
    run.says("no program `no-such-agent` on the PATH");
    let check = stage.autoclave(&["check"]);
    assert_ne!(check.code, Some(0), "{check}");
    assert!(
        check
            .stdout
            .contains("no program `no-such-agent` on the PATH"),
        "{check}"
    );
}

fn checkout_that_cannot_be_written_is_refused_by_its_path(setup: Setup) {
    // Root writes anywhere, so that this is a matter of an ordinary user.
    let setup = Setup {
        caller: Caller::OrdinaryUser,
        ..setup
    };
    let stage = toy::shelled(setup, ONE, "echo 50 > src/number.txt\n");
    let folder = stage.repo().join(".autoclave");
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let before = Checkout::of(&stage.repo());
    let run = stage.autoclave(&["run", "-m", "smaller"]).expect(6);
    run.says(".autoclave/runs`");
    run.says("Permission denied");
    // What needs no run folder works.
    stage.autoclave(&["check"]).expect(0);
    before.assert_unchanged(&stage.repo());
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    stage.autoclave(&["run", "-m", "smaller"]).expect(0);
}

fn host_without_user_namespaces_is_refused_by_name(setup: Setup) {
    let setup = Setup {
        caller: Caller::OrdinaryUser,
        ..setup
    };
    let stage = toy::shelled(setup, ONE, "echo 50 > src/number.txt\n");
    // Inside a user namespace of its own a user may forbid further ones.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all \"$@\"";
    for (arguments, code) in [
        (&["run", "-m", "smaller"][..], 5),
        (&["exec", "--", "true"], 125),
        (&["check"], 5),
    ] {
        let autoclave = stage.command(arguments);
        let mut command = setup.caller.command(Path::new("unshare"));
        command
            .args([
                "--user",
                "--map-current-user",
                "--keep-caps",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .arg(stage.outside("bin/autoclave"))
            .args(arguments)
            .current_dir(stage.repo());
        for (name, value) in autoclave.get_envs() {
            command.env(name, value.unwrap());
        }
        let output = command.output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.contains("view: this host allows no new namespaces"),
            "{text}"
        );
    }
    // The control: the same user with namespaces.
    stage.autoclave(&["check"]).expect(0);
}
