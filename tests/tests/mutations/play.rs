//! Plays a row with something removed, and returns how each case ended.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::machine::Machine;
use crate::outside::{Outside, USER};
use crate::row::Row;

/// Cases and how they ended.
pub type Answers = BTreeMap<String, String>;

/// Whether what the sandbox's own proof refuses is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    On,
    Off,
}

/// Whether the cases that take more than there is are played, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    Little,
    Much,
}

/// The cases that are played only with [`Effort::Much`].
pub const MUCH: [&str; 3] = ["memory", "processes", "processor"];

/// How a row was played.
#[derive(Debug)]
pub struct Played {
    pub answers: Answers,
    /// The command was started.
    pub has_run: bool,
    /// What the sandbox's own proof refused.
    pub refusals: String,
    /// What autoclave said.
    pub said: String,
}

/// The mutated binary, and the world around it.
pub struct Player {
    pub binary: PathBuf,
    pub outside: Outside,
    /// As it was before the first play.
    pub machine: Machine,
}

impl Player {
    /// Plays `row` without the lines that `names` stand for.
    pub fn play(&self, row: Row, names: &[&str], proof: Proof, effort: Effort) -> Played {
        self.run(row, names, proof, self.outside.command(row, effort), "")
    }

    /// Plays attacks of the escape suite instead, as its program reads them.
    pub fn attack(&self, row: Row, names: &[&str], proof: Proof, lines: &str) -> Played {
        let words = vec!["tools/attack".to_owned()];
        let mut played = self.run(row, names, proof, words, lines);
        for word in played.answers.values_mut() {
            // Beside an errno stands the call, behind `killed` the signal.
            let (first, second) = word.split_once('\t').unwrap_or((word, ""));
            *word = if first == "killed" { second } else { first }.to_owned();
        }
        played
    }

    fn run(
        &self,
        row: Row,
        names: &[&str],
        proof: Proof,
        words: Vec<String>,
        input: &str,
    ) -> Played {
        self.machine.assert_unchanged(names);
        // Several are played at once.
        let own = tempfile::tempdir_in(self.outside.folder_of(row)).unwrap();
        let everybody = |mode| Permissions::from_mode(mode);
        fs::set_permissions(own.path(), everybody(0o777)).unwrap();
        let (refusals, report) = (own.path().join("refusals"), own.path().join("report.json"));
        fs::write(&refusals, "").unwrap();
        fs::write(own.path().join("input"), input).unwrap();
        fs::set_permissions(&refusals, everybody(0o666)).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
            .arg(include_str!("wrapper.sh"))
            .arg("sh")
            .arg(&self.binary)
            .args(["exec", "-m", row.marker(), "--timeout", "40s", "--report"])
            .arg(&report)
            .arg("--")
            .args(words)
            .current_dir(self.outside.folder_of(row).join("repo"))
            .stdin(File::open(own.path().join("input")).unwrap())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.outside.folder_of(row).join("home"))
            .env("AUTOCLAVE_STATE_DIR", own.path().join("state"))
            .env("AUTOCLAVE_WITHOUT", row.without())
            .env("AUTOCLAVE_OUTSIDE", "seen")
            .env("GITHUB_TOKEN", "seen")
            .env("AUTOCLAVE_MUTANT", names.join(","))
            .env("AUTOCLAVE_MUTANT_REFUSALS", &refusals)
            .env(
                "WRAP_UID",
                if row.is_users() { USER } else { 0 }.to_string(),
            )
            .env(
                "WRAP_OPEN",
                if names.contains(&"mount-bind-read-only") {
                    "/usr"
                } else {
                    ""
                },
            )
            .env("WRAP_CANARY", self.outside.at("canary"));
        if proof == Proof::Off {
            command.env("AUTOCLAVE_MUTANT_UNPROVEN", "yes");
        }
        if let Some(variable) = row.engine() {
            let engine = std::env::var_os(variable);
            let engine =
                engine.unwrap_or_else(|| panic!("{variable} is an engine; tests/run starts it"));
            command.env("DOCKER_HOST", engine);
        }
        let output = command.output().unwrap();
        self.machine.assert_unchanged(names);
        let report = fs::read(&report).ok();
        let report = report.and_then(|text| serde_json::from_slice(&text).ok());
        played(
            row,
            &output,
            report.as_ref(),
            fs::read_to_string(&refusals).unwrap(),
        )
    }
}

fn played(row: Row, output: &Output, report: Option<&Value>, refusals: String) -> Played {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut answers: Answers = stdout
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, word)| (name.to_owned(), word.to_owned()))
        .collect();
    let has_run = match row {
        Row::Changes => report.is_some(),
        _ => answers.contains_key("end"),
    };
    if let (Row::Changes, Some(report)) = (row, report) {
        answers.extend(changes(report));
    }
    Played {
        answers,
        has_run,
        refusals,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns what became of each changed path.
fn changes(report: &Value) -> Answers {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let taken = list("changes")
        .into_iter()
        .map(|change| (text(&change["path"]), text(&change["kind"])));
    let dropped = list("dropped").into_iter().map(|change| {
        (
            text(&change["path"]),
            format!("dropped: {}", text(&change["why"])),
        )
    });
    taken.chain(dropped).collect()
}
