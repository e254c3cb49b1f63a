//! Plays the cases of a group on a row: controls first, then all of it in one sandbox.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::stage::{Caller, Checkout, Stage, autoclave, processes_with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::canary::Canaries;
use crate::case::{Case, Control, Group, Outcome};
use crate::document;
use crate::measured::Measured;
use crate::place::{FILES, Place, fill, nonce_of};
use crate::program::program;
use crate::row::Row;

const CONFIG: &str = "markers:
  - name: escapes
    description: Get out
    target: {mutable: ['open/**', 'mixed/*.txt'], immutable: ['mixed/fixed.txt', 'fixed/**']}
    metric: {command: 'echo 100', extract: 'cat', direction: lower}
    loop: {max_experiments: 1, budget_per_experiment: 3m}
    agent: {AGENT}
    sandbox: {backend: BACKEND, read: ['SHOWN'], allow_degraded: [landlock], limits: {memory: 1G, pids: 128, disk: 256M}}
";

/// A repository with the program in it, on the machine of a row.
pub struct Scene {
    pub stage: Stage,
    pub place: Place,
    /// Holds what is shown: not beneath /tmp or /var/tmp, which a sandbox has of its own.
    _shown: TempDir,
}

/// Plays all cases of `group` on `row`, and fails with all that is not as it must be.
pub fn play(group: &Group, row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let mut wrong = controls(group, row);
    let mut scene = Scene::new(row, "name: none", &[]);
    let surroundings = (group.surroundings)(&scene.place);
    for (name, value) in &surroundings.env {
        scene.stage.set(name, Some(OsStr::new(value)));
    }
    let fill_in = |argument| scene.place.fill_in(argument, &surroundings);
    let mut lines = String::new();
    let together = group.cases.iter();
    for Case {
        name,
        attack,
        argument,
        granted,
        ..
    } in together.filter(|case| !matches!(case.expected_on(row), Outcome::EndsAll(_)))
    {
        if let Some(granted) = granted {
            lines += &format!("{name}, granted\t{attack}\t{}\n", fill_in(granted));
        }
        lines += &format!("{name}\t{attack}\t{}\n", fill_in(argument));
    }
    let before = Checkout::of(&scene.stage.repo());
    let canaries = Canaries::of(&scene.canaries());

    let (measured, _) = scene.exec(row, &lines);

    for process in processes_with(&nonce_of(scene.place.folder())) {
        wrong.push(format!("still there: {process:?}"));
    }
    let changed = canaries.changed_since(&scene.canaries());
    match group.open_to_change(row) {
        None => wrong.extend(changed),
        // Only their modes, owners, times and attributes; nothing else of it is open anywhere.
        Some(_) => wrong.extend(canaries.contents_changed_since(&scene.canaries())),
    }
    wrong.extend((surroundings.harm)());
    for case in group.cases {
        let came_to = |id: &str| measured.get(id).cloned().unwrap_or_else(Measured::missing);
        let granted = came_to(&format!("{}, granted", case.name));
        let is_apart = matches!(case.expected_on(row), Outcome::EndsAll(_));
        if case.granted.is_some() && !is_apart && !granted.got_through() {
            wrong.push(format!("{}: what is allowed came to {granted}", case.name));
        }
        let confined = came_to(case.name);
        let expected = case.expected_on(row);
        if !confined.is(expected) {
            wrong.push(format!("{}: {confined}, not {expected:?}", case.name));
        }
    }
    document::note(group, row, &measured);
    assert!(
        wrong.is_empty(),
        "{} on {}:\n{}",
        group.name,
        row.words(),
        wrong.join("\n")
    );
    before.assert_unchanged(&scene.stage.repo());
}

/// Plays each case without a sandbox, each in files of its own; returns what did not get through.
fn controls(group: &Group, row: Row) -> Vec<String> {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let program_here = root.path().join("attack");
    // By another process: what this one has open for writing, a test beside it may inherit, and
    // then nobody can start it.
    let copied = Command::new("cp")
        .arg(program())
        .arg(&program_here)
        .status();
    assert!(copied.unwrap().success());
    let mut wrong = Vec::new();
    for (number, case) in group.cases.iter().enumerate() {
        let (attack, argument) = match case.control {
            Control::Same | Control::ByRoot => (case.attack, case.argument),
            Control::With(argument) => (case.attack, argument),
            Control::Instead(attack, argument, _) => (attack, argument),
        };
        let folder = root.path().join(number.to_string());
        let caller = match case.control {
            Control::ByRoot => Caller::Tester,
            Control::Same | Control::With(_) | Control::Instead(..) => row.setup().caller,
        };
        let place = Place::unconfined(&folder, caller, &program_here);
        let surroundings = (group.surroundings)(&place);
        let line = place.fill_in(argument, &surroundings);
        let mut command = place.caller.command(&place.workspace.join("attack"));
        command
            .current_dir(&place.workspace)
            .env("HOME", folder.join("home"))
            .env("TMPDIR", folder.join("tmp"))
            .envs(surroundings.env.iter().map(|(name, value)| (name, value)));
        let (said, _) = run(command, &format!("control\t{attack}\t{line}\n"));
        let came_to = Measured::parse(&said).remove("control");
        let came_to = came_to.unwrap_or_else(Measured::missing);
        if !came_to.got_through() {
            wrong.push(format!("{}: its control came to {came_to}", case.name));
        }
    }
    end(&nonce_of(root.path()));
    wrong
}

impl Scene {
    /// Makes the repository, with `files` beside those of every place. `agent` is the configured one.
    pub fn new(row: Row, agent: &str, files: &[(&str, &str)]) -> Self {
        let setup = row.setup();
        let mut stage = Stage::empty(setup);
        row.prepare(&mut stage);
        let shown = folder_to_show();
        fill(&shown.path().join("shown"));
        setup.caller.own(shown.path());
        let place = Place {
            workspace: stage.repo(),
            outside: stage.outside("outside"),
            shown: shown.path().join("shown"),
            caller: setup.caller,
        };
        fill(&place.outside);
        setup.caller.own(&place.outside);
        stage.git(&["init", "-q", "-b", "main"]);
        let config = CONFIG
            .replace("AGENT", agent)
            .replace("BACKEND", &setup.keys())
            .replace("SHOWN", place.shown.to_str().unwrap());
        stage.write(".autoclave/config.yaml", config);
        for file in FILES {
            stage.write(file, "fixed\n");
        }
        for (file, text) in files {
            stage.write(file, text);
        }
        stage.write("attack", fs::read(program()).unwrap());
        let program = stage.repo().join("attack");
        fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
        stage.commit_all("base");
        place.link();
        Self {
            stage,
            place,
            _shown: shown,
        }
    }

    /// Puts the real agent on the PATH and lets the model play `script`.
    #[must_use]
    pub fn with_script(self, script: &str) -> Self {
        Self {
            stage: self.stage.with_script(script),
            ..self
        }
    }

    /// Returns the folders that nothing may change.
    pub fn canaries(&self) -> [&Path; 2] {
        [&self.place.outside, &self.place.shown]
    }

    /// Returns `command` as somebody starts it who has left files and a folder open.
    fn with_descriptors(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        let script = r#"exec 7<"$0" 8<"$0/secret" 9>>"$0/loose"; exec "$@""#;
        shell.args(["-c", script]).arg(&self.place.outside);
        shell.arg(command.get_program()).args(command.get_args());
        shell.env_clear();
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap());
        }
        shell.current_dir(command.get_current_dir().unwrap());
        shell
    }

    /// Plays the lines of a list in one sandbox of `row`.
    /// Returns what each came to, and the report of `autoclave exec`.
    pub fn exec(&self, row: Row, lines: &str) -> (BTreeMap<String, Measured>, Value) {
        let report = self.stage.outside("home/report.json");
        let arguments = ["exec", "-m", "escapes", "--report"];
        let mut command = self.stage.command(&arguments);
        command.arg(&report).args(["--", "./attack"]);
        let (stdout, stderr) = run(self.with_descriptors(&command), lines);
        let report = fs::read_to_string(report);
        let report = report.unwrap_or_else(|_| panic!("no sandbox: {stderr}"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["level"], row.level(), "{report}");
        assert_eq!(report["backend"], row.setup().backend.word(), "{report}");
        assert_eq!(report["exit"], 0, "{stdout}\n{stderr}");
        (Measured::parse(&stdout), report)
    }
}

/// Ends what an attack that nothing confined has left behind.
fn end(nonce: &str) {
    for process in processes_with(nonce) {
        // One that has just ended is what is wanted.
        let _ = kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL);
    }
}

/// Runs `command` with `input`; returns what it printed.
fn run(mut command: Command, input: &str) -> (String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that has ended already reads nothing; what it printed tells.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn folder_to_show() -> TempDir {
    let beside = autoclave().with_file_name("");
    let is_hidden = ["/tmp", "/var/tmp"]
        .iter()
        .any(|own| beside.starts_with(own));
    let folder = tempfile::tempdir_in(if is_hidden {
        Path::new("/srv")
    } else {
        &beside
    })
    .unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}
