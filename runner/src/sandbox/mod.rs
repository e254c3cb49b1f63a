//! The seam to what contains a command: `(snapshot, command, plan) -> (execution, changes)`.

mod batch;
pub mod container;
mod intake;
mod owners;
pub mod process;
mod proof;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autoclave_policies::{Level, Plan, Policy, RepoPath};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::batch::Entries;
use crate::model::{Change, Dropped, SnapshotEntry};

/// Where the repository is inside every sandbox. Constant, so that sessions can be resumed.
pub const WORKSPACE: &str = "/workspace";
/// The home of the sandboxed command; part of the snapshot, so that `prepare` can fill caches.
pub const HOME: &str = "/home/agent";
/// Where an execution with [`Network::Gateway`] finds the gateway's socket.
pub const GATEWAY_SOCKET: &str = "/run/autoclave/gateway.sock";

/// Files that each process of a sandbox may have open.
pub(crate) const OPEN_FILES: u32 = 4096;

/// What commands must know of every sandbox; a plan or an execution may say otherwise.
///
/// The workspace's root can belong to another uid than the command has, where git would refuse to
/// work; `safe.directory` counts only from outside of the repository.
pub(crate) const OWN_ENV: [(&str, &str); 4] = [
    ("HOME", HOME),
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", WORKSPACE),
];

/// Something that runs commands contained, each in a sandbox of its own that is thrown away.
///
/// Object-safe, so that the backend is chosen at run time. All futures must be polled on the
/// runtime's one thread: the kernel ties a sandbox's life to the thread that started it.
pub trait Sandbox: Send + Sync {
    /// Returns what this backend enforces on this host.
    fn enforcement(&self) -> Enforcement;

    /// Makes the first snapshot of a run from a list of files, owners and modes as `plan` says.
    fn import<'a>(
        &'a self,
        entries: &'a mut Entries<'_>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>>;

    /// Makes a snapshot that is `base` with more entries written over it (`added`, owned as the
    /// plan says) and some paths gone (`removed`). Costs what changed, not what is there.
    fn derive<'a>(
        &'a self,
        base: &'a Snapshot,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>>;

    /// Runs one command in a fresh sandbox and waits until nothing of it is left running.
    ///
    /// The sandbox proves its enforcement before the command starts; without that proof this is
    /// [`SandboxError::NotProven`], never an execution. A command that fails, hangs, is killed or
    /// cannot be started is a value ([`Exit`]).
    fn execute<'a>(
        &'a self,
        execution: Execution<'a>,
        output: &'a mut dyn OutputSink,
    ) -> BoxFuture<'a, Result<Finished, SandboxError>>;

    /// Removes what is left of this backend's own; called once, when no snapshot is used any more.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Any error of a caller's iterator.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One command to run, and all that it may have.
#[derive(Debug, Clone)]
pub struct Execution<'a> {
    pub snapshot: &'a Snapshot,
    pub plan: &'a Plan,
    /// Program and arguments; the program is looked up in the sandbox's PATH. Never a shell string.
    pub argv: Vec<OsString>,
    /// Added to (and winning over) the plan's environment.
    pub env: BTreeMap<String, String>,
    /// All of standard input; then end of file.
    pub stdin: Vec<u8>,
    pub network: Network,
    /// Host files and directories this execution alone sees read-only (the agent's binary).
    pub views: Vec<autoclave_policies::View>,
    /// Wall time from the command's start, after which everything is killed.
    pub timeout: Duration,
    /// Cancelled from outside: everything is killed.
    pub cancel: CancellationToken,
}

impl<'a> Execution<'a> {
    /// Returns an execution that has what the plan gives and nothing else: no network, no input,
    /// nobody to cancel it.
    pub fn offline(
        snapshot: &'a Snapshot,
        plan: &'a Plan,
        argv: Vec<OsString>,
        timeout: Duration,
    ) -> Self {
        Self {
            snapshot,
            plan,
            argv,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            network: Network::None,
            views: Vec::new(),
            timeout,
            cancel: CancellationToken::new(),
        }
    }
}

/// What of the network an execution has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Nothing: an empty network namespace.
    None,
    /// Nothing but the gateway: the host folder that holds `gateway.sock` is mounted read-only at
    /// the folder of [`GATEWAY_SOCKET`].
    Gateway { folder: PathBuf },
    /// The host's network: `prepare` only, which is the user's own trusted code.
    Host,
}

/// Takes what a command prints, in chunks of at most 64 KiB, as it comes. Must not block.
pub trait OutputSink: Send {
    fn write(&mut self, stream: Stream, chunk: &[u8]);
}

/// Which of a command's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// An immutable state of the workspace (and home) that sandboxes start from.
///
/// What it is made of only its backend knows. Removed from disk or engine with the last clone.
#[derive(Debug, Clone)]
pub struct Snapshot(pub(in crate::sandbox) std::sync::Arc<dyn SnapshotParts>);

/// The backend's own representation of a snapshot.
pub(in crate::sandbox) trait SnapshotParts:
    std::any::Any + std::fmt::Debug + Send + Sync
{
}

/// An execution that has ended: nothing of it runs any more, its files are still there.
///
/// Dropping it throws the sandbox away.
#[must_use = "what an execution left is taken, kept as a snapshot, or dropped"]
pub struct Finished {
    pub exit: Exit,
    pub wall: Duration,
    /// Processor time of all its processes, user and system; `None` where nobody could tell.
    pub cpu: Option<Duration>,
    pub remains: Box<dyn Remains>,
}

/// What an ended execution left in its files.
pub trait Remains: Send {
    /// Reads what was changed in the workspace, without following links, within `limits`.
    ///
    /// `policy` says of every added, modified or deleted path what becomes of it: mutable ones are
    /// accepted, scratch is passed over in silence, all else is dropped by name. A link is accepted
    /// where its target is mutable, too. `.git` is never looked at. Unchanged bytes under a changed
    /// time, owner or mode are no change. Order: by path. Does not block the runtime.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when the files cannot be read.
    fn changes(
        &self,
        policy: Arc<Policy>,
        limits: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>>;

    /// Keeps the result as a new snapshot, all of it: workspace, scratch and home. Does not block
    /// the runtime.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when the files cannot be copied.
    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>>;
}

/// How much an execution may have changed before the rest is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeLimits {
    pub entries: usize,
    pub total_bytes: u64,
    pub path_bytes: usize,
}

impl Default for ChangeLimits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            total_bytes: 256 << 20,
            path_bytes: 4096,
        }
    }
}

/// The accepted changes, and what was not accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sorted by path; at most one per path.
    pub accepted: Vec<Change>,
    /// Sorted by path; cut at 1,000, the last one then says how many more.
    pub dropped: Vec<Dropped>,
}

/// How a command ended: a total classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut,
    Cancelled,
    /// A memory limit killed it.
    OutOfMemory,
    /// It could not be started: the errno of execve(2).
    NotStarted {
        errno: i32,
    },
}

impl Exit {
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// What a backend enforces on this host, for `check`, events and reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// `process`, `container` or `scripted`.
    pub backend: String,
    pub level: Level,
    /// One line for each layer: what it is and how it is enforced here.
    pub layers: Vec<Layer>,
    /// What is known to break it here, such as a runtime with a known escape; fragments for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One layer of the enforcement table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `identity`, `view`, `paths`, `syscalls`, `network`, `processes`, `limits`.
    pub name: String,
    pub detail: String,
}

/// Our machinery for containing commands failed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This host cannot give what the plan asks for.
    #[error("cannot enforce {rule}: {why}")]
    CannotEnforce { rule: String, why: String },
    /// The sandbox was made, but its proof of enforcement is missing or wrong.
    #[error("the sandbox did not prove its enforcement: {0}")]
    NotProven(String),
    #[error("could not {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("could not read the files of the snapshot")]
    Entries(#[source] BoxError),
    #[error(transparent)]
    NoEngine(#[from] container::EngineError),
    #[error("the container engine at `{engine}` has no image `{image}`")]
    NoImage { image: String, engine: String },
    /// A container engine refused or did not answer.
    #[error("could not {action}")]
    Engine {
        action: &'static str,
        #[source]
        cause: BoxError,
    },
    #[error("{0}")]
    Backend(String),
}

impl SandboxError {
    /// Says whether a container engine failed, or something else did with what it runs: trying
    /// again may help.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Engine { .. })
    }
}
