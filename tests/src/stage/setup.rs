//! On what a journey runs: the table of backends, and who calls.

use std::ffi::OsString;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

/// No account has this uid, so nothing on the machine belongs to it.
const ORDINARY_UID: u32 = 64_801;

/// One row of the table that every journey runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub backend: Backend,
    pub caller: Caller,
}

/// What contains the experiments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Process,
    /// On the Docker engine and with the image that the test set-up made.
    Container,
    /// The same on Podman's service, which speaks Docker's API.
    ContainerOnPodman,
}

/// Who runs autoclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Whoever runs the tests.
    Tester,
    /// A user without any rights: another uid where the tester is root, else the tester.
    OrdinaryUser,
}

impl Backend {
    /// Returns the word that stands in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container | Self::ContainerOnPodman => "container",
        }
    }

    /// Says whether whoever runs the tests named this backend in `SKIP_BACKENDS`.
    pub fn is_skipped(self) -> bool {
        let own = match self {
            Self::ContainerOnPodman => "podman",
            Self::Process | Self::Container => self.word(),
        };
        let skipped = std::env::var("SKIP_BACKENDS").unwrap_or_default();
        skipped.split(',').any(|name| name == own)
    }

    /// Returns the address of the engine that makes the containers.
    pub fn engine(self) -> Option<OsString> {
        let variable = match self {
            Self::Process => return None,
            Self::Container => "AUTOCLAVE_TEST_ENGINE",
            Self::ContainerOnPodman => "AUTOCLAVE_TEST_PODMAN",
        };
        let address = std::env::var_os(variable);
        Some(address.unwrap_or_else(|| panic!("{variable} is an engine; tests/run starts it")))
    }

    /// Returns the image that containers are made of.
    pub fn image() -> String {
        let image = std::env::var("AUTOCLAVE_TEST_IMAGE");
        image.expect("AUTOCLAVE_TEST_IMAGE names the image; tests/run sets it")
    }

    /// Returns what stands for the backend in a configuration's `sandbox`.
    pub fn keys(self) -> String {
        match self {
            Self::Process => self.word().to_owned(),
            Self::Container | Self::ContainerOnPodman => {
                format!("{}, image: '{}'", self.word(), Self::image())
            }
        }
    }
}

impl Caller {
    /// Returns the uid that the caller has other than the tester's.
    fn other_uid(self) -> Option<u32> {
        (self == Self::OrdinaryUser && geteuid().is_root()).then_some(ORDINARY_UID)
    }

    /// Returns a command that the caller starts; its environment is empty.
    pub fn command(self, program: &Path) -> Command {
        let mut command = match self.other_uid() {
            None => Command::new(program),
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={uid}"), format!("--regid={uid}")])
                    .args(["--clear-groups", "--"])
                    .arg(program);
                command
            }
        };
        command.env_clear();
        command
    }

    /// Gives everything under `path` to the caller.
    pub fn own(self, path: &Path) {
        let Some(uid) = self.other_uid() else { return };
        let metadata = path.symlink_metadata().expect("the test made it");
        lchown(path, Some(uid), Some(uid)).expect("root may");
        if metadata.is_dir() {
            for entry in path.read_dir().expect("root may") {
                self.own(&entry.expect("nobody else is here").path());
            }
        }
    }

    /// Says whether the caller has root's rights.
    pub fn is_root(self) -> bool {
        geteuid().is_root() && self.other_uid().is_none()
    }
}

/// Where programs of the system are looked for.
pub(super) fn path_with(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    path.push(":/usr/local/bin:/usr/bin:/bin");
    path
}

/// Makes tests of journeys, `fn name(setup: Setup)`, for each row of the table.
///
/// Those of `each_caller` also run for an ordinary user; `process_alone` and `container_alone` are
/// about what only that backend has to do with. A journey that is not named is dead code,
/// which the compiler tells.
#[macro_export]
macro_rules! journeys {
    (
        each_backend: [$($one:ident),* $(,)?],
        each_caller: [$($both:ident),* $(,)?],
        process_alone: [$($alone:ident),* $(,)?] $(,)?
    ) => {
        $crate::journeys!(process_alone, Process, Tester: [$($alone),*]);
        $crate::journeys!(each_backend: [$($one),*], each_caller: [$($both),*]);
    };
    (container_alone: [$($alone:ident),* $(,)?] $(,)?) => {
        $crate::journeys!(container, Container, Tester: [$($alone),*]);
        $crate::journeys!(container_on_podman, ContainerOnPodman, Tester: [$($alone),*]);
    };
    (each_backend: [$($one:ident),* $(,)?], each_caller: [$($both:ident),* $(,)?] $(,)?) => {
        $crate::journeys!(process, Process, Tester: [$($one,)* $($both),*]);
        $crate::journeys!(container_alone: [$($one,)* $($both),*]);
        $crate::journeys!(process_of_ordinary_user, Process, OrdinaryUser: [$($both),*]);
    };
    ($row:ident, $backend:ident, $caller:ident: []) => {};
    ($row:ident, $backend:ident, $caller:ident: [$($journey:ident),+ $(,)?]) => {
        mod $row {
            $(#[test]
            fn $journey() {
                use $crate::stage::{Backend, Caller, Setup};
                if Backend::$backend.is_skipped() {
                    return;
                }
                super::$journey(Setup { backend: Backend::$backend, caller: Caller::$caller });
            })+
        }
    };
}
