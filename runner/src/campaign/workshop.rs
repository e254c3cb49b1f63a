//! All that the executions of one marker share: repository, policy, plan, sandbox, base snapshots.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autoclave_policies::{
    Class, EntryKind, Plan, PlanRequest, Policy, PolicyRules, Preset, Refusal, RepoPath, Tree,
    View, compile, files_named_by,
};

use super::CampaignError;
use crate::marker::{BackendChoice, Marker};
use crate::model::{Change, ChangeKind, CommitId, FileKind, SnapshotEntry};
use crate::repo::{Repo, TreeKind};
use crate::sandbox::process::{Feature, ProcessOptions, ProcessSandbox, probe};
use crate::sandbox::{Accept, Sandbox, SandboxError, Snapshot};

/// What the command line knows and the library never asks the environment for.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// The user's home, for `~/` in `sandbox.read`.
    pub home: Option<PathBuf>,
    /// The user's PATH, to find the agent.
    pub path: Option<OsString>,
    /// A private directory for snapshots and sockets; created with mode 700 when missing.
    pub state: PathBuf,
    /// What to do without although the host may have it; simulates lesser hosts.
    pub without: Vec<Feature>,
}

/// A marker on a base commit, with the sandbox that fits it.
pub struct Workshop {
    pub repo: Repo,
    pub marker: Marker,
    pub base: CommitId,
    pub policy: Arc<Policy>,
    pub plan: Plan,
    pub sandbox: Box<dyn Sandbox>,
}

/// One commit, ready to start sandboxes from.
#[derive(Debug, Clone)]
pub struct Side {
    pub commit: CommitId,
    /// Without hidden paths: what the agent sees.
    pub agent: Snapshot,
    /// With hidden paths: what is measured.
    pub measured: Snapshot,
}

impl Workshop {
    /// Compiles the marker's policy for `base` on this host and makes its sandbox.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Refused`] when the host cannot enforce the policy,
    /// [`CampaignError::Marker`] when the marker does not fit the tree, and those of the
    /// repository and the sandbox.
    pub fn open(
        repo: Repo,
        marker: Marker,
        base: CommitId,
        host: &HostFacts,
    ) -> Result<Self, CampaignError> {
        if marker.sandbox.backend == BackendChoice::Container {
            return Err(CampaignError::Refused {
                marker: marker.name,
                refusals: vec![
                    "the container backend is not built yet; use `backend: process`".into(),
                ],
            });
        }
        let tree = Tree::new(repo.tree(&base)?.into_iter().map(|(path, kind)| {
            let kind = match kind {
                TreeKind::File { .. } => EntryKind::File,
                TreeKind::Symlink => EntryKind::Symlink,
                TreeKind::Submodule => EntryKind::Submodule,
            };
            (path, kind)
        }));
        let policy = compile_policy(&marker, &tree)?;
        let capabilities = probe(&host.state, &host.without);
        let is_mutable = |path: &RepoPath| policy.class_of(path) == Class::Mutable;
        if !marker.target.mutable.is_empty() && !tree.entries().any(|(path, _)| is_mutable(path)) {
            let problem = "no file of the base commit is mutable; `target.mutable` matches nothing \
                           that `target.immutable` and the harness leave free";
            return Err(CampaignError::Marker {
                marker: marker.name,
                problem: problem.into(),
            });
        }
        let request = plan_request(&marker, host)?;
        let plan = compile(&policy, &tree, &capabilities, &request).map_err(|refusals| {
            CampaignError::Refused {
                marker: marker.name.clone(),
                refusals: refusals.iter().map(told).collect(),
            }
        })?;
        let sandbox = ProcessSandbox::new(&ProcessOptions {
            state: host.state.clone(),
            run_label: marker.name.clone(),
            without: host.without.clone(),
        })?;
        Ok(Self {
            repo,
            marker,
            base,
            policy: Arc::new(policy),
            plan,
            sandbox: Box::new(sandbox),
        })
    }

    /// Makes the snapshots of the base commit.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn base_side(&self) -> Result<Side, CampaignError> {
        let visible = self
            .repo
            .entries(&self.base, |path| !self.is_hidden(path))?;
        let git = self
            .repo
            .agent_git(&self.base, &|path| !self.is_hidden(path), None)?;
        let mut entries = visible.chain(git.into_iter().map(Ok));
        let agent = self.sandbox.import(&mut entries, &self.plan).await?;
        drop(entries);
        let measured = self.with_hidden(&agent).await?;
        Ok(Side {
            commit: self.base.clone(),
            agent,
            measured,
        })
    }

    /// Returns `agent` with the hidden files of the base commit in place.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn with_hidden(&self, agent: &Snapshot) -> Result<Snapshot, CampaignError> {
        let hidden = self
            .repo
            .entries(&self.base, |path| self.is_hidden(path))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(SandboxError::Entries)?;
        if hidden.is_empty() {
            return Ok(agent.clone());
        }
        Ok(self
            .sandbox
            .derive(agent, hidden, Vec::new(), &self.plan)
            .await?)
    }

    /// Makes the snapshots of `commit`, which differs from `base` by accepted changes only.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn side_of(&self, base: &Side, commit: &CommitId) -> Result<Side, CampaignError> {
        if *commit == base.commit {
            return Ok(base.clone());
        }
        let changes = self.repo.changes_between(&base.commit, commit)?;
        let (mut added, removed) = split(changes);
        let measured = self
            .sandbox
            .derive(&base.measured, added.clone(), removed.clone(), &self.plan)
            .await?;
        added.extend(self.repo.agent_git(
            commit,
            &|path| !self.is_hidden(path),
            Some(&base.commit),
        )?);
        let agent = self
            .sandbox
            .derive(&base.agent, added, removed, &self.plan)
            .await?;
        Ok(Side {
            commit: commit.clone(),
            agent,
            measured,
        })
    }

    /// Says whether an agent's change of `path` may become part of a candidate.
    pub fn is_mutable(&self, path: &RepoPath) -> bool {
        self.policy.class_of(path) == Class::Mutable
    }

    /// Returns the same question for whoever reads changes.
    pub fn accept(&self) -> Accept {
        let policy = Arc::clone(&self.policy);
        Arc::new(move |path| policy.class_of(path) == Class::Mutable)
    }

    fn is_hidden(&self, path: &RepoPath) -> bool {
        self.policy.class_of(path) == Class::Hidden
    }
}

/// Says what cannot be enforced and what comes nearest.
fn told(refusal: &Refusal) -> String {
    match &refusal.nearest {
        Some(nearest) => format!("{refusal}; {nearest}"),
        None => refusal.to_string(),
    }
}

/// Splits changes into what a snapshot gains and what it loses.
fn split(changes: Vec<Change>) -> (Vec<SnapshotEntry>, Vec<RepoPath>) {
    let mut added = Vec::new();
    let mut removed = Vec::new();
    for Change { path, kind } in changes {
        match kind {
            ChangeKind::Write { bytes, executable } => {
                added.push(SnapshotEntry {
                    path,
                    kind: FileKind::File { bytes, executable },
                });
            }
            ChangeKind::Link { target } => {
                added.push(SnapshotEntry {
                    path,
                    kind: FileKind::Symlink { target },
                });
            }
            ChangeKind::Delete => removed.push(path),
        }
    }
    (added, removed)
}

fn compile_policy(marker: &Marker, tree: &Tree) -> Result<Policy, CampaignError> {
    let commands = [Some(&marker.metric.command), marker.metric.build.as_ref()]
        .into_iter()
        .flatten()
        .chain(marker.guards.iter().map(|guard| &guard.command));
    let rules = PolicyRules {
        mutable: marker.target.mutable.clone(),
        immutable: marker.target.immutable.clone(),
        hidden: marker.target.hidden.clone(),
        scratch: marker.target.scratch.clone(),
        named_by_harness: commands
            .flat_map(|command| files_named_by(command, tree))
            .collect(),
    };
    let marker_error = |problem: String| CampaignError::Marker {
        marker: marker.name.clone(),
        problem,
    };
    Policy::new(&rules).map_err(|problems| {
        marker_error(
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
    })
}

fn plan_request(marker: &Marker, host: &HostFacts) -> Result<PlanRequest, CampaignError> {
    let marker_error = |problem: String| CampaignError::Marker {
        marker: marker.name.clone(),
        problem,
    };
    let preset = Preset::named(&marker.sandbox.policy).ok_or_else(|| {
        marker_error(format!(
            "there is no policy preset `{}`",
            marker.sandbox.policy
        ))
    })?;
    let mut views = Vec::new();
    for path in &preset.read {
        // A preset names what many machines have; what is not there is not needed.
        let source = expand_home(path, host.home.as_deref());
        if let Some(source) = source.filter(|source| source.exists()) {
            views.push(View {
                target: source.clone(),
                source,
            });
        }
    }
    for path in &marker.sandbox.read {
        let source = expand_home(Path::new(path), host.home.as_deref()).ok_or_else(|| {
            marker_error(format!(
                "`sandbox.read`: `{path}` needs HOME, which is not set"
            ))
        })?;
        if !source.is_absolute() || !source.exists() {
            return Err(marker_error(format!(
                "`sandbox.read`: `{}` is not an existing absolute path",
                source.display()
            )));
        }
        views.push(View {
            target: source.clone(),
            source,
        });
    }
    let mut env: BTreeMap<String, String> = preset.env.clone();
    env.extend(marker.sandbox.env.clone());
    Ok(PlanRequest {
        views,
        env,
        limits: marker.sandbox.limits,
        allow_degraded: marker.sandbox.allow_degraded.clone(),
    })
}

/// Returns `path` with a leading `~/` replaced; `None` when that needs a home and there is none.
fn expand_home(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => home.map(|home| home.join(rest)),
        Err(_) => Some(PathBuf::from(path)),
    }
}
