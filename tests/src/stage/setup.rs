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
    /// What contains everything that is measured.
    pub measured_in: Backend,
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

    /// Returns the word for it in `SKIP_BACKENDS`.
    fn skip_word(self) -> &'static str {
        match self {
            Self::ContainerOnPodman => "podman",
            Self::Process | Self::Container => self.word(),
        }
    }

    /// Returns the address of the engine that makes the containers.
    fn engine(self) -> Option<OsString> {
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
}

impl Setup {
    /// Says whether anything runs in containers.
    pub fn uses_containers(self) -> bool {
        [self.backend, self.measured_in] != [Backend::Process; 2]
    }

    /// Says whether agent and measurements are in different backends.
    pub fn is_mixed(self) -> bool {
        self.backend != self.measured_in
    }

    /// Says whether whoever runs the tests named a backend of it in `SKIP_BACKENDS`.
    pub fn is_skipped(self) -> bool {
        let own = [self.backend, self.measured_in].map(Backend::skip_word);
        let skipped = std::env::var("SKIP_BACKENDS").unwrap_or_default();
        skipped.split(',').any(|name| own.contains(&name))
    }

    /// Returns the address of the engine that makes the containers, if there are any.
    pub fn engine(self) -> Option<OsString> {
        self.backend.engine().or_else(|| self.measured_in.engine())
    }

    /// Returns the same for who needs it as text.
    pub fn address(self) -> String {
        let address = self.engine().and_then(|address| address.into_string().ok());
        address.expect("containers have an engine, and its address is text")
    }

    /// Returns what stands for the backends in a configuration's `sandbox`.
    pub fn keys(self) -> String {
        let mut keys = self.backend.word().to_owned();
        if self.uses_containers() {
            keys.push_str(&format!(", image: '{}'", Backend::image()));
        }
        if self.is_mixed() {
            keys.push_str(&format!(", measure: {}", self.measured_in.word()));
        }
        keys
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
/// about what only that backend has to do with; `process_and_docker` spares the time of a second
/// engine, which is nothing to who judges. Those of `mixed` also run with the agent in one
/// backend and the measurements in the other, both ways. A journey that is not named is dead code,
/// which the compiler tells.
#[macro_export]
macro_rules! journeys {
    (
        each_backend: [$($one:ident),* $(,)?],
        each_caller: [$($both:ident),* $(,)?],
        process_alone: [$($alone:ident),* $(,)?] $(,)?
    ) => {
        $crate::journeys!(process_alone, Process, Process, Tester: [$($alone),*]);
        $crate::journeys!(each_backend: [$($one),*], each_caller: [$($both),*]);
    };
    (
        each_backend: [$($one:ident),* $(,)?],
        each_caller: [$($both:ident),* $(,)?],
        mixed: [$($mixed:ident),* $(,)?] $(,)?
    ) => {
        $crate::journeys!(container_measured_in_process, Container, Process, Tester: [$($mixed),*]);
        $crate::journeys!(process_measured_in_container, Process, Container, Tester: [$($mixed),*]);
        $crate::journeys!(each_backend: [$($one),*], each_caller: [$($both),*]);
    };
    (process_and_docker: [$($both:ident),* $(,)?] $(,)?) => {
        $crate::journeys!(process, Process, Process, Tester: [$($both),*]);
        $crate::journeys!(container, Container, Container, Tester: [$($both),*]);
    };
    (container_alone: [$($alone:ident),* $(,)?] $(,)?) => {
        $crate::journeys!(container, Container, Container, Tester: [$($alone),*]);
        $crate::journeys!(
            container_on_podman, ContainerOnPodman, ContainerOnPodman, Tester: [$($alone),*]
        );
    };
    (each_backend: [$($one:ident),* $(,)?], each_caller: [$($both:ident),* $(,)?] $(,)?) => {
        $crate::journeys!(process, Process, Process, Tester: [$($one,)* $($both),*]);
        $crate::journeys!(container_alone: [$($one,)* $($both),*]);
        $crate::journeys!(process_of_ordinary_user, Process, Process, OrdinaryUser: [$($both),*]);
    };
    ($row:ident, $backend:ident, $measured_in:ident, $caller:ident: []) => {};
    ($row:ident, $backend:ident, $measured_in:ident, $caller:ident: [$($journey:ident),+ $(,)?]) => {
        mod $row {
            $(#[test]
            fn $journey() {
                use $crate::stage::{Backend, Caller, Setup};
                let setup = Setup {
                    backend: Backend::$backend,
                    measured_in: Backend::$measured_in,
                    caller: Caller::$caller,
                };
                if !setup.is_skipped() {
                    super::$journey(setup);
                }
            })+
        }
    };
}
