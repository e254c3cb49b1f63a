//! A throwaway repository, and the binary run in it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A credential that must never be seen.
pub const KEY: &str = "sk-test-never-to-be-seen";

/// A repository with a green base, a home and a state folder of its own.
pub struct Repository {
    folder: tempfile::TempDir,
    /// Not beneath /tmp or /var/tmp, of which every sandbox has its own.
    home: tempfile::TempDir,
}

/// What the binary said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Repository {
    /// Makes a repository without commits.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        for name in ["work", "state"] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let home = tempfile::tempdir_in(visible(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let repository = Self { folder, home };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    /// Makes a repository whose one marker has `rest` beside name and target.
    pub fn with_marker(rest: &str) -> Self {
        Self::with_config(&format!(
            "markers:\n  - name: lowered\n    target: {{mutable: ['src/**'], immutable: ['tests/**']}}\n{rest}"
        ))
    }

    /// Makes a repository of a number to lower, with a configuration.
    pub fn with_config(config: &str) -> Self {
        let repository = Self::empty();
        for (path, text) in [
            (".autoclave/config.yaml", config),
            ("src/number.txt", "100\n"),
            ("tests/measure.sh", "cat src/number.txt\n"),
            ("tests/guard.sh", "grep -qx '[0-9][0-9]*' src/number.txt\n"),
        ] {
            repository.write(path, text);
        }
        repository.commit();
        repository
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes an executable script beneath the home.
    pub fn script(&self, path: &str, text: &str) {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "base"]);
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(arguments)
            .current_dir(self.root())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }

    /// Returns the command that runs the binary here, with nothing of the tester's environment;
    /// PATH begins with the home's `bin`.
    pub fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("autoclave"));
        command
            .current_dir(self.root())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", self.path())
            .env("AUTOCLAVE_STATE_DIR", self.folder.path().join("state"));
        command
    }

    fn path(&self) -> OsString {
        let home = [".cargo/bin", "bin"].map(|folder| self.home().join(folder));
        let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
        std::env::join_paths(home.iter().chain(&system)).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command().args(arguments).output().unwrap())
    }

    /// Gives everything to an ordinary user, and returns the command as that user.
    pub fn command_as_user(&self) -> Command {
        const USER: &str = "1717";
        let given = Command::new("chown")
            .args(["-R", &format!("{USER}:{USER}")])
            .arg(self.folder.path())
            .status()
            .unwrap();
        assert!(given.success());
        let command = self.command();
        let mut user = Command::new("setpriv");
        user.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
            .arg(command.get_program())
            .current_dir(self.root())
            .env_clear();
        for (name, value) in command.get_envs() {
            user.env(name, value.unwrap());
        }
        user
    }
}

impl Said {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|cause| panic!("{cause}: {}\n{}", self.stdout, self.stderr))
    }

    /// Returns name and status of every check of a report.
    pub fn statuses(&self) -> Vec<(String, String)> {
        let report = self.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let checks = report["checks"].as_array().unwrap().iter();
        checks
            .map(|check| (text(&check["name"]), text(&check["status"])))
            .collect()
    }

    /// Returns a check of a report: what was found, and what to do about it.
    pub fn check(&self, name: &str) -> (String, String) {
        let report = self.json();
        let mut checks = report["checks"].as_array().unwrap().iter();
        let check = checks
            .find(|check| check["name"] == name)
            .unwrap_or_else(|| panic!("no check `{name}` in {report:#}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&check["detail"]), text(&check["hint"]))
    }
}

/// Lists the files beneath `folder` with their bytes.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// Returns `folder`, or where that lies in what every sandbox has one of its own of, a folder that
/// can be shown in sandboxes.
fn visible(folder: &str) -> &str {
    let is_hidden = ["/tmp/", "/var/tmp/"]
        .iter()
        .any(|own| folder.starts_with(own));
    if is_hidden { "/srv" } else { folder }
}
