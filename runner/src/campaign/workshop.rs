//! All that the executions of one marker share: repository, policy, benches, base snapshots.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use autoclave_policies::{
    Class, EntryKind, Glob, Plan, Policy, PolicyRules, RepoPath, Tree, files_named_by,
};
use serde::Serialize;

use super::CampaignError;
use super::backend::Site;
use super::bench::{Bench, ByRole, Role};
use super::berth::Berth;
use crate::event::Executions;
use crate::marker::Marker;
use crate::model::{Change, ChangeKind, CommitId, FileKind, SnapshotEntry};
use crate::repo::{AgentGit, Repo, RepoError, TreeKind};
use crate::sandbox::container::{EngineChoice, ImageUsed};
use crate::sandbox::process::Feature;
use crate::sandbox::{Execution, Finished, OutputSink, SandboxError, Snapshot};

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
    /// Where a container engine is asked for.
    pub engine: EngineChoice,
}

/// A marker on a base commit, with the sandboxes that fit it.
pub struct Workshop {
    pub repo: Repo,
    pub marker: Marker,
    pub base: CommitId,
    /// The files of the base commit.
    pub tree: Tree,
    pub policy: Arc<Policy>,
    /// Where the agent works, and where is measured.
    pub benches: ByRole<Bench>,
    /// Globs of `target.mutable` that match nothing of the base commit.
    pub idle_globs: Vec<String>,
    /// The base commit has a file that may change.
    has_mutable: bool,
    /// Files that the metric and guard commands name, and that are immutable for it.
    pub harness: Vec<RepoPath>,
    /// Files that only hidden guards name, and the configuration that names these guards: absent
    /// from the agent's sandbox.
    pub hidden_harness: Vec<RepoPath>,
    /// Files of the base commit that steer tests or builds and that a mutable glob matches: held
    /// back, or open because the marker names them.
    pub steering: Steering,
    /// The submodules of the base commit: their files are in no sandbox.
    pub submodules: Vec<RepoPath>,
    /// What all executions until now took.
    pub(super) executions: Cell<Executions>,
    has_worked: Cell<bool>,
    /// The user's.
    home: Option<PathBuf>,
    /// Last, so that it is given up when nothing is in it any more.
    pub(super) berth: Berth,
}

/// What is in force: the plan of the agent, that of measurements where it is another one, and the
/// image that containers are made of.
#[derive(Debug, Serialize)]
pub(super) struct Plans<'a> {
    #[serde(flatten)]
    agent: &'a Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    measure: Option<&'a Plan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a ImageUsed>,
}

/// What steers tests and builds where something may change, in the order of the paths.
#[derive(Debug, Default)]
pub struct Steering {
    pub held_back: Vec<RepoPath>,
    pub open: Vec<RepoPath>,
}

/// The base commit, ready to start sandboxes from.
pub struct Base {
    /// Without hidden paths: what the agent sees, and what `prepare` runs on.
    pub visible: ByRole<Snapshot>,
    /// With hidden paths: what is measured.
    pub measured: Snapshot,
    /// Makes the `.git` of later commits.
    git: AgentGit,
}

impl Workshop {
    /// Compiles the marker's policy for `base` on this host and makes its sandboxes.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Refused`] when the host cannot enforce the policy,
    /// [`CampaignError::Marker`] when the marker does not fit the tree, and those of the
    /// repository and the sandbox.
    pub async fn open(
        repo: Repo,
        marker: Marker,
        base: CommitId,
        host: &HostFacts,
    ) -> Result<Self, CampaignError> {
        let tree = tree_of(&repo, &base)?;
        let submodules = tree
            .entries()
            .filter(|(_, kind)| *kind == EntryKind::Submodule)
            .map(|(path, _)| path.clone())
            .collect();
        let Harness { visible, hidden } = harness_files(&marker, &tree);
        let policy = compile_policy(&marker, &visible, &hidden)?;
        let berth = Berth::take(&host.state)?;
        let site = Site {
            marker: &marker,
            host,
            berth: &berth,
            policy: &policy,
            tree: &tree,
        };
        let benches = site.benches().await?;
        let steering = steering(&policy, &tree);
        let has_mutable = tree.entries().any(|(path, _)| policy.is_mutable(path));
        Ok(Self {
            repo,
            base,
            policy: Arc::new(policy),
            benches,
            idle_globs: idle_globs(&marker, &tree),
            has_mutable,
            harness: visible,
            hidden_harness: hidden,
            steering,
            marker,
            submodules,
            executions: Cell::default(),
            has_worked: Cell::new(false),
            home: host.home.clone(),
            tree,
            berth,
        })
    }

    /// Returns the user's home.
    pub(super) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Returns the bench that works for `role`.
    pub fn bench(&self, role: Role) -> &Bench {
        self.benches.of(role)
    }

    /// Returns what containers are made of, if any are used.
    pub fn image(&self) -> Option<&ImageUsed> {
        self.benches.each().find_map(|bench| bench.image.as_ref())
    }

    /// Returns what sandboxes see of this machine: the views of every plan, and the checkout.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Path> {
        let views = self.benches.each().flat_map(|bench| &bench.plan.views);
        let sources = views.map(|view| view.source.as_path());
        sources.chain([self.repo.work_dir()])
    }

    /// Returns what `plan.json` holds.
    pub(super) fn plans(&self) -> Plans<'_> {
        Plans {
            agent: &self.bench(Role::Agent).plan,
            measure: self.benches.parted().map(|bench| &bench.plan),
            image: self.image(),
        }
    }

    /// Removes what is left of the sandboxes' own; called once, when no snapshot is used any more.
    pub async fn close(&self) {
        for bench in self.benches.each() {
            bench.sandbox.close().await;
        }
    }

    /// Returns what a user should know of the repository before a run.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.submodules.iter().map(|path| {
            format!("submodule `{path}` is an empty directory in every sandbox: its files are not part of the commit")
        })
    }

    /// Runs one execution on the bench of `role`, and adds up what it took.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn execute(
        &self,
        role: Role,
        execution: Execution<'_>,
        output: &mut dyn OutputSink,
    ) -> Result<Finished, SandboxError> {
        let started = Instant::now();
        let finished = self.bench(role).sandbox.execute(execution, output).await?;
        self.has_worked.set(true);
        let around = started.elapsed().saturating_sub(finished.wall);
        let mut executions = self.executions.get();
        executions.count += 1;
        executions.command_seconds += finished.wall.as_secs_f64();
        executions.sandbox_seconds += around.as_secs_f64();
        self.executions.set(executions);
        Ok(finished)
    }

    /// Checks that there is something to work on in the base commit.
    ///
    /// # Errors
    ///
    /// [`CampaignError::IdleGlobs`] when a glob of `target.mutable` matches nothing,
    /// [`CampaignError::NothingMutable`] when all that they match is immutable.
    pub fn check_target(&self) -> Result<(), CampaignError> {
        let marker = self.marker.name.clone();
        if !self.idle_globs.is_empty() {
            let globs = self.idle_globs.clone();
            return Err(CampaignError::IdleGlobs { marker, globs });
        }
        if self.has_mutable {
            Ok(())
        } else {
            Err(CampaignError::NothingMutable { marker })
        }
    }

    /// Makes the snapshots of the base commit.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn base(&self) -> Result<Base, CampaignError> {
        let is_visible = |path: &RepoPath| !self.is_hidden(path);
        let mut git = self.repo.agent_git(&self.base, &is_visible)?;
        let agent = self.import(self.bench(Role::Agent), &mut git).await?;
        let measure = match self.benches.parted() {
            Some(bench) => Some(self.import(bench, &mut git).await?),
            None => None,
        };
        let visible = ByRole::new(agent, measure);
        let measured = self.with_hidden(&visible).await?;
        Ok(Base {
            visible,
            measured,
            git,
        })
    }

    async fn import(&self, bench: &Bench, git: &mut AgentGit) -> Result<Snapshot, CampaignError> {
        let visible = self
            .repo
            .entries(&self.base, |path| !self.is_hidden(path))?;
        let mut entries = visible.chain(git.files()?);
        Ok(bench.sandbox.import(&mut entries, &bench.plan).await?)
    }

    /// Returns what is measured of `visible`: the hidden files of the base commit are in place.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn with_hidden(&self, visible: &ByRole<Snapshot>) -> Result<Snapshot, CampaignError> {
        let visible = visible.of(Role::Measure);
        let hidden = self
            .repo
            .entries(&self.base, |path| self.is_hidden(path))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(SandboxError::Entries)?;
        if hidden.is_empty() {
            return Ok(visible.clone());
        }
        let Bench { sandbox, plan, .. } = self.bench(Role::Measure);
        Ok(sandbox.derive(visible, hidden, Vec::new(), plan).await?)
    }

    /// Makes what is measured of `commit`, which differs from the base by accepted changes only.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn measured(
        &self,
        base: &Base,
        commit: &CommitId,
    ) -> Result<Snapshot, CampaignError> {
        if *commit == self.base {
            return Ok(base.measured.clone());
        }
        let (added, removed) = split(self.repo.changes_between(&self.base, commit)?);
        let Bench { sandbox, plan, .. } = self.bench(Role::Measure);
        Ok(sandbox.derive(&base.measured, added, removed, plan).await?)
    }

    /// Makes what the agent sees of `commit`, as [`Self::measured`] does, with a `.git` of it.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox.
    pub async fn agents(
        &self,
        base: &mut Base,
        commit: &CommitId,
    ) -> Result<Snapshot, CampaignError> {
        if *commit == self.base {
            return Ok(base.visible.of(Role::Agent).clone());
        }
        let (mut added, removed) = split(self.repo.changes_between(&self.base, commit)?);
        let is_visible = |path: &RepoPath| !self.is_hidden(path);
        added.extend(base.git.files_of(commit, &is_visible)?);
        let Bench { sandbox, plan, .. } = self.bench(Role::Agent);
        let agent = base.visible.of(Role::Agent);
        Ok(sandbox.derive(agent, added, removed, plan).await?)
    }

    /// Says whether any execution has come to its end.
    pub(super) fn has_worked(&self) -> bool {
        self.has_worked.get()
    }

    /// Says whether an agent's change of `path` may become part of a candidate.
    pub fn is_mutable(&self, path: &RepoPath) -> bool {
        self.policy.is_mutable(path)
    }

    pub(super) fn is_hidden(&self, path: &RepoPath) -> bool {
        self.policy.class_of(path) == Class::Hidden
    }
}

/// Returns the files of `commit`, what of them is executable, and where links lead.
fn tree_of(repo: &Repo, commit: &CommitId) -> Result<Tree, RepoError> {
    let listed = repo.tree(commit)?;
    let links = listed.iter().filter(|(_, kind)| *kind == TreeKind::Symlink);
    let targets = links
        .filter_map(|(path, _)| {
            let target = repo.read_file(commit, path).transpose()?;
            Some(target.map(|target| (path.clone(), target)))
        })
        .collect::<Result<Vec<_>, RepoError>>()?;
    let programs = listed
        .iter()
        .filter(|(_, kind)| *kind == TreeKind::File { executable: true })
        .map(|(path, _)| path.clone())
        .collect::<Vec<_>>();
    let entries = listed.into_iter().map(|(path, kind)| {
        let kind = match kind {
            TreeKind::File { .. } => EntryKind::File,
            TreeKind::Symlink => EntryKind::Symlink,
            TreeKind::Submodule => EntryKind::Submodule,
        };
        (path, kind)
    });
    let tree = Tree::new(entries);
    Ok(tree.with_executables(programs).with_targets(targets))
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

/// Files that the marker's commands name, each list in the order of the paths.
struct Harness {
    visible: Vec<RepoPath>,
    hidden: Vec<RepoPath>,
}

fn harness_files(marker: &Marker, tree: &Tree) -> Harness {
    let (hidden, visible): (Vec<_>, Vec<_>) = marker.guards.iter().partition(|guard| guard.hidden);
    let around = marker.metric.harness.as_ref();
    let golden = marker.golden.as_ref();
    let metric = [
        Some(&marker.metric.command),
        marker.metric.build.as_ref(),
        around.and_then(|harness| harness.input.as_ref()),
        around.map(|harness| &harness.check),
        golden.map(|golden| &golden.command),
        golden
            .and_then(|golden| golden.generate.as_ref())
            .map(|generate| &generate.command),
    ];
    let visible = visible.into_iter().map(|guard| &guard.command);
    let named = |commands: &mut dyn Iterator<Item = &String>| -> BTreeSet<RepoPath> {
        commands
            .flat_map(|command| files_named_by(command, tree))
            .collect()
    };
    let mut visible_files = named(&mut metric.into_iter().flatten().chain(visible));
    visible_files.extend(golden_files(marker, tree));
    let visible = visible_files;
    let mut hidden_files = named(&mut hidden.iter().map(|guard| &guard.command));
    if !hidden.is_empty() {
        // It tells the guard's command.
        let configurations = [".autoclave/config.yaml", ".autoresearch/config.yaml"];
        let paths = configurations.map(|path| RepoPath::try_from(path).expect("it is constant"));
        hidden_files.extend(paths.into_iter().filter(|path| tree.contains(path)));
    }
    Harness {
        hidden: hidden_files.difference(&visible).cloned().collect(),
        visible: visible.into_iter().collect(),
    }
}

/// Returns the files that are golden inputs, except those that are hidden anyway.
fn golden_files(marker: &Marker, tree: &Tree) -> Vec<RepoPath> {
    let globs = |texts: &[String]| -> Vec<Glob> {
        let globs = texts.iter().filter_map(|text| Glob::parse(text).ok());
        globs.collect()
    };
    let golden = marker.golden.as_ref();
    let inputs = globs(golden.map_or(&[], |golden| &golden.inputs));
    let hidden = globs(&marker.target.hidden);
    let files = tree.entries().map(|(path, _)| path);
    files
        .filter(|path| inputs.iter().any(|glob| glob.matches(path)))
        .filter(|path| !hidden.iter().any(|glob| glob.matches(path)))
        .cloned()
        .collect()
}

/// Returns what of `tree` steers tests or builds and would be mutable, or is.
fn steering(policy: &Policy, tree: &Tree) -> Steering {
    let mut steering = Steering::default();
    for (path, _) in tree.entries() {
        if policy.holds_back(path) {
            steering.held_back.push(path.clone());
        } else if policy.is_mutable(path) && policy.steers(path).is_some() {
            steering.open.push(path.clone());
        }
    }
    steering
}

/// Returns the globs of `target.mutable` that match no file; one that is invalid matches none.
fn idle_globs(marker: &Marker, tree: &Tree) -> Vec<String> {
    let matches = |glob: &Glob| tree.entries().any(|(path, _)| glob.matches(path));
    let globs = marker.target.mutable.iter();
    globs
        .filter(|text| !Glob::parse(text).is_ok_and(|glob| matches(&glob)))
        .cloned()
        .collect()
}

fn compile_policy(
    marker: &Marker,
    harness: &[RepoPath],
    hidden: &[RepoPath],
) -> Result<Policy, CampaignError> {
    let rules = PolicyRules {
        mutable: marker.target.mutable.clone(),
        immutable: marker.target.immutable.clone(),
        hidden: marker.target.hidden.clone(),
        scratch: marker.target.scratch.clone(),
        named_by_harness: harness.to_vec(),
        hidden_harness: hidden.to_vec(),
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
