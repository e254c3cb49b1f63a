//! Whether something may be done, by which rule, and what becomes of it.

use std::fmt;

use super::Rule;

/// Whether something may be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it works inside of the sandbox.
    pub is_allowed: bool,
    /// What decided, in the user's own words.
    pub rule: Rule,
    /// What holds it off, or what would if it were not allowed; of several the first that suffices.
    pub layer: Layer,
    /// What becomes of it when everything in the sandbox has ended; `None` where nothing is
    /// changed.
    pub outcome: Option<Outcome>,
}

/// What holds something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// There is nothing at the path, or nothing that could hold it.
    Absent,
    /// What is at the path is of another kind than the operation is about.
    Kind,
    /// What may not be changed belongs to root, in directories that are root's.
    Ownership,
    Landlock,
    /// Landlock does not govern it and the command's uid is the owner's: nothing holds it off.
    Ungoverned,
    ReadOnlyMount,
    /// It is not in the sandbox's view.
    MountNamespace,
    NetworkNamespace,
    Seccomp,
    /// The host's process that holds the credential.
    Gateway,
}

/// What becomes of a change when everything in the sandbox has ended and changes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It becomes part of the candidate. A link does only if it leads to what may change, too. What
    /// is changed outside of the sandbox stays as it is.
    Kept,
    /// Nobody looks at it.
    ThrownAway,
    /// It is taken back, and named in the run's output.
    Dropped,
}

impl Decision {
    pub(super) fn allowed(rule: Rule, layer: Layer, outcome: Option<Outcome>) -> Self {
        Self {
            is_allowed: true,
            rule,
            layer,
            outcome,
        }
    }

    pub(super) fn refused(rule: Rule, layer: Layer) -> Self {
        Self {
            is_allowed: false,
            rule,
            layer,
            outcome: None,
        }
    }
}

/// `allowed, kept: RULE` or `refused by LAYER: RULE`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_allowed, self.outcome, self.layer) {
            (true, Some(outcome), _) => write!(f, "allowed, {outcome}: {}", self.rule)?,
            (true, None, _) => write!(f, "allowed: {}", self.rule)?,
            (false, _, Layer::Absent | Layer::Kind) => write!(f, "not possible: {}", self.rule)?,
            (false, _, layer) => write!(f, "refused by {layer}: {}", self.rule)?,
        }
        match (self.is_allowed, self.layer) {
            (true, Layer::Ungoverned) => write!(f, "; {}", self.layer),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "its absence",
            Self::Kind => "what it is",
            Self::Ownership => "ownership",
            Self::Landlock => "Landlock",
            Self::Ungoverned => "not governed by Landlock",
            Self::ReadOnlyMount => "a read-only mount",
            Self::MountNamespace => "the mount namespace",
            Self::NetworkNamespace => "the network namespace",
            Self::Seccomp => "seccomp",
            Self::Gateway => "the gateway",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::ThrownAway => "thrown away",
            Self::Dropped => "taken back at the end",
        })
    }
}
