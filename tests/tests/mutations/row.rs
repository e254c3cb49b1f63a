//! Where mutations are played.

/// A backend, a level, a caller, and a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// The process backend, started by root.
    Sealed,
    /// The same, started by an ordinary user.
    SealedUser,
    /// Where cgroups cannot be made.
    NoCgroup,
    /// Where the workspace's own folder holds mutable files beside immutable ones.
    Mixed,
    /// With a twentieth of a processor.
    Slow,
    /// Where there are no namespaces.
    Landlock,
    LandlockUser,
    /// Changes of a command instead of its cases.
    Changes,
    Docker,
    Podman,
}

impl Row {
    pub const ALL: [Self; 10] = [
        Self::Sealed,
        Self::SealedUser,
        Self::NoCgroup,
        Self::Mixed,
        Self::Slow,
        Self::Landlock,
        Self::LandlockUser,
        Self::Changes,
        Self::Docker,
        Self::Podman,
    ];

    /// Returns its name in tables.
    pub fn words(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::SealedUser => "sealed-user",
            Self::NoCgroup => "no-cgroup",
            Self::Mixed => "mixed",
            Self::Slow => "slow",
            Self::Landlock => "landlock",
            Self::LandlockUser => "landlock-user",
            Self::Changes => "changes",
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    pub fn marker(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Slow => "slow",
            Self::Landlock | Self::LandlockUser => "degraded",
            Self::Docker | Self::Podman => "contained",
            _ => "tight",
        }
    }

    pub fn is_users(self) -> bool {
        matches!(self, Self::SealedUser | Self::LandlockUser)
    }

    /// Says whether other sandboxes of the machine would change what it answers: limits that count
    /// for a user, or a short time.
    pub fn is_alone(self) -> bool {
        matches!(self, Self::NoCgroup | Self::Slow)
    }

    /// Returns what the host is to be without.
    pub fn without(self) -> &'static str {
        match self {
            Self::Landlock | Self::LandlockUser => "namespaces",
            Self::NoCgroup => "cgroup",
            _ => "",
        }
    }

    /// Returns the variable that names its container engine.
    pub fn engine(self) -> Option<&'static str> {
        match self {
            Self::Docker => Some("AUTOCLAVE_TEST_ENGINE"),
            Self::Podman => Some("AUTOCLAVE_TEST_PODMAN"),
            _ => None,
        }
    }

    /// Says whether whoever runs the tests named it in `SKIP_BACKENDS`.
    pub fn is_skipped(self) -> bool {
        let own = match self {
            Self::Docker => "container",
            Self::Podman => "podman",
            _ => "process",
        };
        let skipped = std::env::var("SKIP_BACKENDS").unwrap_or_default();
        skipped.split(',').any(|name| name == own)
    }
}
