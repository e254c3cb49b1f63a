//! Whole runs through the binary: the real Claude Code, the scripted model, the real sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::model_server::{ModelServer, Script};
use serde_json::Value;

const KEY: &str = "sk-test-never-to-be-seen-inside";

const CONFIG: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'sh tests/measure.sh', extract: 'cat', direction: lower}
    guard: {command: 'sh tests/guard.sh', rework_attempts: 0}
    loop: {max_experiments: 2, budget_per_experiment: 2m}
    agent: {model: sonnet}
";

const SCRIPT: &str = r"
sessions:
  - - tools: [{name: Read, input: {file_path: /workspace/src/number.txt}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '100', new_string: '50'}}]
    - tools: [{name: Bash, input: {command: 'echo exit 0 > /workspace/tests/guard.sh; env; cat /proc/*/environ'}}]
    - text: Halve the number.
  - - tools: [{name: Read, input: {file_path: /workspace/src/number.txt}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '50', new_string: '70'}}]
    - text: Raise the number.
";

/// Returns the real Claude Code that the test set-up installed.
fn claude() -> PathBuf {
    let path = std::env::var_os("AUTOCLAVE_TEST_CLAUDE");
    PathBuf::from(path.expect("AUTOCLAVE_TEST_CLAUDE names the binary; tests/run sets it"))
}

/// Returns the autoclave binary, built beside this test.
fn autoclave() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("autoclave");
    assert!(
        binary.is_file(),
        "`cargo build --workspace --bins` comes first; tests/run does it"
    );
    binary
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(arguments)
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository(folder: &Path) {
    for (path, text) in [
        (".autoclave/config.yaml", CONFIG),
        ("src/number.txt", "100\n"),
        ("tests/measure.sh", "cat src/number.txt\n"),
        ("tests/guard.sh", "grep -qx '[0-9][0-9]*' src/number.txt\n"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git(folder, &["init", "-q", "-b", "main"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "base"]);
}

struct Journey {
    folder: tempfile::TempDir,
    server: ModelServer,
}

impl Journey {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::create_dir(folder.path().join("repo")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(claude(), folder.path().join("bin/claude")).unwrap();
        repository(&folder.path().join("repo"));
        let server = ModelServer::start(Script::parse(SCRIPT).unwrap()).unwrap();
        Self { folder, server }
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let bin = self.folder.path().join("bin");
        Command::new(autoclave())
            .args(arguments)
            .current_dir(self.repo())
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
            )
            .env("HOME", self.folder.path())
            .env("AUTOCLAVE_STATE_DIR", self.folder.path().join("state"))
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", self.server.url())
            .output()
            .unwrap()
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn improvement_is_kept_regression_discarded_and_the_key_never_seen() {
    let journey = Journey::new();
    let repo = journey.repo();
    fs::write(repo.join("src/number.txt"), "dirty\n").unwrap();
    let head = git(&repo, &["rev-parse", "HEAD"]);

    let run = journey.run(&["run", "-m", "smaller", "--json"]);
    assert_eq!(
        run.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );

    let results = json(&journey.run(&["results", "-m", "smaller", "--json"]));
    let verdicts: Vec<(&str, &str)> = results["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            (
                e["verdict"].as_str().unwrap(),
                e["reason"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(verdicts, [("keep", ""), ("discard", "worse")]);
    assert_eq!(results["baseline"]["value"], 100.0);
    assert_eq!(results["champion"]["value"], 50.0);
    assert_eq!(results["experiments"][0]["denied"], 1);

    // The model was told why the write failed, and no process of the sandbox holds the key.
    let told: String = journey
        .server
        .tool_results()
        .iter()
        .map(|r| r.text.clone())
        .collect();
    assert!(told.contains("tests/guard.sh: Permission denied"), "{told}");
    assert!(
        told.contains("ANTHROPIC_API_KEY="),
        "the placeholder is there: {told}"
    );
    assert!(!told.contains(KEY), "{told}");

    let finalized = json(&journey.run(&["finalize", "-m", "smaller", "--json"]));
    assert_eq!(finalized["metric"]["base"], 100.0);
    assert_eq!(finalized["metric"]["final"], 50.0);
    let branch = finalized["branch"].as_str().unwrap();
    assert_eq!(
        git(&repo, &["show", &format!("{branch}:src/number.txt")]),
        "50"
    );
    assert_eq!(
        git(&repo, &["log", "-1", "--format=%s", branch]),
        "Halve the number."
    );

    // The user's checkout is as it was, and nothing that was written down holds the key.
    assert_eq!(git(&repo, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(&repo, &["status", "--porcelain"]), "M src/number.txt");
    assert_eq!(
        fs::read_to_string(repo.join("src/number.txt")).unwrap(),
        "dirty\n"
    );
    let grep = Command::new("grep")
        .args(["-r", KEY])
        .arg(journey.folder.path())
        .output()
        .unwrap();
    assert_eq!(
        grep.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&grep.stdout)
    );
}
