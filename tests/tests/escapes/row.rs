//! The rows of the table: what contains a command, and who calls.

use std::ffi::OsStr;

use e2e::stage::{Backend, Caller, Setup, Stage};

/// One thing that contains commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    SealedAsRoot,
    SealedAsUser,
    LandlockAsRoot,
    LandlockAsUser,
    Docker,
    Podman,
}

/// The process backend where no new namespaces are to be had.
pub const LANDLOCK: &[Row] = &[Row::LandlockAsRoot, Row::LandlockAsUser];
pub const SEALED: &[Row] = &[Row::SealedAsRoot, Row::SealedAsUser];
pub const CONTAINERS: &[Row] = &[Row::Docker, Row::Podman];
/// Where the command has no uid of its own.
pub const AS_USER: &[Row] = &[Row::SealedAsUser, Row::LandlockAsUser];

impl Row {
    pub const ALL: [Self; 6] = [
        Self::SealedAsRoot,
        Self::SealedAsUser,
        Self::LandlockAsRoot,
        Self::LandlockAsUser,
        Self::Docker,
        Self::Podman,
    ];

    /// Returns its name in the table of docs/escapes.md.
    pub fn words(self) -> &'static str {
        match self {
            Self::SealedAsRoot => "sealed, root",
            Self::SealedAsUser => "sealed, user",
            Self::LandlockAsRoot => "landlock, root",
            Self::LandlockAsUser => "landlock, user",
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        }
    }

    pub fn setup(self) -> Setup {
        let backend = match self {
            Self::Docker => Backend::Container,
            Self::Podman => Backend::ContainerOnPodman,
            _ => Backend::Process,
        };
        let caller = match self {
            Self::SealedAsUser | Self::LandlockAsUser => Caller::OrdinaryUser,
            _ => Caller::Tester,
        };
        Setup {
            backend,
            measured_in: backend,
            caller,
        }
    }

    pub fn is_container(self) -> bool {
        CONTAINERS.contains(&self)
    }

    pub fn is_landlock(self) -> bool {
        LANDLOCK.contains(&self)
    }

    /// Returns the level that `exec --report` must tell: an attack that a stronger or a weaker
    /// sandbox refused says nothing of this one.
    pub fn level(self) -> &'static str {
        if self.is_landlock() {
            "landlock"
        } else {
            "sealed"
        }
    }

    /// Makes the host of `stage` what the row is about.
    pub fn prepare(self, stage: &mut Stage) {
        if self.is_landlock() {
            stage.set("AUTOCLAVE_WITHOUT", Some(OsStr::new("namespaces")));
        }
    }
}

/// Makes a test for each row, `on::ROW`: plays all cases of a group there, or whatever the function
/// does.
#[macro_export]
macro_rules! on_each_row {
    ($here:tt::$group:ident::GROUP) => {
        fn play(row: $crate::row::Row) {
            $crate::play::play(&GROUP, row);
        }
        $crate::on_each_row!(play);
    };
    ($play:ident) => {
        mod on {
            use super::$play;
            use $crate::row::Row;
            $crate::on_each_row!($play;
                sealed_as_root SealedAsRoot, sealed_as_user SealedAsUser,
                landlock_as_root LandlockAsRoot, landlock_as_user LandlockAsUser,
                docker Docker, podman Podman);
        }
    };
    ($play:ident; $($name:ident $row:ident),+) => {
        $(#[test]
        fn $name() {
            $play(Row::$row);
        })+
    };
}
