//! A toy repository with a scripted agent that speaks no protocol, and the binary to run it with.
//!
//! No model and no network: what the agent does depends only on how many experiments its brief
//! lists, so that runs can be compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::autoclave;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// The marker's name.
pub const MARKER: &str = "smaller";

/// A number to make smaller. The agent's arguments are its ideas, one an experiment: 50 (kept), 70
/// (worse), a broken guard that is reworked into 40 (kept), nothing, 40 again with another file.
const CONFIG: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'sh tests/measure.sh', extract: 'cat', direction: lower, name: size, unit: kB}
    guard: {name: lines, command: 'sh tests/guard.sh', rework_attempts: 1}
    loop: {max_experiments: 5, budget_per_experiment: 2m}
    agent: {name: scripted, command: [sh, /workspace/.agent/agent.sh, halve, raise, lines, think, note], protocol: none}
    sandbox: {read: [@CUES@]}
";

const GUARD: &str = "echo checking\ntest \"$(wc -l <src/number.txt)\" = 1\n";

const AGENT: &str = r#"
brief=$(cat)
case $brief in "The guard"*)
    echo 40 >src/number.txt
    echo "Mend the lines"
    exit 0;;
esac
shift "$(printf '%s\n' "$brief" | grep -c '^[0-9][0-9]*\. ')"
echo at work
while [ -e "@CUES@/wait-$1" ]; do sleep 0.05; done
case $1 in
halve) echo 50 >src/number.txt; echo "Halve the number";;
raise) echo 70 >src/number.txt; echo x >tests/guard.sh; echo "Raise the number";;
lines) printf '40\n\n' >src/number.txt; echo "Two lines";;
think) echo "Think about it";;
note) echo "a note" >src/note.txt; echo "Write a note";;
esac
"#;

/// A repository, a state directory and a folder of cues for the agent; all removed when dropped.
pub struct Toy {
    folder: tempfile::TempDir,
    cues: tempfile::TempDir,
    /// What `DOCKER_HOST` says.
    engine: Option<String>,
}

impl Default for Toy {
    fn default() -> Self {
        Self::new()
    }
}

impl Toy {
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    /// As [`new`](Self::new), with the configuration as `change` makes it.
    pub fn with(change: impl FnOnce(String) -> String) -> Self {
        Self::measured_by("cat src/number.txt\n", change)
    }

    /// As [`with`](Self::with), with the shell script `measure` as its metric, in which `@CUES@`
    /// stands for the folder of [`cues`](Self::cues).
    pub fn measured_by(measure: &str, change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // Not beneath /tmp or /var/tmp, which a sandbox has one of its own of.
        let beside = autoclave().with_file_name("");
        let is_hidden = ["/tmp", "/var/tmp"]
            .iter()
            .any(|own| beside.starts_with(own));
        let place = if is_hidden { "/srv".into() } else { beside };
        let cues = tempfile::tempdir_in(place).unwrap();
        fs::set_permissions(cues.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let toy = Self {
            folder,
            cues,
            engine: None,
        };
        let cues = toy.cues().display().to_string();
        for (path, text) in [
            (
                ".autoclave/config.yaml",
                change(CONFIG.replace("@CUES@", &cues)),
            ),
            (".agent/agent.sh", AGENT.replace("@CUES@", &cues)),
            ("src/number.txt", "100\n".to_owned()),
            ("tests/measure.sh", measure.replace("@CUES@", &cues)),
            ("tests/guard.sh", GUARD.to_owned()),
        ] {
            let path = toy.repo().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        toy.git(&["init", "-q", "-b", "main"]);
        toy.git(&["add", "."]);
        toy.git(&["commit", "-qm", "base"]);
        toy
    }

    /// As [`with`](Self::with), in containers of `image` on the engine at `host`.
    pub fn in_containers(host: String, image: &str, change: impl FnOnce(String) -> String) -> Self {
        let backend = format!("sandbox: {{backend: container, image: '{image}', ");
        let mut toy = Self::with(|config| change(config.replace("sandbox: {", &backend)));
        toy.engine = Some(host);
        toy
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn repo(&self) -> PathBuf {
        self.root().join("repo")
    }

    pub fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    pub fn runs(&self) -> PathBuf {
        self.repo().join(".autoclave/runs")
    }

    /// Visible in the sandbox; while it holds a file `wait-IDEA`, the agent waits with that idea.
    pub fn cues(&self) -> PathBuf {
        self.cues.path().to_owned()
    }

    /// Returns the command line of the binary in this repository, without the caller's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.dressed(Command::new(autoclave()), arguments)
    }

    /// Gives `command` the arguments, the directory and the environment of this toy.
    pub fn dressed(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .current_dir(self.repo())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.root())
            .env("AUTOCLAVE_STATE_DIR", self.state());
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command with `--json` that must end with `code`; returns its standard output.
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Starts a run in the background, in a process group of its own as in a terminal, whose first experiment waits for [`go`](Self::go), and returns
    /// when its agent is at work.
    pub fn waiting_run(&self) -> Child {
        fs::write(self.cues().join("wait-halve"), "").unwrap();
        let mut child = self
            .command(&["run", "-m", MARKER])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the agent is at work", || {
            if child.try_wait().unwrap().is_some() {
                let mut said = String::new();
                let mut stderr = child.stderr.take().unwrap();
                stderr.read_to_string(&mut said).unwrap();
                panic!("the run ended before its agent was at work: {said}");
            }
            self.run_folders().iter().any(|run| {
                let said = fs::read_to_string(run.join("experiments/0001/agent.jsonl"));
                said.is_ok_and(|said| said.contains("at work"))
            })
        });
        child
    }

    /// Lets the agent of a [`waiting_run`](Self::waiting_run) go on.
    pub fn go(&self) {
        fs::remove_file(self.cues().join("wait-halve")).unwrap();
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(arguments)
            .current_dir(self.repo())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns the folders of the runs that have a ledger; sorted, so oldest first.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = fs::read_dir(self.runs())
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("ledger.jsonl").exists())
            .collect();
        folders.sort();
        folders
    }

    /// Returns the records of a ledger without what no two runs have in common: ids, times, and
    /// commits by anything but their `src`.
    pub fn ledger(&self, run: &Path) -> Vec<Value> {
        let text = fs::read_to_string(run.join("ledger.jsonl")).unwrap();
        let mut trees = BTreeMap::new();
        let mut records: Vec<Value> = Vec::new();
        for line in text.lines() {
            let mut record: Value = serde_json::from_str(line).unwrap();
            let object = record.as_object_mut().unwrap();
            object.remove("run");
            object.remove("seconds");
            object.remove("measuring_seconds");
            object.remove("seed");
            object.remove("marker_digest");
            for key in ["base", "commit", "champion"] {
                if let Some(Value::String(commit)) = object.get_mut(key) {
                    let tree = trees
                        .entry(commit.clone())
                        .or_insert_with(|| self.git(&["rev-parse", &format!("{commit}:src")]));
                    commit.clone_from(tree);
                }
            }
            // An experiment in flight when a run was killed is begun again.
            let is_again = record["record"] == "experiment_started";
            if !(is_again && records.last() == Some(&record)) {
                records.push(record);
            }
        }
        records
    }

    /// Returns what is left of this toy's runs outside of the repository; empty when all is well.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for entry in fs::read_dir(self.state()).into_iter().flatten() {
            let entry = entry.unwrap();
            // Its name on container engines, and whose turn it is to measure, which stay.
            if !["engine-name", "measuring"].contains(&&*entry.file_name().to_string_lossy()) {
                left.push(format!("file {}", entry.path().display()));
            }
        }
        let root = self.root().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&root))
                .map(|line| format!("mount {line}")),
        );
        left.extend(self.processes().iter().map(|pid| format!("process {pid}")));
        left
    }

    /// Waits until no process of this toy is left: what a killed run leaves dies with it.
    #[track_caller]
    pub fn wait_for_death(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let alive = self.processes();
            if alive.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                let about = |pid: &String| {
                    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}"));
                    let words = read("cmdline").unwrap_or_default().replace('\0', " ");
                    let status = read("status").unwrap_or_default();
                    let lines = status.lines().take(8).collect::<Vec<_>>().join(", ");
                    let stack = read("stack").unwrap_or_default();
                    format!("{words}: {lines}\n{stack}")
                };
                let about: Vec<String> = alive.iter().map(about).collect();
                panic!("still alive: {}", about.join("\n"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Returns the processes that have anything of this toy in their arguments, mounts or
    /// directory: autoclave itself, its helpers, and everything in a sandbox.
    pub fn processes(&self) -> Vec<String> {
        let root = self.root().display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.bytes().all(|b| b.is_ascii_digit()) || name == std::process::id().to_string() {
                continue;
            }
            let is_ours = ["cmdline", "mountinfo"].iter().any(|file| {
                let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(&root)
            });
            if is_ours {
                found.push(name);
            }
        }
        found
    }
}

/// Returns the control groups of sandboxes that were made under `label`.
pub fn control_groups(label: &str) -> Vec<PathBuf> {
    let prefix = format!("autoclave-{label}-");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path());
            }
            folders.push(entry.path());
        }
    }
    found
}

/// Waits until `holds`, looking often; fails after a minute.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} within a minute");
        std::thread::sleep(LOOK);
    }
}
