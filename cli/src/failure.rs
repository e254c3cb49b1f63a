//! Which exit code and hint belongs to which failure of a campaign.

use autoclave_runner::campaign::CampaignError;
use autoclave_runner::ledger::LedgerError;
use autoclave_runner::repo::RepoError;
use autoclave_runner::sandbox::SandboxError;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::sandbox_hint;

/// Says whether a file could not be written for what its disk is, not for what it is itself.
fn is_of_the_disk(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    [QuotaExceeded, ReadOnlyFilesystem, StorageFull].contains(&cause.kind())
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        let (exit, hint) = match &error {
            CampaignError::Folder { .. } | CampaignError::Ledger(LedgerError::Io { .. }) => (
                Exit::RepositoryOrLedger,
                Some(
                    "The run's folder must be writable and the disk not full; then `autoclave run` goes on where this stopped.",
                ),
            ),
            CampaignError::Repo(RepoError::BranchExists { .. }) => (
                Exit::RepositoryOrLedger,
                Some("Name another with --branch, or remove it with git branch -D."),
            ),
            CampaignError::BrokenRun { .. } | CampaignError::Ledger(_) => (
                Exit::RepositoryOrLedger,
                Some(
                    "`autoclave run --new` starts a run of its own; the broken one stays to be looked at.",
                ),
            ),
            CampaignError::Repo(RepoError::NoSuchCommit { .. }) => (
                Exit::RepositoryOrLedger,
                Some("Where an unfinished run stands on it, `autoclave run --new` starts another."),
            ),
            CampaignError::Repo(_) => (Exit::RepositoryOrLedger, None),
            CampaignError::Conflict { .. } => (
                Exit::RepositoryOrLedger,
                Some(
                    "Finalize with --squash, or keep one of the two by hand: both are pinned under refs/autoclave.",
                ),
            ),
            CampaignError::Sandbox(cause) if cause.is_fault() => (
                Exit::UsageLimitOrInfrastructure,
                Some(
                    "When the container engine works again (`docker info`), `autoclave run` goes on where this stopped.",
                ),
            ),
            CampaignError::Sandbox(SandboxError::Io { cause, .. }) if is_of_the_disk(cause) => (
                Exit::RepositoryOrLedger,
                Some(
                    "The state directory (AUTOCLAVE_STATE_DIR) must be writable and its disk not full; then `autoclave run` goes on where this stopped.",
                ),
            ),
            CampaignError::Sandbox(cause) => {
                if let Some(hint) = sandbox_hint::hint(cause) {
                    let hint = sandbox_hint::sentence(hint);
                    return Self::new(Exit::SandboxNotEnforced, error).hint(hint);
                }
                (
                    Exit::SandboxNotEnforced,
                    Some("`autoclave check` shows what this host can enforce."),
                )
            }
            CampaignError::Refused { .. } => (Exit::SandboxNotEnforced, None),
            CampaignError::Agent(_) => (
                Exit::UsageLimitOrInfrastructure,
                Some(
                    "Install Claude Code (npm install -g @anthropic-ai/claude-code) or set `agent.command`.",
                ),
            ),
            CampaignError::AgentNotStarted { .. } => (
                Exit::UsageLimitOrInfrastructure,
                Some(
                    "`agent.command` is looked up in the sandbox: name a program of the system, of `sandbox.read`, or of the repository by its path in /workspace.",
                ),
            ),
            CampaignError::Running { .. } => (
                Exit::RepositoryOrLedger,
                Some("Wait for it or stop it; other markers can be run beside it."),
            ),
            CampaignError::Gateway(_) => (Exit::UsageLimitOrInfrastructure, None),
            CampaignError::Unauthorized(_) => (
                Exit::UsageLimitOrInfrastructure,
                Some(
                    "Check ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN; the run can be resumed.",
                ),
            ),
            CampaignError::VisibleCredential { .. } => (
                Exit::Usage,
                Some("Move the file out of the repository and of what `sandbox.read` lists."),
            ),
            CampaignError::Marker { .. } => (Exit::Usage, None),
            CampaignError::IdleGlobs { .. } => (
                Exit::Usage,
                Some("Globs are relative to the repository root and see committed files only."),
            ),
            CampaignError::NothingMutable { .. } => (
                Exit::Usage,
                Some("`autoclave check` lists the files that metric and guards name."),
            ),
            CampaignError::BaselineNotGreen(_) | CampaignError::Prepare(_) => (
                Exit::BaselineNotGreen,
                Some(
                    "Make the base commit green first; what needs the network belongs into `prepare`.",
                ),
            ),
            CampaignError::Nothing { .. } => (Exit::NothingKept, None),
            CampaignError::Interrupted => (
                Exit::Interrupted,
                Some("`autoclave run` goes on where this stopped."),
            ),
        };
        let failure = Self::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
