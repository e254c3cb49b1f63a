//! Which way sandboxes are made on a host.

use autoclave_policies::{HostCapabilities, Level};

use crate::sandbox::SandboxError;

/// How a sandbox gets its files, and so what separates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Namespaces, and an overlay over the snapshot's layers.
    Overlay,
    /// Namespaces, and a copy of the layers.
    Copy,
    /// No namespaces: a copy, Landlock and seccomp.
    Alone,
}

impl Mode {
    /// Returns the strongest mode that `host` has.
    ///
    /// # Errors
    ///
    /// [`SandboxError::CannotEnforce`] without the layers that every mode needs.
    pub fn on(host: &HostCapabilities) -> Result<Self, SandboxError> {
        let mode = match (&host.namespaces, &host.overlay) {
            (namespaces, overlay) if namespaces.works() && overlay.works() => Self::Overlay,
            (namespaces, _) if namespaces.works() => Self::Copy,
            _ => Self::Alone,
        };
        // Before 3 truncation stays open; before 6 signals and abstract sockets do.
        let needed = match mode {
            Self::Overlay | Self::Copy => 3,
            Self::Alone => 6,
        };
        if host.landlock_abi < needed {
            let abi = host.landlock_abi;
            let alone = match host.namespaces.failure() {
                Some(why) => format!(" where there are no namespaces ({why})"),
                None => String::new(),
            };
            return Err(SandboxError::CannotEnforce {
                rule: "paths".to_owned(),
                why: format!("the kernel's Landlock is {abi}, and {needed} is needed{alone}"),
            });
        }
        if let Some(why) = host.seccomp.failure() {
            return Err(SandboxError::CannotEnforce {
                rule: "syscalls".to_owned(),
                why: format!("no seccomp filter can be loaded: {why}"),
            });
        }
        if let Some(why) = host.identity.failure() {
            return Err(SandboxError::CannotEnforce {
                rule: "identity".to_owned(),
                why: why.to_owned(),
            });
        }
        Ok(mode)
    }

    pub fn level(self) -> Level {
        match self {
            Self::Overlay | Self::Copy => Level::Sealed,
            Self::Alone => Level::Landlock,
        }
    }
}
