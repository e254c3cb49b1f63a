//! Why a campaign cannot go on.

use std::io;
use std::path::PathBuf;

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
