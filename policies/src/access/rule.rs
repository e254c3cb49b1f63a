//! What decided about a path or a destination, in the user's own words.

use std::fmt;
use std::path::PathBuf;

use crate::RepoPath;

/// What decided about a path or a destination, in the user's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A pattern of `target.mutable`.
    Mutable(String),
    /// A pattern of `target.immutable`.
    Immutable(String),
    /// A pattern of `target.scratch`.
    Scratch(String),
    /// A pattern of `target.hidden`.
    Hidden(String),
    /// Named by hidden guards alone, or tells of them.
    HiddenGuard,
    /// A pattern of what steers git, agents, editors and CI.
    Protected(String),
    /// What steers tests and builds of this ecosystem.
    Steers(&'static str),
    /// The metric, a guard or a golden output names it.
    Harness,
    /// `.git`, or in it.
    Repository,
    /// No pattern covers it.
    Uncovered,
    Submodule,
    /// The directory (`None`: the root) cannot be opened for new names without opening what may not
    /// change: files are written in place there.
    InPlace(Option<RepoPath>),
    /// No name can be made in, or taken out of, the directory (`None`: the root).
    Closed(Option<RepoPath>),
    /// The directory (`None`: the root) holds what may not change.
    Mixed(Option<RepoPath>),
    /// Whatever of the repository is in the sandbox can be read.
    InTheWorkspace,
    /// There is nothing at the path.
    NotThere,
    /// Something above the path is no directory.
    NotInADirectory,
    /// Links lead in circles.
    LinkLoop,
    /// Something is at the path already.
    AlreadyThere,
    /// It is a directory, or none, and the operation is about the other.
    WrongKind,
    /// The file's mode does not let it be executed.
    NotExecutable,
    /// A path that the host's policy (by name) lists under `read`.
    PolicyRead {
        policy: String,
        path: PathBuf,
    },
    /// A path that the host's policy (by name) lists under `deny`.
    PolicyDeny {
        policy: String,
        path: PathBuf,
    },
    /// A path of the marker's `sandbox.read`, or one that the runner shows for an agent.
    Shown(PathBuf),
    /// A folder of the system's programs, which every sandbox needs.
    System(PathBuf),
    /// A place that every sandbox has of its own: its home, /tmp, /dev/shm.
    Own(PathBuf),
    /// The root of the sandbox's own view.
    OwnRoot,
    /// One of the few devices.
    Device,
    /// /proc and the rest that the kernel makes, of the sandbox alone.
    Kernel,
    /// The small /etc that is made for sandboxes.
    Etc,
    /// What is there comes with the image.
    Image,
    /// The host's policy (by name) does not show it.
    NotShown(String),
    /// No destination but the model's service can be reached.
    NoNetwork,
    /// The model's service, by its messages alone.
    Model(String),
}

impl Rule {
    /// Says whether the path is outside of the workspace, so that what is there is not known: only
    /// what could be done with it.
    pub fn is_outside(&self) -> bool {
        match self {
            Self::PolicyRead { .. }
            | Self::PolicyDeny { .. }
            | Self::Shown(_)
            | Self::System(_)
            | Self::Own(_)
            | Self::OwnRoot
            | Self::Device
            | Self::Kernel
            | Self::Etc
            | Self::Image
            | Self::NotShown(_)
            | Self::NoNetwork
            | Self::Model(_) => true,
            Self::Mutable(_)
            | Self::Immutable(_)
            | Self::Scratch(_)
            | Self::Hidden(_)
            | Self::HiddenGuard
            | Self::Protected(_)
            | Self::Steers(_)
            | Self::Harness
            | Self::Repository
            | Self::Uncovered
            | Self::Submodule
            | Self::InPlace(_)
            | Self::Closed(_)
            | Self::Mixed(_)
            | Self::InTheWorkspace
            | Self::NotThere
            | Self::NotInADirectory
            | Self::LinkLoop
            | Self::AlreadyThere
            | Self::WrongKind
            | Self::NotExecutable => false,
        }
    }
}

/// A sentence's second half, beginning with what decided.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |directory: &Option<RepoPath>| match directory {
            Some(directory) => format!("`{directory}/`"),
            None => "the root".to_owned(),
        };
        match self {
            Self::Mutable(pattern) => write!(f, "`{pattern}` of `target.mutable` covers it"),
            Self::Immutable(pattern) => write!(f, "`{pattern}` of `target.immutable` covers it"),
            Self::Scratch(pattern) => write!(f, "`{pattern}` of `target.scratch` covers it"),
            Self::Hidden(pattern) => write!(f, "`{pattern}` of `target.hidden` covers it"),
            Self::HiddenGuard => f.write_str("only hidden guards name it"),
            Self::Protected(pattern) => write!(
                f,
                "it steers git, agents, editors or CI (`{pattern}`), and `target.mutable` does not \
                 name it"
            ),
            Self::Steers(ecosystem) => write!(
                f,
                "it steers tests or builds ({ecosystem}), and `target.mutable` does not name it"
            ),
            Self::Harness => f.write_str("the metric or a guard names it"),
            Self::Repository => f.write_str("a `.git` is no part of a commit"),
            Self::Uncovered => f.write_str("no pattern of `target` covers it"),
            Self::Submodule => f.write_str("it is a submodule"),
            Self::InPlace(directory) => write!(
                f,
                "in {} files can be edited in place, and none created, removed or renamed",
                named(directory)
            ),
            Self::Closed(directory) => write!(
                f,
                "in {} nothing can be created, removed or renamed",
                named(directory)
            ),
            Self::Mixed(directory) => write!(f, "{} holds what may not change", named(directory)),
            Self::InTheWorkspace => f.write_str("it is in the workspace and not hidden"),
            Self::NotThere => f.write_str("it is not there"),
            Self::NotInADirectory => f.write_str("something above it is no directory"),
            Self::LinkLoop => f.write_str("links lead in circles"),
            Self::AlreadyThere => f.write_str("it is there already"),
            Self::WrongKind => f.write_str("it is of another kind"),
            Self::NotExecutable => f.write_str("its mode does not let it be executed"),
            Self::PolicyRead { policy, path } => {
                write!(f, "`{}` of `read` in policy `{policy}`", path.display())
            }
            Self::PolicyDeny { policy, path } => {
                write!(f, "`{}` of `deny` in policy `{policy}`", path.display())
            }
            Self::Shown(path) => write!(f, "`{}` of `sandbox.read`", path.display()),
            Self::System(path) => write!(f, "`{}` holds the system's programs", path.display()),
            Self::Own(path) => {
                write!(f, "every sandbox has a `{}` of its own", path.display())
            }
            Self::OwnRoot => f.write_str("every sandbox has a `/` of its own"),
            Self::Device => f.write_str("a device that does no harm"),
            Self::Kernel => f.write_str("the kernel's view of this sandbox alone"),
            Self::Etc => f.write_str("a small `/etc` that is made for sandboxes"),
            Self::Image => f.write_str("what is there comes with the image"),
            Self::NotShown(policy) => write!(f, "policy `{policy}` does not show it"),
            Self::NoNetwork => f.write_str("sandboxes have no network"),
            Self::Model(host) => write!(
                f,
                "`{host}` is the model's service: its messages pass through the gateway, and \
                 nothing else"
            ),
        }
    }
}
