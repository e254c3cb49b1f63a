//! Where faults happen: a toy that can be held up at any step of a run, and what must be true after.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use e2e::stage::{Checkout, Ended, Engine, Setup, Stage, autoclave, tree};
use e2e::toy::{control_groups, wait_until};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

pub const RUN: [&str; 3] = ["run", "-m", "smaller"];
pub const KEEP: &str = "keep";
pub const WORSE: &str = "discard worse";
pub const CANCELLED: &str = "void cancelled";

/// `@HOLD STEP@` waits as long as there is a cue for that step.
const CONFIG: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    prepare: {command: 'sh tests/prepare.sh'}
    metric: {command: 'sh tests/measure.sh', extract: 'regex:([0-9]+)', direction: lower}
    guard: {name: number, command: 'sh tests/guard.sh', rework_attempts: 0}
    loop: {max_experiments: 2, budget_per_experiment: 2m}
    agent: {name: scripted, command: [sh, /workspace/.agent/agent.sh], protocol: none}
    sandbox: {backend: BACKEND, read: ['@CUES@']}
";

/// What most agents here do: 50, then 70.
pub const AGENT: &str = "case $tried in
0) echo 50 >src/number.txt; echo Halve the number;;
*) echo 70 >src/number.txt; echo Raise the number;;
esac
";

/// A step of a run at which it can be held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Prepare,
    Baseline,
    Agent,
    Guard,
    Measure,
}

impl Step {
    pub const ALL: [Self; 5] = [
        Self::Prepare,
        Self::Baseline,
        Self::Agent,
        Self::Guard,
        Self::Measure,
    ];

    fn cue(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Agent => "agent",
            Self::Baseline | Self::Guard => "guard",
            Self::Measure => "measure",
        }
    }

    /// Says whether an event shows that the step was reached.
    fn is_shown_by(self, event: &Value) -> bool {
        let is = |name: &str| event["event"] == name;
        let of_experiment = event["experiment"].is_number();
        match self {
            Self::Prepare => is("preparing"),
            Self::Baseline => is("guard_started"),
            Self::Agent => is("agent_text"),
            Self::Guard => is("guard_started") && of_experiment,
            Self::Measure => is("guard_finished") && of_experiment,
        }
    }

    /// Says whether an experiment is under way.
    pub fn is_in_experiment(self) -> bool {
        !matches!(self, Self::Prepare | Self::Baseline)
    }
}

/// A stage whose steps wait for cues.
pub struct Scene {
    pub stage: Stage,
    cues: tempfile::TempDir,
    before: Checkout,
    /// The labels of all that was started here.
    labels: BTreeSet<String>,
}

impl Scene {
    pub fn new(setup: Setup) -> Self {
        Self::with(setup, AGENT, |config| config)
    }

    /// Returns a scene whose agent is the shell script `agent`, to which `$tried` is how many
    /// experiments its brief lists; with the configuration as `change` makes it.
    pub fn with(setup: Setup, agent: &str, change: impl FnOnce(String) -> String) -> Self {
        // Seen by sandboxes, which have a /tmp of their own, and by ordinary users.
        let place = if geteuid().is_root() {
            PathBuf::from("/srv")
        } else {
            autoclave().with_file_name("")
        };
        let cues = tempfile::tempdir_in(place).unwrap();
        fs::set_permissions(cues.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let told = cues.path().display().to_string();
        let hold = |step: &str, then: &str| {
            format!("while [ -e {told}/{step} ]; do sleep 0.05; done\n{then}")
        };
        let count = "tried=$(grep -c '^[0-9][0-9]*\\. ')\necho at work\n";
        let agent = format!("{count}{}", hold("agent", agent));
        let files = [
            ("src/number.txt", "100\n".to_owned()),
            ("tests/prepare.sh", hold("prepare", "")),
            (
                "tests/guard.sh",
                hold("guard", "grep -qx '[0-9]*' src/number.txt\n"),
            ),
            ("tests/measure.sh", hold("measure", "cat src/number.txt\n")),
            (".agent/agent.sh", agent),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        let mut stage = Stage::new(setup, &change(CONFIG.replace("@CUES@", &told)), &files);
        stage.set("ANTHROPIC_API_KEY", None);
        let before = Checkout::of(&stage.repo());
        Self {
            stage,
            cues,
            before,
            labels: BTreeSet::new(),
        }
    }

    pub fn cue(&self, name: &str) -> PathBuf {
        self.cues.path().join(name)
    }

    /// Lets nobody pass `step` until [`go`](Self::go).
    pub fn hold(&self, step: Step) {
        fs::write(self.cue(step.cue()), "").unwrap();
    }

    pub fn go(&self, step: Step) {
        fs::remove_file(self.cue(step.cue())).unwrap();
    }

    /// Starts a command in a process group of its own, as a terminal does.
    pub fn start(&mut self, arguments: &[&str]) -> Child {
        let mut command = self.stage.command(arguments);
        command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Starts a run and holds it up at `step`.
    pub fn held_at(&mut self, step: Step) -> Child {
        let first = match step {
            // Guards also run on the base: the agent is held up until that is over.
            Step::Guard | Step::Measure => Step::Agent,
            step => step,
        };
        self.hold(first);
        let run = self.start(&RUN);
        self.wait_for(first);
        if first != step {
            self.hold(step);
            self.go(first);
            self.wait_for(step);
        }
        self.remember();
        run
    }

    /// Waits until the command of a step is running.
    #[track_caller]
    pub fn wait_for(&self, step: Step) {
        self.wait_for_event(|event| step.is_shown_by(event));
        let script = format!("{}.sh", step.cue());
        wait_until("its command runs", || self.is_running(&script));
    }

    /// Says whether a process has `word` in its arguments.
    pub fn is_running(&self, word: &str) -> bool {
        self.processes().iter().any(|words| words.contains(word))
    }

    /// Waits until the newest run has told an event for which `holds` is true.
    #[track_caller]
    pub fn wait_for_event(&self, holds: impl Fn(&Value) -> bool) {
        wait_until("the event", || self.events().iter().any(&holds));
    }

    /// Returns the events of the newest run, as far as they are written.
    pub fn events(&self) -> Vec<Value> {
        let Some(run) = self.runs().pop() else {
            return Vec::new();
        };
        let text = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
        let events = text.lines().map(serde_json::from_str);
        events.filter_map(Result::ok).collect()
    }

    /// Returns the folders of the runs that have a ledger, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let folder = self.stage.repo().join(".autoclave/runs");
        let entries = fs::read_dir(folder).into_iter().flatten();
        let runs = entries.map(|entry| entry.unwrap().path());
        let mut runs: Vec<PathBuf> = runs
            .filter(|run| run.join("ledger.jsonl").is_file())
            .collect();
        runs.sort();
        runs
    }

    /// Remembers the labels of what is running now, for [`leftovers`](Self::leftovers).
    pub fn remember(&mut self) {
        for entry in fs::read_dir(self.stage.outside("state"))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "lock")
            {
                let label = path.file_stem().unwrap().to_str().unwrap();
                self.labels.insert(label.to_owned());
            }
        }
    }

    /// Returns what is left of runs outside of the repository, and of locks inside; empty when all
    /// is well.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let state = self.stage.outside("state");
        for entry in fs::read_dir(&state).into_iter().flatten() {
            let name = entry.unwrap().file_name();
            // Its name on container engines, and whose turn it is to measure, which stay.
            if !["engine-name", "measuring"].contains(&&*name.to_string_lossy()) {
                left.push(format!("in the state directory: {}", name.display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = mounts.lines().filter(|line| self.is_named_in(line));
        left.extend(ours.map(|line| format!("mount {line}")));
        left.extend(
            self.processes()
                .iter()
                .map(|words| format!("process {words}")),
        );
        let groups = self.labels.iter().flat_map(|label| control_groups(label));
        left.extend(groups.map(|group| format!("cgroup {}", group.display())));
        let locks = tree(&self.stage.repo().join(".git")).into_keys();
        let locks = locks.filter(|path| path.extension().is_some_and(|e| e == "lock"));
        left.extend(locks.map(|path| format!("git's lock {}", path.display())));
        if self.stage.setup.uses_containers()
            && let Ok(name) = fs::read_to_string(state.join("engine-name"))
        {
            let label = format!("label=autoclave.state={name}");
            let engine = Engine::of(self.stage.setup);
            let containers = engine.ask(&["ps", "-aq", "--filter", &label]);
            left.extend(containers.lines().map(|id| format!("container {id}")));
            let images = engine.ask(&["images", "-aq", "--filter", &label]);
            left.extend(images.lines().map(|id| format!("image {id}")));
        }
        left
    }

    fn is_named_in(&self, text: &str) -> bool {
        let root = self.stage.outside("");
        [&root, self.cues.path()]
            .iter()
            .any(|path| text.contains(path.to_str().unwrap().trim_end_matches('/')))
    }

    /// Returns the processes that have anything of this scene in their arguments or mounts.
    pub fn processes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.bytes().all(|b| b.is_ascii_digit())
                && name != std::process::id().to_string()
                && ["cmdline", "mountinfo"].iter().any(|file| {
                    let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
                    self.is_named_in(&String::from_utf8_lossy(&bytes))
                })
            {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                found.push(format!("{name}: {words}"));
            }
        }
        found
    }

    /// Waits until no process of a killed run is left: the kernel ends them.
    #[track_caller]
    pub fn wait_for_death(&self) {
        wait_until("all processes are dead", || self.processes().is_empty());
    }

    /// Asserts that all that is written can be read, and that the user's checkout is as it was.
    #[track_caller]
    pub fn assert_readable(&self) {
        for run in self.runs() {
            let text = fs::read_to_string(run.join("ledger.jsonl")).unwrap();
            assert!(text.ends_with('\n') || text.is_empty(), "torn: {text}");
            for line in text.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
        for command in [&["status"][..], &["results", "-m", "smaller"]] {
            let command = [command, &["--json"]].concat();
            self.stage.autoclave(&command).expect(0).json();
        }
        self.before.assert_unchanged(&self.stage.repo());
    }

    /// Asserts that nothing is left and all can be read.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
        self.assert_readable();
    }

    /// Runs again to the end that an undisturbed run comes to, in the same run. `before` are the
    /// verdicts of what was disturbed.
    #[track_caller]
    pub fn goes_on(&mut self, before: &[&str]) {
        self.comes_to(0, &[before, &[KEEP, WORSE]].concat());
    }

    /// Runs again to the end with `code`, with `verdicts` in all.
    #[track_caller]
    pub fn comes_to(&mut self, code: i32, verdicts: &[&str]) {
        self.stage.autoclave(&RUN).expect(code);
        self.assert_clean();
        assert_eq!(self.stage.verdicts("smaller"), verdicts);
        assert_eq!(self.runs().len(), 1, "the same run goes on");
        let fsck = self.stage.git(&["fsck", "--no-dangling"]);
        assert!(
            !fsck.contains("missing") && !fsck.contains("broken"),
            "{fsck}"
        );
    }

    /// Makes the user's checkout of now the one that must not change.
    pub fn user_has_changed_it(&mut self) {
        self.before = Checkout::of(&self.stage.repo());
    }
}

/// Sends a signal to a process alone.
pub fn signal(process: &Child, signal: Signal) {
    kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
}

/// Sends a signal to a process and all of its group, as Ctrl-C does.
pub fn signal_group(process: &Child, signal: Signal) {
    killpg(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
}

/// Waits for the end of a process that must end by itself.
#[track_caller]
pub fn ended(child: Child) -> Output {
    ended_within(child, Duration::from_secs(60))
}

#[track_caller]
pub fn ended_within(mut child: Child, patience: Duration) -> Output {
    let deadline = Instant::now() + patience;
    wait_until("the process ends", || {
        assert!(Instant::now() < deadline, "it did not end in time");
        child.try_wait().unwrap().is_some()
    });
    child.wait_with_output().unwrap()
}

/// Asserts how a process ended and returns its standard error.
#[track_caller]
pub fn expect(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Asserts that a refusal names all of `words`.
#[track_caller]
pub fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        ended.says(word);
    }
}

/// Copies a folder's files, one deep or more.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
