//! Any command in the same sandbox, on a snapshot of a commit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::Role;
use super::clock;
use super::workshop::{HostFacts, Workshop};
use crate::marker::Marker;
use crate::model::{Change, CommitId};
use crate::repo::{Existing, Repo};
use crate::sandbox::{ChangeLimits, Changes, Enforcement, Execution, Exit, Network, OutputSink};

/// A command to run contained.
#[derive(Debug)]
pub struct ExecRequest {
    /// Its target says what is writable.
    pub marker: Marker,
    /// As what it runs: on which backend, and whether hidden files are there.
    pub role: Role,
    /// The commit to start from; `None` is HEAD.
    pub base: Option<String>,
    pub argv: Vec<OsString>,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
    /// The branch that takes the changes; `None` only lists them.
    pub branch: Option<String>,
    pub host: HostFacts,
    pub cancel: CancellationToken,
}

/// What the command came to.
#[derive(Debug)]
pub struct ExecOutcome {
    pub exit: Exit,
    pub wall: Duration,
    /// As in [`Finished`](crate::sandbox::Finished).
    pub cpu: Option<Duration>,
    pub enforcement: Enforcement,
    pub changes: Changes,
    /// The commit on the branch, when one was asked for and something changed.
    pub commit: Option<CommitId>,
}

/// Runs a command in a sandbox without network and takes its changes.
///
/// # Errors
///
/// Those of the repository and the sandbox; a failing command is a value.
pub async fn exec(
    repo: Repo,
    mut request: ExecRequest,
    output: &mut dyn OutputSink,
) -> Result<ExecOutcome, CampaignError> {
    match request.role {
        Role::Agent => request.marker.sandbox.keep_agents(),
        Role::Measure => request.marker.sandbox.keep_measurements(),
    }
    let base = repo.resolve(request.base.as_deref())?;
    let workshop = Workshop::open(repo, request.marker, base, &request.host).await?;
    let base = workshop.base().await?;
    let bench = workshop.bench(request.role);
    let subject = request
        .argv
        .first()
        .map(|word| word.to_string_lossy().into_owned())
        .unwrap_or_default();
    let execution = Execution {
        snapshot: match request.role {
            Role::Agent => base.visible.of(Role::Agent),
            Role::Measure => &base.measured,
        },
        plan: &bench.plan,
        argv: request.argv,
        env: BTreeMap::new(),
        stdin: request.stdin,
        network: Network::None,
        views: Vec::new(),
        timeout: request.timeout,
        cancel: request.cancel,
    };
    let finished = workshop.execute(request.role, execution, output).await?;
    let changes = finished
        .remains
        .changes(Arc::clone(&workshop.policy), ChangeLimits::default())
        .await?;
    let commit = match request.branch {
        Some(branch) if !changes.accepted.is_empty() => {
            Some(commit_to(&workshop, &branch, &subject, &changes.accepted)?)
        }
        _ => None,
    };
    let (exit, wall, cpu) = (finished.exit, finished.wall, finished.cpu);
    drop((finished, base));
    workshop.close().await;
    Ok(ExecOutcome {
        exit,
        wall,
        cpu,
        enforcement: bench.sandbox.enforcement(),
        changes,
        commit,
    })
}

fn commit_to(
    workshop: &Workshop,
    branch: &str,
    subject: &str,
    changes: &[Change],
) -> Result<CommitId, CampaignError> {
    let repo = &workshop.repo;
    let message = format!("Run `{subject}` in a sandbox\n");
    let commit = repo.commit_candidate(&workshop.base, changes, &message, clock::now_seconds())?;
    repo.create_branch(branch, &commit, Existing::Refuse)?;
    Ok(commit)
}
