//! The exit codes that scripts rely on; `docs/exit-codes.md` tells them to users.

/// How the whole process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done; for `run`, at least one experiment was kept.
    Done,
    Internal,
    /// A wrong argument or configuration.
    Usage,
    NothingKept,
    /// A guard fails, or the metric gives no number, on the untouched base.
    BaselineNotGreen,
    SandboxNotEnforced,
    RepositoryOrLedger,
    /// The model's service refused, or the machinery around it failed.
    UsageLimitOrInfrastructure,
    Interrupted,
    /// `exec`: the command ran out of time.
    ExecTimedOut,
    /// `exec`: autoclave itself failed, not the command.
    ExecFailed,
    /// `exec`: the command's own code.
    Command(u8),
}

impl Exit {
    /// Returns the code the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NothingKept => 3,
            Self::BaselineNotGreen => 4,
            Self::SandboxNotEnforced => 5,
            Self::RepositoryOrLedger => 6,
            Self::UsageLimitOrInfrastructure => 7,
            Self::ExecTimedOut => 124,
            Self::ExecFailed => 125,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }

    /// Returns the word that `--json` errors carry in `code`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NothingKept => "nothing_kept",
            Self::BaselineNotGreen => "baseline_not_green",
            Self::SandboxNotEnforced => "sandbox_not_enforced",
            Self::RepositoryOrLedger => "repository_or_ledger",
            Self::UsageLimitOrInfrastructure => "usage_limit_or_infrastructure",
            Self::ExecTimedOut => "exec_timed_out",
            Self::ExecFailed => "exec_failed",
            Self::Interrupted => "interrupted",
            Self::Command(_) => "command",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let page = include_str!("../../docs/exit-codes.md");
        for exit in [
            Exit::Done,
            Exit::Internal,
            Exit::Usage,
            Exit::NothingKept,
            Exit::BaselineNotGreen,
            Exit::SandboxNotEnforced,
            Exit::RepositoryOrLedger,
            Exit::UsageLimitOrInfrastructure,
            Exit::ExecTimedOut,
            Exit::ExecFailed,
            Exit::Interrupted,
        ] {
            let row = format!("| {} | `{}` |", exit.code(), exit.word());
            assert!(page.contains(&row), "docs/exit-codes.md has no row `{row}`");
        }
    }
}
