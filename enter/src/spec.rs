//! What the runner tells the helper: one sandbox, with nothing left to decide.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The byte on the helper's standard input that lets the command start: the runner has checked the
/// proof. The command's own input follows.
pub const START: u8 = b'!';

/// One sandbox: how to build it, what to put in force, what to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The process that must still be the parent; nothing runs without it.
    pub runner_pid: i32,
    /// The fifo that status lines are written to.
    pub status: PathBuf,
    /// Maps the user's own uid and gid to themselves in a user namespace; else runs as root.
    pub is_user_namespace: bool,
    /// Who the command is.
    pub uid: u32,
    pub gid: u32,
    /// An empty directory of the host on which the sandbox is mounted, in a namespace of its own.
    pub mount_point: PathBuf,
    /// Size of the tmpfs that takes all writes; bytes.
    pub disk_bytes: u64,
    /// Lower directories, topmost first.
    pub layers: Vec<PathBuf>,
    /// How the command gets their files.
    pub files: Files,
    /// The attribute of directories in layers that hide what lies beneath.
    pub opaque: String,
    /// Read-only binds, in order; their targets exist in the layers.
    pub binds: Vec<Bind>,
    pub has_host_network: bool,
    /// `tasks` or `cgroup.procs` files to join.
    pub cgroup_joins: Vec<PathBuf>,
    pub landlock: Landlock,
    /// Seccomp programs, loaded in order.
    pub seccomp: Vec<Vec<Instruction>>,
    pub rlimits: Rlimits,
    /// A file of the host that the command must not be able to read.
    pub secret_canary: PathBuf,
    /// Program and arguments, as bytes.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, as bytes.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    pub directory: PathBuf,
}

/// How the command gets the files of the layers as its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Files {
    /// An overlay over them, which takes writes in a tmpfs.
    Overlay,
    /// A copy in a tmpfs, where overlays cannot be mounted.
    Copy,
    /// A copy in this empty directory of the host, and no namespaces at all.
    Unmounted(PathBuf),
}

/// A host path that the sandbox sees read-only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    /// Absolute, as the sandbox sees it.
    pub target: PathBuf,
}

/// What Landlock lets the command read and write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Landlock {
    /// The kernel's version of the interface; 3 to 6, higher ones are used as 6.
    pub abi: i32,
    /// Readable and executable with everything beneath; what is not there has nothing to grant.
    #[serde(with = "crate::paths")]
    pub readable: Vec<PathBuf>,
    /// Writable with everything beneath.
    #[serde(with = "crate::paths")]
    pub trees: Vec<PathBuf>,
    /// Single files, written in place.
    #[serde(with = "crate::paths")]
    pub files: Vec<PathBuf>,
    /// Pseudo terminals are the sandbox's own and may be used.
    pub has_terminals: bool,
    /// Denies TCP, where no network namespace does.
    pub denies_tcp: bool,
}

/// One instruction of a seccomp program: the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Limits that hold without a cgroup.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rlimits {
    /// `RLIMIT_DATA`: bytes each process may have.
    pub memory_bytes: Option<u64>,
    /// `RLIMIT_NPROC`: processes of the uid.
    pub processes: Option<u64>,
    /// `RLIMIT_FSIZE`.
    pub file_bytes: u64,
    /// `RLIMIT_NOFILE`.
    pub open_files: u64,
}

/// What is in force, as the kernel tells the process that is about to become the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The fields of `/proc/self/status`.
    pub uids: String,
    pub gids: String,
    pub groups: String,
    pub effective_capabilities: String,
    pub permitted_capabilities: String,
    pub bounding_capabilities: String,
    pub no_new_privs: String,
    pub seccomp: String,
    /// Landlock reported full enforcement.
    pub is_landlocked: bool,
    /// Errno of each canary: `None` where it got through.
    pub write_root: Option<i32>,
    pub write_system: Option<i32>,
    pub read_secret: Option<i32>,
    /// Not tried with the host's network.
    pub connect: Option<i32>,
    /// A socket that the system call filter denies, and no other filter does.
    pub netlink: Option<i32>,
    /// Signalling the runner; not tried in a pid namespace, where it has no number.
    pub signal: Option<i32>,
}

/// What the helper does as the first process of a container: all that the engine has not done.
///
/// It comes on standard input: its length (8 bytes, little endian), this as JSON, the contents of
/// `writes` in order, then [`START`] and the command's own standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contained {
    /// Starts each status line on standard error, so that the command cannot forge one.
    pub nonce: String,
    pub has_network: bool,
    /// The socket of the gateway, if there is to be one: it must answer.
    pub gateway: Option<PathBuf>,
    /// The workspace; `writes` and `removals` are relative to it.
    pub directory: PathBuf,
    /// Applied first: files that are gone, as bytes of the path.
    pub removals: Vec<Vec<u8>>,
    pub writes: Vec<Write>,
    /// Bytes that all files of the command may take together.
    pub disk_bytes: u64,
    /// Programs to load in this order, beside the engine's profile: an engine leaves out the calls
    /// whose names its library does not know.
    pub seccomp: Vec<Vec<Instruction>>,
    /// Program and arguments, as bytes.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, as bytes.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One file or link that a container gets before its command starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Write {
    pub path: Vec<u8>,
    pub kind: WriteKind,
}

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteKind {
    Directory,
    File { bytes: u64, is_executable: bool },
    Link { target: Vec<u8> },
}

/// Lines on the status channel, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The sandbox is built; `init` is its pid 1 (host numbering), `files` the descriptor of the
    /// outermost stage that holds the tmpfs.
    Built {
        init: i32,
        files: i32,
    },
    /// Every layer is in force; the command starts with [`START`].
    Enforced(Box<Proof>),
    /// The command could not be started.
    NotStarted {
        errno: i32,
    },
    /// The command ended.
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// What the processes of a container used, all of which have ended.
    Used {
        /// Processor time, user and system.
        cpu_microseconds: u64,
    },
    /// The disk that takes the sandbox's files was full.
    DiskFull,
    /// The kernel has killed something of a container for memory; how the command ended follows.
    OutOfMemory,
    /// Nothing runs in the sandbox any more.
    Gone,
    /// A stage could not do its part.
    Failed {
        step: String,
        errno: i32,
    },
}
