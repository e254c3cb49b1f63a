//! What is said where the container engine that the environment names cannot be used.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use e2e::stage::{Backend, Caller, Setup, Stage};

const CONFIG: &str = "markers:
  - name: smaller
    target: {mutable: ['src/**']}
    metric: {command: cat src/number.txt, extract: cat, direction: lower}
    sandbox: {backend: WANTED}
";

/// A repository whose marker wants `backend`, on a host whose environment names no engine.
fn stage(backend: &str, caller: Caller) -> Stage {
    let setup = Setup {
        backend: Backend::Process,
        measured_in: Backend::Process,
        caller,
    };
    let config = CONFIG.replace("WANTED", backend);
    Stage::new(setup, &config, &[("src/number.txt", "100\n")])
}

/// Runs a command in a container where the environment has `variables`; returns what is told.
#[track_caller]
fn told(stage: &mut Stage, variables: &[(&str, &str)]) -> String {
    for (name, value) in variables {
        stage.set(name, Some(OsStr::new(value)));
    }
    let exec = stage.autoclave(&["exec", "-m", "smaller", "--", "true"]);
    assert_eq!(exec.code, Some(125), "{exec}");
    let check = stage.autoclave(&["check"]);
    let hint = exec.stderr.split("hint: ").nth(1).expect("it has a hint");
    let hint = hint.trim().trim_end_matches('.');
    // `check` says the same; only the first letter may differ.
    assert!(check.stdout.contains(&hint[1..]), "{hint}: {check}");
    for (name, _) in variables {
        stage.set(name, None);
    }
    exec.stderr
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_named_with_the_cause_and_where_others_may_be() {
    let mut stage = stage("container", Caller::Tester);
    let text = told(
        &mut stage,
        &[("DOCKER_HOST", "unix:///nonexistent/engine.sock")],
    );
    assert_says(
        &text,
        &[
            "no container engine answers at `unix:///nonexistent/engine.sock`",
            "cause: No such file or directory",
            "hint: Start it (`systemctl start docker`",
        ],
    );
    let text = told(&mut stage, &[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
    assert_says(
        &text,
        &[
            "no container engine answers at `tcp://127.0.0.1:1`",
            "Connection refused",
            "DOCKER_TLS_VERIFY=1",
        ],
    );
}

#[test]
fn an_address_that_cannot_be_used_is_told_with_one_that_can() {
    let mut stage = stage("container", Caller::Tester);
    let text = told(&mut stage, &[("DOCKER_HOST", "engine:2375")]);
    assert_says(&text, &["`engine:2375` is no address", "tcp://HOST:2376"]);
    let text = told(&mut stage, &[("DOCKER_HOST", "ssh://me@engine:2222")]);
    assert_says(
        &text,
        &["`ssh://me@engine:2222` has a port", "~/.ssh/config"],
    );
}

#[test]
fn tls_without_its_files_names_the_file_that_is_missing() {
    let mut stage = stage("container", Caller::Tester);
    let own = stage.outside("home/.docker");
    let tls = [
        ("DOCKER_HOST", "tcp://127.0.0.1:1"),
        ("DOCKER_TLS_VERIFY", "1"),
    ];
    let text = told(&mut stage, &tls);
    let missing = format!("there is no folder `{}`", own.display());
    assert_says(&text, &[&missing, "DOCKER_CERT_PATH names the folder"]);

    fs::create_dir(&own).unwrap();
    let text = told(&mut stage, &tls);
    let authority = format!("cannot use `{}`", own.join("ca.pem").display());
    assert_says(&text, &[&authority, "cause: No such file or directory"]);

    let named = stage.outside("certificates");
    fs::create_dir(&named).unwrap();
    fs::write(named.join("ca.pem"), "not a certificate").unwrap();
    let named = named.to_str().unwrap().to_owned();
    let text = told(&mut stage, &[tls[0], tls[1], ("DOCKER_CERT_PATH", &named)]);
    let authority = format!("cannot use `{named}/ca.pem`");
    assert_says(&text, &[&authority, "cause: it holds no certificate"]);
}

#[test]
fn the_context_of_dockers_client_is_used_and_its_faults_are_told() {
    let mut stage = stage("container", Caller::Tester);
    let text = told(&mut stage, &[("DOCKER_CONTEXT", "far")]);
    assert_says(
        &text,
        &["there is no Docker context `far`", "`docker context ls`"],
    );

    let config = stage.outside("home/.docker");
    let meta = config.join("contexts/meta/4f");
    fs::create_dir_all(&meta).unwrap();
    let file = r#"{"Name":"far","Endpoints":{"docker":{"Host":"unix:///nonexistent/far.sock"}}}"#;
    fs::write(meta.join("meta.json"), file).unwrap();
    fs::write(config.join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
    let text = told(&mut stage, &[]);
    assert_says(
        &text,
        &["no container engine answers at `unix:///nonexistent/far.sock`"],
    );

    fs::write(config.join("config.json"), "{").unwrap();
    let text = told(&mut stage, &[]);
    let unreadable = format!("could not read `{}/config.json`", config.display());
    assert_says(&text, &[&unreadable, "line 1 column 1", "set DOCKER_HOST"]);

    // Whoever wants no container does not care, and `auto` says why it took none.
    stage.set("DOCKER_CONTEXT", Some(OsStr::new("gone")));
    stage.write(
        ".autoclave/config.yaml",
        CONFIG.replace("WANTED", "process"),
    );
    stage
        .autoclave(&["exec", "-m", "smaller", "--", "true"])
        .expect(0);
    stage.write(".autoclave/config.yaml", CONFIG.replace("WANTED", "auto"));
    stage
        .autoclave(&["exec", "-m", "smaller", "--", "true"])
        .expect(0);
    let check = stage.autoclave(&["check"]);
    assert_says(
        &check.stdout,
        &["process, sealed", "there is no Docker context `gone`"],
    );
}

#[test]
fn a_user_who_may_not_use_the_engine_is_told_so() {
    let mut stage = stage("container", Caller::OrdinaryUser);
    let socket = stage.outside("engine.sock");
    let engine = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o000)).unwrap();
    let address = format!("unix://{}", socket.display());
    let text = told(&mut stage, &[("DOCKER_HOST", &address)]);
    let told = format!("this user may not use the container engine at `{address}`");
    assert_says(
        &text,
        &[&told, "cause: Permission denied", "member of the group"],
    );
    drop(engine);
}
