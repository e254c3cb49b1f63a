//! The loop that everybody writes first: run the tests, read the number, keep what is better.
//!
//! It is the control of the exploits: a change that does not fool it shows nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the loop notes what it kept, as such loops do: a file of the repository.
const LOG: &str = "results.tsv";
/// Where a harness that writes files leaves its number.
const RESULT: &str = "results/latest.txt";

/// A repository's plain loop. In its folder: `base`, never run again once it is warm; `candidate`
/// and `champion`, fresh for every attempt, beside each other; `home`, the developer's.
pub struct NaiveLoop {
    folder: tempfile::TempDir,
    env: BTreeMap<String, OsString>,
}

/// How a change is judged.
#[derive(Debug, Clone, Copy)]
pub struct Measure<'a> {
    /// Exits with 0 when all is well.
    pub test: &'a str,
    /// Prints a line `METRIC name=number`; less is better.
    pub command: &'a str,
    pub source: Source,
    pub against: Against,
}

/// Where the number is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Printed,
    /// In the file that the harness leaves.
    ResultFile,
}

/// What a number is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The best in the log.
    Log,
    /// The champion, measured after the candidate in a checkout beside it.
    Champion,
}

/// What the loop made of a change.
#[derive(Debug)]
pub struct Judged {
    pub kept: bool,
    /// All that was printed, for whoever wonders why.
    pub said: String,
}

impl NaiveLoop {
    /// Makes the loop of the repository that `make` writes into the folder it is given. `path`
    /// finds the tools; `env` is what else they need.
    pub fn new(
        make: impl FnOnce(&Path),
        path: &str,
        env: impl IntoIterator<Item = (String, OsString)>,
    ) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a disk to write to");
        let mut naive = Self {
            folder,
            env: env.into_iter().collect(),
        };
        naive.env.insert("PATH".into(), path.into());
        naive.env.insert("HOME".into(), naive.at("home").into());
        fs::create_dir(naive.at("base")).expect("the folder is new");
        make(&naive.at("base"));
        naive
    }

    /// Applies the shell script `change` to a fresh candidate and judges it as `measure` says.
    ///
    /// # Panics
    ///
    /// When the tests fail or no number is printed without the change.
    pub fn judge(&self, change: &str, measure: Measure<'_>) -> Judged {
        self.warm(measure);
        self.fresh("candidate");
        self.fresh("champion");
        self.new_home();
        let mut said = text(&self.shell("candidate", "sh", change));
        let test = self.shell("candidate", measure.test, "");
        said.push_str(&text(&test));
        let number = self.number("candidate", measure, &mut said);
        let best = match measure.against {
            Against::Log => self.best_of_log(),
            Against::Champion => self.number("champion", measure, &mut said),
        };
        let is_better = match (number, best) {
            (Some(number), Some(best)) => number < best,
            (Some(_), None) => true,
            (None, _) => false,
        };
        Judged {
            kept: test.status.success() && is_better,
            said: format!("{said}\n{number:?} against {best:?}"),
        }
    }

    /// Measures the base where the candidates will be, once for each measure, and notes its number.
    fn warm(&self, measure: Measure<'_>) {
        let log = self.at("base").join(LOG);
        let known = fs::read_to_string(&log).unwrap_or_default();
        if known.lines().any(|line| line.starts_with(measure.command)) {
            return;
        }
        self.fresh("candidate");
        self.new_home();
        let test = self.shell("candidate", measure.test, "");
        assert!(test.status.success(), "the base: {}", text(&test));
        let mut said = String::new();
        let number = self.number("candidate", measure, &mut said);
        let number = number.unwrap_or_else(|| panic!("the base has no number: {said}"));
        fs::remove_dir_all(self.at("base")).expect("it is ours");
        fs::rename(self.at("candidate"), self.at("base")).expect("both are ours");
        // One measure at a time is best; that of an earlier one would be no comparison.
        fs::write(log, format!("{}\t{number}\n", measure.command)).expect("the folder is ours");
    }

    fn number(&self, side: &str, measure: Measure<'_>, said: &mut String) -> Option<f64> {
        let output = self.shell(side, measure.command, "");
        said.push_str(&text(&output));
        if !output.status.success() {
            return None;
        }
        let printed = match measure.source {
            Source::Printed => String::from_utf8_lossy(&output.stdout).into_owned(),
            Source::ResultFile => fs::read_to_string(self.at(side).join(RESULT)).ok()?,
        };
        // METRIC [a-z]+=([0-9.]+)
        let line = printed.split("METRIC ").nth(1)?;
        let value = line.split_once('=')?.1;
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '.');
        value[..end.unwrap_or(value.len())].parse().ok()
    }

    fn best_of_log(&self) -> Option<f64> {
        let log = fs::read_to_string(self.at("candidate").join(LOG)).ok()?;
        let values = log.lines().filter_map(|line| line.split('\t').nth(1));
        values
            .filter_map(|value| value.parse().ok())
            .reduce(f64::min)
    }

    /// Runs a command as a developer's shell does, which reads its profile.
    fn shell(&self, side: &str, command: &str, stdin: &str) -> Output {
        let mut child = Command::new("bash")
            .args(["-lc", command])
            .current_dir(self.at(side))
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash is installed");
        let written = child
            .stdin
            .take()
            .expect("it is piped")
            .write_all(stdin.as_bytes());
        drop(written);
        child.wait_with_output().expect("it was started")
    }

    fn fresh(&self, side: &str) {
        let to = self.at(side);
        if to.exists() {
            fs::remove_dir_all(&to).expect("it is ours");
        }
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.at("base"), to])
            .status();
        assert!(copied.expect("cp is installed").success());
    }

    fn new_home(&self) {
        let home = self.at("home");
        if home.exists() {
            fs::remove_dir_all(&home).expect("it is ours");
        }
        fs::create_dir(&home).expect("it was removed");
        let path = self.env["PATH"].to_string_lossy();
        let profile = format!("export PATH={path}\n[ ! -f ~/.bashrc ] || . ~/.bashrc\n");
        fs::write(home.join(".profile"), profile).expect("it is ours");
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn text(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr];
    String::from_utf8_lossy(stdout).into_owned() + &String::from_utf8_lossy(stderr)
}
