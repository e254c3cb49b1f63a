//! Whole runs on hosts that lack something, through the binary, with the real Claude Code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
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
    loop: {max_experiments: 1, budget_per_experiment: 2m}
    agent: {model: sonnet}
    sandbox: {allow_degraded: ALLOWED}
";
const SCRIPT: &str = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'echo exit 0 > tests/measure.sh; env; cat /proc/*/environ'}}]
    - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt; sleep 4321.5 & echo started'}}]
    - text: Halve the number.
";

struct Host {
    folder: tempfile::TempDir,
    server: ModelServer,
    without: &'static str,
}

impl Host {
    fn new(without: &'static str, allowed: &str) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // The sandbox's uid passes through to its own files, where nothing can be mounted.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let repo = folder.path().join("repo");
        for (path, text) in [
            (".autoclave/config.yaml", CONFIG.replace("ALLOWED", allowed)),
            ("src/number.txt", "100\n".to_owned()),
            ("tests/measure.sh", "cat src/number.txt\n".to_owned()),
        ] {
            let path = repo.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for arguments in [
            &["init", "-q"][..],
            &["add", "."],
            &["commit", "-qm", "base"],
        ] {
            let done = Command::new("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
                .args(arguments)
                .current_dir(&repo)
                .status();
            assert!(done.unwrap().success());
        }
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let claude = std::env::var_os("AUTOCLAVE_TEST_CLAUDE")
            .expect("AUTOCLAVE_TEST_CLAUDE names the binary; tests/run sets it");
        std::os::unix::fs::symlink(claude, bin.join("claude")).unwrap();
        let server = ModelServer::start(Script::parse(SCRIPT).unwrap()).unwrap();
        Self {
            folder,
            server,
            without,
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let bin = self.folder.path().join("bin");
        Command::new(autoclave())
            .args(arguments)
            .current_dir(self.folder.path().join("repo"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.folder.path())
            .env("AUTOCLAVE_STATE_DIR", self.folder.path().join("state"))
            .env("AUTOCLAVE_WITHOUT", self.without)
            .env("ANTHROPIC_API_KEY", KEY)
            .env("ANTHROPIC_BASE_URL", self.server.url())
            .output()
            .unwrap()
    }
}

/// Returns the autoclave binary, built beside this test.
fn autoclave() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("autoclave");
    assert!(
        binary.is_file(),
        "`cargo build --workspace --bins` comes first"
    );
    binary
}

fn processes_with(word: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap();
    lines
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == word.as_bytes())
        })
        .count()
}

#[test]
fn a_run_ends_the_same_without_overlayfs_and_without_namespaces() {
    for (without, level) in [("overlay", "sealed"), ("namespaces", "landlock")] {
        let host = Host::new(without, "[landlock]");
        let run = host.run(&["run", "-m", "smaller", "--json"]);
        let events = String::from_utf8_lossy(&run.stdout);
        assert_eq!(run.status.code(), Some(0), "{events}");
        assert!(
            events.contains(&format!("\"level\":\"{level}\"")),
            "{events}"
        );

        let results = host.run(&["results", "-m", "smaller", "--json"]);
        let results: Value = serde_json::from_slice(&results.stdout).unwrap();
        assert_eq!(results["experiments"][0]["verdict"], "keep");
        assert_eq!(results["champion"]["value"], 50.0);
        let told: String = host
            .server
            .tool_results()
            .iter()
            .map(|result| result.text.clone())
            .collect();
        assert!(
            told.contains("tests/measure.sh: Permission denied"),
            "{told}"
        );
        assert!(told.contains("ANTHROPIC_API_KEY="), "{told}");
        assert!(!told.contains(KEY), "{told}");
        assert_eq!(processes_with("4321.5"), 0);
    }
}

#[test]
fn a_level_that_is_not_accepted_is_refused_by_name() {
    let host = Host::new("namespaces", "[]");
    let run = host.run(&["run", "-m", "smaller"]);
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(5), "{told}");
    assert!(
        told.contains("cannot enforce view: this host allows no new namespaces"),
        "{told}"
    );
    assert!(told.contains("allow_degraded: [landlock]"), "{told}");
}
