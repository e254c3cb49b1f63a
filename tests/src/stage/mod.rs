//! A stage for journeys: a toy repository, a scripted model, and the binary as a user calls it.
//!
//! Everything lives in one temporary folder: `repo`, `home`, `state`, `bin`. The binary runs with a
//! cleared environment, so that nothing of the tester's machine matters.

mod checkout;
mod ended;
mod processes;
mod run;
mod setup;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::model_server::{ModelServer, Script};

pub use checkout::{Checkout, tree};
pub use ended::Ended;
pub use processes::{Process, descendants, processes_with};
pub use setup::{Backend, Caller, Setup};

/// The credential of the user; nothing but the gateway may ever hold it.
pub const KEY: &str = "sk-test-never-to-be-seen-inside";

/// A repository on a host, and the binary to call in it.
pub struct Stage {
    folder: tempfile::TempDir,
    pub setup: Setup,
    server: Option<ModelServer>,
    env: BTreeMap<OsString, OsString>,
}

impl Stage {
    /// Makes the host's side: a home, a PATH without an agent, a credential, an empty `repo`.
    pub fn empty(setup: Setup) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a disk to write to");
        let root = folder.path();
        // Others must reach what belongs to them.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("it is ours");
        for name in ["repo", "home", "bin"] {
            fs::create_dir(root.join(name)).expect("the folder is new");
        }
        let mut stage = Self {
            setup,
            server: None,
            env: BTreeMap::new(),
            folder,
        };
        stage.place("bin/autoclave", &autoclave());
        let path = setup::path_with(&stage.outside("bin"));
        for (name, value) in [
            ("PATH", path),
            ("HOME", stage.outside("home").into_os_string()),
            (
                "AUTOCLAVE_STATE_DIR",
                stage.outside("state").into_os_string(),
            ),
            ("ANTHROPIC_API_KEY", KEY.into()),
        ] {
            stage.set(name, Some(&value));
        }
        if setup.uses(Backend::Container) {
            let engine = std::env::var_os("AUTOCLAVE_TEST_ENGINE");
            let engine = engine.expect("AUTOCLAVE_TEST_ENGINE is an engine; tests/run starts it");
            stage.set("DOCKER_HOST", Some(&engine));
        }
        setup.caller.own(stage.folder.path());
        stage
    }

    /// Makes a repository of one commit that holds `config` and `files`. The word `BACKEND` in the
    /// configuration stands for the backend of the setup.
    pub fn new(setup: Setup, config: &str, files: &[(&str, &str)]) -> Self {
        let config = config.replace("BACKEND", &setup.keys());
        let mut all = vec![(".autoclave/config.yaml", config.as_str())];
        all.extend(files);
        Self::with_files(setup, &all)
    }

    /// Makes a repository of one commit that holds `files`.
    pub fn with_files(setup: Setup, files: &[(&str, &str)]) -> Self {
        let stage = Self::empty(setup);
        stage.git(&["init", "-q", "-b", "main"]);
        for (path, text) in files {
            stage.write(path, text);
        }
        stage.commit_all("base");
        stage
    }

    /// Puts the real agent on the PATH and lets the model play `script`.
    #[must_use]
    pub fn with_script(mut self, script: &str) -> Self {
        self.place("bin/claude", &claude());
        let script = Script::parse(script).unwrap_or_else(|why| panic!("the script: {why}"));
        let server = ModelServer::start(script).expect("a free port");
        self.set("ANTHROPIC_BASE_URL", Some(OsStr::new(&server.url())));
        self.server = Some(server);
        self
    }

    /// Returns the model of [`Stage::with_script`].
    pub fn model(&self) -> &ModelServer {
        self.server.as_ref().expect("the journey has a script")
    }

    /// Sets or removes a variable of the caller's environment.
    pub fn set(&mut self, name: &str, value: Option<&OsStr>) {
        match value {
            Some(value) => self.env.insert(name.into(), value.to_owned()),
            None => self.env.remove(OsStr::new(name)),
        };
    }

    pub fn repo(&self) -> PathBuf {
        self.outside("repo")
    }

    /// Returns a path beside the repository.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the repository, as its owner.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let repo = self.repo();
        let path = repo.join(path);
        fs::create_dir_all(path.parent().expect("it is under the repository"))
            .expect("the folder is ours");
        fs::write(&path, text).expect("the folder is ours");
        let top = path.strip_prefix(&repo).expect("it is under it").iter();
        let top = top.take(1).collect::<PathBuf>();
        self.setup.caller.own(&repo.join(top));
    }

    pub fn commit_all(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
    }

    /// Runs git in the repository as the caller, with an identity only for this command.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = self.setup.caller.command(Path::new("git"));
        let output = command
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(arguments)
            .current_dir(self.repo())
            .envs(&self.env)
            // A look must not refresh the index.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns the binary with `arguments`, ready to start in the repository.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.setup.caller.command(&self.outside("bin/autoclave"));
        command
            .args(arguments)
            .current_dir(self.repo())
            .stdin(Stdio::null())
            .envs(&self.env);
        command
    }

    /// Runs the binary to its end.
    pub fn autoclave(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.command(arguments).output().expect("it is built"))
    }

    /// Runs the binary, which prints one JSON value a line, to its end; `look` gets its process id
    /// and each line as soon as it is there, and holds up whoever prints more than a pipe takes.
    pub fn watch(&self, arguments: &[&str], mut look: impl FnMut(u32, &Value)) -> Ended {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is built");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut stdout = String::new();
        for line in lines {
            let line = line.expect("autoclave prints UTF-8");
            let event = serde_json::from_str(&line).expect("a line is JSON");
            look(child.id(), &event);
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let mut output = child.wait_with_output().expect("it was started");
        output.stdout = stdout.into_bytes();
        Ended::new(output)
    }

    /// Puts a program where an ordinary user can start it too.
    fn place(&self, name: &str, program: &Path) {
        let place = self.outside(name);
        if self.setup.caller.is_root() || !self.needs_copies() {
            symlink(program, place).expect("the folder is new");
        } else if fs::hard_link(program, &place).is_err() {
            fs::copy(program, &place).expect("a disk with space");
        }
    }

    /// Says whether the caller may be kept from what the tester can reach.
    fn needs_copies(&self) -> bool {
        self.setup.caller == Caller::OrdinaryUser
    }
}

/// Returns the real Claude Code that the test set-up installed.
fn claude() -> PathBuf {
    let path = std::env::var_os("AUTOCLAVE_TEST_CLAUDE");
    PathBuf::from(path.expect("AUTOCLAVE_TEST_CLAUDE names the binary; tests/run sets it"))
}

/// Returns the autoclave binary, built beside this test.
pub fn autoclave() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("deps/..");
    let binary = folder.join("autoclave");
    assert!(
        binary.is_file(),
        "`cargo build --workspace --bins` comes first; tests/run does it"
    );
    binary
}
