//! An engine on another machine: its own network, its own files, reached over TLS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsStr;
use std::process::Stdio;

use e2e::remote_engine::RemoteEngine;
use e2e::stage::{Backend, Caller, Setup, Stage, processes_with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

e2e::journeys!(container, Container, Container, Tester: [
    engine_elsewhere_runs_experiments_and_never_sees_the_key,
]);

const MARKER: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['measure.sh']}
    metric: {command: 'sh measure.sh', extract: 'cat', direction: lower}
    sandbox: {backend: BACKEND}
    loop: {max_experiments: 1, budget_per_experiment: 3m, max_cost_usd: 5}
";
const FILES: [(&str, &str); 2] = [
    ("src/number.txt", "100\n"),
    ("measure.sh", "cat src/number.txt\n"),
];

/// The agent looks around, and goes on when the test has done so, too.
const HALVE: &str = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'cat /proc/net/dev; grep /run/autoclave /proc/mounts; ls /run/autoclave; touch /run/autoclave/mine 2>&1'}}]
    - tools: [{name: Bash, input: {command: 'until [ -e /tmp/looked ]; do sleep 0.1; done'}}]
    - tools: [{name: Bash, input: {command: 'echo 50 > /workspace/src/number.txt'}}]
    - text: Halve the number.
";

const SETUP: Setup = Setup {
    backend: Backend::Container,
    measured_in: Backend::Container,
    caller: Caller::Tester,
};

/// A stage whose engine is `engine`, and whose key nobody else has.
fn stage(engine: &RemoteEngine, config: &str, key: &str) -> Stage {
    let mut stage = Stage::new(SETUP, config, &FILES).with_script(HALVE);
    let certificates = engine.certificates("client");
    for (name, value) in [
        ("DOCKER_HOST", OsStr::new(&engine.host())),
        ("DOCKER_TLS_VERIFY", OsStr::new("1")),
        ("DOCKER_CERT_PATH", certificates.as_os_str()),
        ("ANTHROPIC_API_KEY", OsStr::new(key)),
    ] {
        stage.set(name, Some(value));
    }
    stage
}

// One test, since its engine takes long to make.
fn engine_elsewhere_runs_experiments_and_never_sees_the_key(setup: Setup) {
    let engine = RemoteEngine::start(&setup.address(), &Backend::image());
    strangers_are_refused(&engine);
    files_of_this_machine_are_refused_by_name(&engine);
    improvement_is_kept(&engine);
    what_a_killed_run_left_is_swept(&engine);
}

fn strangers_are_refused(engine: &RemoteEngine) {
    let mut stage = stage(engine, MARKER, "sk-test-stranger");
    let stranger = engine.certificates("stranger");
    stage.set("DOCKER_CERT_PATH", Some(stranger.as_os_str()));
    let run = stage.autoclave(&["run", "-m", "smaller"]).expect(5);
    run.says(&format!(
        "no container engine answers at `{}`",
        engine.host()
    ));
}

fn files_of_this_machine_are_refused_by_name(engine: &RemoteEngine) {
    for (rule, config) in [
        (
            "sandbox.read",
            MARKER.replace("BACKEND", "BACKEND, read: [/usr/share]"),
        ),
        (
            "agent.from_host",
            format!("{MARKER}    agent: {{from_host: true}}\n"),
        ),
    ] {
        let stage = stage(engine, &config, "sk-test-files");
        let run = stage.autoclave(&["run", "-m", "smaller"]).expect(5);
        run.says(&format!(
            "cannot enforce {rule}: the engine does not see the files of this machine"
        ));
    }
}

fn improvement_is_kept(engine: &RemoteEngine) {
    let key = format!("sk-test-of-process-{}", std::process::id());
    let stage = stage(engine, MARKER, &key);
    let mut looks = 0;
    let run = stage
        .watch(&["run", "-m", "smaller", "--json"], |_, event| {
            if is_waiting(event) {
                looks += 1;
                while_the_agent_runs(engine, &stage, &key);
                let agent = running(engine, "contained");
                engine.docker(&["exec", &agent, "touch", "/tmp/looked"]);
            }
        })
        .expect(0);
    assert_eq!(looks, 1, "{run}");
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    assert_eq!(stage.results("smaller")["champion"]["value"], 50.0);

    // From inside: no interface but lo, the socket and nothing else, not to be changed.
    let told = stage.told();
    let interfaces = told
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, counts)| counts.split_whitespace().count() == 16)
        .map(|(name, _)| name.trim());
    assert_eq!(interfaces.collect::<Vec<_>>(), ["lo"], "{told}");
    let mounted = told.lines().find(|line| line.contains(" /run/autoclave "));
    assert!(mounted.is_some_and(|line| line.contains(" ro,")), "{told}");
    assert!(told.contains("\ngateway.sock\n"), "{told}");
    assert!(told.contains("Read-only file system"), "{told}");

    // The meter and the audit file are those of this machine's gateway, as ever.
    let audit = std::fs::read_to_string(stage.run_folder().join("gateway.jsonl")).unwrap();
    assert!(audit.lines().count() >= 4, "{audit}");
    let usage = &stage.events_of("agent_finished")[0]["usage"];
    assert!(usage["output_tokens"].as_u64().unwrap() > 0, "{usage}");

    assert_eq!(engine.files_with(&key), Vec::<String>::new());
    only_the_image_is_left(engine);
}

/// Looks at everything on the engine while an agent is held up there.
fn while_the_agent_runs(engine: &RemoteEngine, stage: &Stage, key: &str) {
    let gateway = running(engine, "relay");
    let agent = running(engine, "contained");
    for container in [&gateway, &agent] {
        let network = [
            "inspect",
            "--format",
            "{{.HostConfig.NetworkMode}}",
            container,
        ];
        assert_eq!(engine.docker(&network).trim(), "none");
    }
    let mut described = String::new();
    for (list, inspect) in [
        (&["ps", "-aq"][..], &["inspect"][..]),
        (&["image", "ls", "-aq"], &["image", "inspect"]),
        (&["volume", "ls", "-q"], &["volume", "inspect"]),
    ] {
        let ids = engine.docker(list);
        assert!(!ids.trim().is_empty(), "{list:?} lists nothing");
        let all: Vec<&str> = inspect.iter().copied().chain(ids.lines()).collect();
        described += &engine.docker(&all);
    }
    // What would be found if it was there: the gateway's placeholder is not in descriptions either.
    assert!(described.contains("autoclave.run"), "{described}");
    assert!(!described.contains(key), "{described}");
    assert_eq!(engine.files_with(key), Vec::<String>::new());
    // The control: what is there is found.
    assert_ne!(
        engine.files_with("cat src/number.txt"),
        Vec::<String>::new()
    );
    let own = stage.outside("bin/autoclave").display().to_string();
    let holders: Vec<_> = processes_with(key)
        .into_iter()
        .filter(|process| !process.arguments.starts_with(&own))
        .collect();
    assert!(holders.is_empty(), "{holders:?}");
}

fn what_a_killed_run_left_is_swept(engine: &RemoteEngine) {
    let stage = stage(engine, MARKER, "sk-test-killed");
    let mut command = stage.command(&["run", "-m", "smaller", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    let events = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut events = serde_json::Deserializer::from_reader(events).into_iter::<Value>();
    assert!(events.any(|event| is_waiting(&event.unwrap())));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert_ne!(engine.docker(&["volume", "ls", "-q"]), "");

    // A run that lives is not swept by the next start of the same state directory: see the sweep's
    // own test. This one is dead.
    stage
        .autoclave(&["exec", "-m", "smaller", "--", "true"])
        .expect(0);
    only_the_image_is_left(engine);
}

/// Says whether the agent was just told to wait for the test.
fn is_waiting(event: &Value) -> bool {
    let summary = event["summary"].as_str().unwrap_or_default();
    event["event"] == "agent_tool" && summary.contains("/tmp/looked")
}

/// Returns the one running container whose helper does `stage`.
fn running(engine: &RemoteEngine, stage: &str) -> String {
    let listed = engine.docker(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Command}}"]);
    let found: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains(&format!("enter {stage}")))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(found.len(), 1, "{listed}");
    found[0].to_owned()
}

fn only_the_image_is_left(engine: &RemoteEngine) {
    assert_eq!(engine.docker(&["ps", "-aq"]), "");
    assert_eq!(engine.docker(&["volume", "ls", "-q"]), "");
    assert_eq!(engine.docker(&["image", "ls", "-aq"]).lines().count(), 1);
}
