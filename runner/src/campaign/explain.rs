//! What a marker's sandboxes will enforce, said before anything runs in them.

use std::collections::BTreeSet;

use autoclave_policies::{Class, Grant, Plan, RepoPath};
use serde::Serialize;

use super::CampaignError;
use super::bench::Role;
use super::workshop::{HostFacts, Workshop};
use crate::agent::launch;
use crate::marker::{Marker, Target};
use crate::model::CommitId;
use crate::repo::Repo;
use crate::sandbox::container::ImageUsed;
use crate::sandbox::{Enforcement, OWN_ENV};

/// What will be enforced for a marker on a base commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub marker: String,
    pub base: CommitId,
    /// The preset's name, or the path of the policy file.
    pub policy: String,
    /// The patterns as the marker writes them.
    pub target: Target,
    /// Files that are immutable because metric or guards name them, sorted.
    pub harness: Vec<RepoPath>,
    /// Files of the base commit that are absent from the agent's sandbox, sorted.
    pub hidden: Vec<RepoPath>,
    /// Sorted; empty directories in every sandbox.
    pub submodules: Vec<RepoPath>,
    /// `prepare` runs, with the network.
    pub prepares: bool,
    /// The agent's first; a second where measurements have a backend of their own.
    pub backends: Vec<BackendExplained>,
}

/// What one backend will enforce.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackendExplained {
    /// What it is for; at least one.
    pub roles: Vec<Role>,
    #[serde(flatten)]
    pub enforcement: Enforcement,
    /// Why `backend: auto` became what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageUsed>,
    /// Names in the environment of every command, sorted. A container has its image's besides.
    pub env_names: BTreeSet<String>,
    /// Names that the agent has besides.
    pub agent_env_names: BTreeSet<String>,
    pub plan: Plan,
}

/// Compiles the plan of `marker` on HEAD and says what it holds; nothing is run.
///
/// # Errors
///
/// Those of opening a workshop: what this host cannot enforce, an engine that does not answer, a
/// marker that does not fit.
pub async fn explain(
    repo: Repo,
    marker: Marker,
    host: &HostFacts,
) -> Result<Explanation, CampaignError> {
    let base = repo.resolve(None)?;
    let workshop = Workshop::open(repo, marker, base, host).await?;
    let explanation = explained(&workshop);
    workshop.close().await;
    explanation
}

fn explained(workshop: &Workshop) -> Result<Explanation, CampaignError> {
    let marker = &workshop.marker;
    let tree = workshop.repo.tree(&workshop.base)?;
    let paths = tree.into_iter().map(|(path, _)| path);
    let mut hidden: Vec<RepoPath> = paths
        .filter(|path| workshop.policy.class_of(path) == Class::Hidden)
        .collect();
    hidden.sort();
    let roles = workshop.benches.roles();
    let backends = roles.iter().map(|role| {
        let bench = workshop.bench(*role);
        let own = OWN_ENV.iter().map(|(name, _)| (*name).to_owned());
        let is_agents = *role == Role::Agent;
        BackendExplained {
            roles: match roles {
                [_] => vec![Role::Agent, Role::Measure],
                _ => vec![*role],
            },
            enforcement: bench.sandbox.enforcement(),
            chosen_because: bench.chosen_because.clone(),
            image: bench.image.clone(),
            env_names: own.chain(bench.plan.env.keys().cloned()).collect(),
            agent_env_names: if is_agents {
                agent_env_names(marker)
            } else {
                BTreeSet::new()
            },
            plan: bench.plan.clone(),
        }
    });
    Ok(Explanation {
        marker: marker.name.clone(),
        base: workshop.base.clone(),
        policy: marker.sandbox.policy.name.clone(),
        target: marker.target.clone(),
        harness: workshop.harness.clone(),
        hidden,
        submodules: workshop.submodules.clone(),
        prepares: marker.prepare.is_some(),
        backends: backends.collect(),
    })
}

/// Returns what an agent is told beside the plan's environment: the way to the gateway is added
/// when there is one.
fn agent_env_names(marker: &Marker) -> BTreeSet<String> {
    let program = std::path::Path::new("agent");
    launch(&marker.agent, program, "", None)
        .env
        .into_keys()
        .collect()
}

/// Returns what `grant` lets a command write, as people read it.
pub fn granted(grant: &Grant) -> String {
    match grant {
        Grant::Tree { path, .. } => format!("{path}/"),
        Grant::Open { path: Some(path) } => format!("new names in {path}/"),
        Grant::Open { path: None } => "new names in the root".to_owned(),
        Grant::File { path } => path.to_string(),
    }
}
