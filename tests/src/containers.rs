//! The container backend without a run around it, on the engines that take part in tests and benches.

mod spans;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use autoclave_policies::{Grant, Identity, Level, Limits, Plan, RepoPath};
use autoclave_runner::model::{FileKind, SnapshotEntry};
use autoclave_runner::sandbox::container::{ContainerOptions, ContainerSandbox, EngineAddress};
use autoclave_runner::sandbox::{Execution, Exit, Finished, OutputSink, Sandbox, Snapshot, Stream};
use tokio::runtime::{Builder, Runtime};

pub use self::spans::Spans;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What all that is made on the engine is labelled with, under `autoclave.run`.
const RUN: &str = "containers-alone";
/// Of a container's command.
pub const UID: u32 = 64_501;
pub const MEMORY: u64 = 1 << 30;
pub const DISK: u64 = 1 << 30;
pub const PIDS: u32 = 128;
pub const CPUS: f64 = 2.0;

/// Returns the engines' names and addresses: those of the tests, else the one that others would use.
pub fn named() -> Vec<(&'static str, String)> {
    let named = [
        ("Docker", "AUTOCLAVE_TEST_ENGINE"),
        ("Podman", "AUTOCLAVE_TEST_PODMAN"),
    ];
    let mut engines: Vec<_> = named
        .into_iter()
        .filter_map(|(name, variable)| Some((name, std::env::var(variable).ok()?)))
        .collect();
    if engines.is_empty() {
        let host = std::env::var("DOCKER_HOST");
        let host = host.unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        engines.push(("Docker", host));
    }
    engines
}

/// Returns the image that everything runs in, as the engine names it.
pub fn image() -> String {
    std::env::var("AUTOCLAVE_BENCH_IMAGE")
        .or_else(|_| std::env::var("AUTOCLAVE_TEST_IMAGE"))
        .unwrap_or_else(|_| "debian:stable-slim".to_owned())
}

/// The container backend with a small snapshot, as inside a run.
pub struct Stage {
    pub address: String,
    pub snapshot: Snapshot,
    pub sandbox: ContainerSandbox,
    pub plan: Plan,
    pub runtime: Runtime,
    state: tempfile::TempDir,
}

impl Stage {
    /// # Errors
    ///
    /// Those of an engine that is not there, or has not the image.
    pub fn new(address: &str) -> Outcome<Self> {
        let state = tempfile::tempdir_in("/var/tmp")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let options = ContainerOptions {
            address: EngineAddress {
                host: address.to_owned(),
                certificates: None,
                patience: EngineAddress::PATIENCE,
            },
            image: image(),
            state: state.path().to_owned(),
            run_label: RUN.to_owned(),
            is_alive: |_, _| true,
        };
        let sandbox = runtime.block_on(ContainerSandbox::open(options))?;
        let plan = plan()?;
        let mut entries = ["README.md", "src/main.py"]
            .into_iter()
            .map(|name| file(name, "text\n"));
        let snapshot = runtime.block_on(sandbox.import(&mut entries, &plan))?;
        Ok(Self {
            address: address.to_owned(),
            snapshot,
            sandbox,
            plan,
            runtime,
            state,
        })
    }

    /// Returns the engine's name, as `autoclave check` prints it.
    pub fn what_it_is(&self) -> String {
        let layers = self.sandbox.enforcement().layers;
        let engine = layers.into_iter().find(|layer| layer.name == "engine");
        engine.map(|layer| layer.detail).unwrap_or_default()
    }

    /// Runs a command in a container of `snapshot`; returns what it printed, too.
    ///
    /// # Errors
    ///
    /// Those of the sandbox, and a command that fails.
    pub async fn run(&self, snapshot: &Snapshot, argv: &[&str]) -> Outcome<(Finished, Vec<u8>)> {
        let argv = argv.iter().map(OsString::from).collect();
        let timeout = Duration::from_secs(300);
        let execution = Execution::offline(snapshot, &self.plan, argv, timeout);
        let mut printed = Printed(Vec::new());
        let finished = self.sandbox.execute(execution, &mut printed).await?;
        match finished.exit {
            Exit::Code(0) => Ok((finished, printed.0)),
            exit => Err(format!("ended with {exit:?}").into()),
        }
    }

    /// Runs `/bin/true`; its container is thrown away.
    ///
    /// # Errors
    ///
    /// As for [`Self::run`].
    pub async fn run_true(&self) -> Outcome<()> {
        self.run(&self.snapshot, &["/bin/true"]).await.map(drop)
    }

    /// Removes what was thrown away: a change of nothing does that first, and then has nothing to do.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub async fn take_out(&self) -> Outcome<()> {
        let nothing = self
            .sandbox
            .derive(&self.snapshot, Vec::new(), Vec::new(), &self.plan);
        Ok(nothing.await.map(drop)?)
    }

    /// Returns the names of its containers that are on the engine now.
    ///
    /// # Errors
    ///
    /// An engine's client that is not here, or fails.
    pub fn left_on_the_engine(&self) -> Outcome<Vec<String>> {
        let label = format!("label=autoclave.state={}", self.owner()?);
        let listed = Command::new("docker")
            .args(["--host", &self.address, "ps", "--all", "--filter", &label])
            .args(["--format", "{{.Names}}"])
            .output()?;
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into());
        }
        let names = String::from_utf8_lossy(&listed.stdout);
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Returns whose everything is that it made: the name of its own state directory.
    fn owner(&self) -> std::io::Result<String> {
        std::fs::read_to_string(self.state.path().join("engine-name"))
    }

    /// Removes all that is left of it on the engine.
    pub fn close(self) {
        let Self {
            snapshot,
            sandbox,
            runtime,
            ..
        } = self;
        drop(snapshot);
        runtime.block_on(sandbox.close());
    }
}

fn plan() -> Outcome<Plan> {
    Ok(Plan {
        version: 1,
        level: Level::Sealed,
        identity: Identity::SecondUid { uid: UID, gid: UID },
        grants: vec![Grant::Tree {
            path: RepoPath::try_from("src")?,
            created: false,
        }],
        in_place: Vec::new(),
        views: Vec::new(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        limits: Limits {
            memory_bytes: MEMORY,
            cpus: CPUS,
            pids: PIDS,
            disk_bytes: DISK,
        },
    })
}

/// Returns a plain file of a workspace.
///
/// # Errors
///
/// A name that is no path of a repository.
pub fn file(name: &str, text: &str) -> Outcome<SnapshotEntry> {
    Ok(SnapshotEntry {
        path: RepoPath::try_from(name)?,
        kind: FileKind::File {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        },
    })
}

/// Returns an error with all that caused it, in one line.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// What a command printed.
struct Printed(Vec<u8>);

impl OutputSink for Printed {
    fn write(&mut self, _: Stream, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
    }
}
