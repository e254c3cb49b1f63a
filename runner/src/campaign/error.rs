//! Why a campaign cannot go on.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::agent::AgentError;
use crate::gateway::GatewayError;
use crate::ledger::LedgerError;
use crate::repo::RepoError;
use crate::sandbox::SandboxError;

/// Our machinery, or what it was given, does not allow to go on.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    #[error("could not write `{}`", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("marker `{marker}`: {problem}")]
    Marker { marker: String, problem: String },
    #[error(
        "marker `{marker}`: `target.mutable` matches no file of the base commit with {}",
        globs.iter().map(|glob| format!("`{glob}`")).collect::<Vec<_>>().join(", ")
    )]
    IdleGlobs { marker: String, globs: Vec<String> },
    #[error(
        "marker `{marker}`: all that `target.mutable` matches is hidden, immutable or part of what \
         measures"
    )]
    NothingMutable { marker: String },
    /// One refusal a line.
    #[error("the policy of marker `{marker}` cannot be enforced here: {}", refusals.join("; "))]
    Refused {
        marker: String,
        refusals: Vec<String>,
    },
    #[error("the base commit is not green: {0}")]
    BaselineNotGreen(String),
    #[error("`prepare` failed: {0}")]
    Prepare(String),
    #[error("the agent's program `{command}` could not be started in the sandbox")]
    AgentNotStarted {
        command: String,
        #[source]
        cause: io::Error,
    },
    #[error("marker `{marker}` is in use by another autoclave{}", process(*pid))]
    Running { marker: String, pid: Option<u32> },
    #[error("the model's service refused the credential: {0}")]
    Unauthorized(String),
    #[error("the credential file `{}` lies in `{}`, which sandboxes can read", file.display(), seen.display())]
    VisibleCredential { file: PathBuf, seen: PathBuf },
    #[error("the ledger of run `{run}` does not make sense: {problem}")]
    BrokenRun { run: String, problem: String },
    #[error("{problem}")]
    Nothing { problem: String },
    #[error("experiments {earlier} and {later} conflict in {}", paths.join(", "))]
    Conflict {
        earlier: String,
        later: String,
        paths: Vec<String>,
    },
    #[error("interrupted")]
    Interrupted,
}

impl CampaignError {
    /// Returns what it is for the user: a sandbox that fails because it was cancelled is no failure.
    #[must_use]
    pub(super) fn unless_cancelled(self, cancel: &CancellationToken) -> Self {
        match self {
            Self::Sandbox(error) if cancel.is_cancelled() => {
                tracing::info!(%error, "cancelled");
                Self::Interrupted
            }
            other => other,
        }
    }
}

/// Returns an error with its causes, as one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(", process {pid}"))
}
