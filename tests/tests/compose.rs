//! docker-compose.yml as on a server: a gateway with the key, a runner with the engine's socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::stage::{Checkout, Setup, Stage, autoclave, processes_with};

e2e::journeys!(container, Container, Container, Tester: [one_command_on_a_server_keeps_an_improvement]);

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
const HALVE: &str = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'ls -a /run/autoclave; env'}}]
    - tools: [{name: Bash, input: {command: 'echo 50 > /workspace/src/number.txt'}}]
    - text: Halve the number.
";

/// A server: the composition on the tests' engine, under a name of its own.
struct Server {
    stage: Stage,
    engine: String,
    project: String,
    image: String,
    key: String,
}

impl Server {
    fn new(setup: Setup) -> Self {
        let stage = Stage::new(setup, MARKER, &FILES).with_script(HALVE);
        let project = format!("autoclave-test-{}", std::process::id());
        let server = Self {
            engine: setup.address(),
            image: format!("autoclave/{project}"),
            key: format!("sk-ant-test-of-process-{}", std::process::id()),
            project,
            stage,
        };
        let key = server.stage.outside("key");
        fs::write(&key, format!("ANTHROPIC_API_KEY={}\n", server.key)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let base = std::env::var("AUTOCLAVE_TEST_IMAGE").expect("tests/run sets it");
        let build = Command::new(root().join("sandbox-images/build"))
            .env("DOCKER_HOST", &server.engine)
            .arg("--autoclave")
            .arg(autoclave())
            .args(["--tag", &server.image, "--base", &base])
            .output();
        succeeded(&build.unwrap());
        server
    }

    /// Calls docker-compose as a user does on a server, with all names of this test's own.
    fn compose(&self, arguments: &[&str]) -> Output {
        let socket = self.engine.strip_prefix("unix://");
        let socket = socket.expect("the tests' engine is on this machine");
        Command::new("docker-compose")
            .arg("--file")
            .arg(root().join("docker-compose.yml"))
            .args(arguments)
            .env("DOCKER_HOST", &self.engine)
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("AUTOCLAVE_IMAGE", &self.image)
            .env("AUTOCLAVE_KEY_FILE", self.stage.outside("key"))
            .env("AUTOCLAVE_REPOSITORY", self.stage.repo())
            .env("AUTOCLAVE_ENGINE_SOCKET", socket)
            // The model is on this machine's loopback, and the tests' engine has no bridge.
            .env("AUTOCLAVE_GATEWAY_NETWORK", "host")
            .env("ANTHROPIC_BASE_URL", self.stage.model().url())
            .output()
            .unwrap()
    }

    fn runner(&self, arguments: &[&str]) -> Output {
        self.compose(&[&["run", "--rm", "-T", "runner"], arguments].concat())
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(["--host", &self.engine]).args(arguments);
        succeeded(&command.output().unwrap())
    }

    /// Returns what on the engine has a label.
    fn labelled(&self, label: &str) -> String {
        let filter = format!("label={label}");
        let lists: [&[&str]; 3] = [&["ps", "-a"], &["volume", "ls"], &["image", "ls", "-a"]];
        lists
            .map(|list| self.docker(&[list, &["-q", "--filter", &filter]].concat()))
            .concat()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do after a test that passed; what fails here must not hide its failure.
        drop(self.compose(&["down", "--volumes", "--timeout", "5"]));
        let mut remove = Command::new("docker");
        remove.args(["--host", &self.engine, "image", "rm", &self.image]);
        drop(remove.output());
    }
}

fn one_command_on_a_server_keeps_an_improvement(setup: Setup) {
    let server = Server::new(setup);
    let stage = &server.stage;
    let before = Checkout::of(&stage.repo());

    let run = server.runner(&["run", "-m", "smaller", "--json"]);
    succeeded(&run);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    assert_eq!(stage.results("smaller")["champion"]["value"], 50.0);
    before.assert_unchanged(&stage.repo());

    // The gateway of the other container served it, metered it and told it what to write down.
    let audit = fs::read_to_string(stage.run_folder().join("gateway.jsonl")).unwrap();
    assert!(audit.lines().count() >= 3, "{audit}");
    let usage = &stage.events_of("agent_finished")[0]["usage"];
    assert!(usage["cost_usd"].as_f64().unwrap() > 0.0, "{usage}");

    // A sandbox sees the socket of its own run alone, and a placeholder.
    let told = stage.told();
    assert!(told.contains("\ngateway.sock\n"), "{told}");
    assert!(!told.contains("control.sock"), "{told}");
    assert!(told.contains("ANTHROPIC_API_KEY=autoclave-"), "{told}");
    assert!(!told.contains(&server.key), "{told}");

    // The key is in its file, and neither in a description nor in any process's environment.
    let project = format!("com.docker.compose.project={}", server.project);
    let services = server.docker(&["ps", "-aq", "--filter", &format!("label={project}")]);
    assert_eq!(services.lines().count(), 1, "the gateway stays: {services}");
    let described = server.docker(&["inspect", services.trim()]);
    assert!(
        described.contains("AUTOCLAVE_CREDENTIAL_FILE"),
        "{described}"
    );
    assert!(!described.contains(&server.key), "{described}");
    assert!(processes_with(&server.key).is_empty());

    // Nothing of the run is left, and then nothing of the services.
    let cat = ["run", "--rm", "-T", "--entrypoint", "cat", "runner"];
    let name = server.compose(&[&cat[..], &["/var/lib/autoclave/state/engine-name"]].concat());
    let name = succeeded(&name);
    assert_eq!(name.trim().len(), 32, "{name}");
    assert_eq!(
        server.labelled(&format!("autoclave.state={}", name.trim())),
        ""
    );
    succeeded(&server.compose(&["down", "--volumes", "--timeout", "5"]));
    assert_eq!(server.labelled(&project), "");
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
