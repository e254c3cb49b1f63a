//! The container backend: each execution in a container that is used once.

mod archive;
mod delta;
mod describe;
mod difference;
mod download;
mod end;
mod engine;
mod execution;
mod held;
mod image;
mod input;
mod manifest;
mod pack;
mod profile;
mod proof;
mod remains;
mod removal;
mod snapshot;
mod status;
mod sweep;
mod upload;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use autoclave_policies::{Level, Plan, RepoPath};
use bollard::Docker;
use futures::future::BoxFuture;

pub use self::engine::{EngineAddress, EngineError, EngineFacts};
pub use self::profile::profile as seccomp_profile;
use self::removal::Garbage;
use self::snapshot::Frozen;
use super::batch::Entries;
use super::{Enforcement, Execution, Finished, Layer, OutputSink, Sandbox, SandboxError, Snapshot};
use crate::model::SnapshotEntry;

/// Runs commands in containers of an engine, each used once and removed.
#[derive(Debug)]
pub struct ContainerSandbox {
    shared: Arc<Shared>,
    facts: EngineFacts,
}

/// Which engine and image, and whose is what is made there.
#[derive(Debug, Clone)]
pub struct ContainerOptions {
    pub address: EngineAddress,
    /// The image that workspaces are put on, as the engine names it.
    pub image: String,
    /// Tells this user's leftovers on the engine from others'; nothing is written there.
    pub state: PathBuf,
    /// Tells this run's leftovers from others': letters, digits, dashes.
    pub run_label: String,
}

/// What every part of the backend needs.
#[derive(Debug)]
struct Shared {
    docker: Docker,
    /// The id of the image that was asked for, and its environment.
    base: image::BaseImage,
    labels: HashMap<String, String>,
    owner: sweep::Owner,
    seccomp: String,
    /// What nobody needs any more; dropping is not async, so the next call removes it. Shared with
    /// every guard, each of which only pushes.
    garbage: Mutex<Vec<Garbage>>,
}

impl ContainerSandbox {
    /// Connects to the engine, finds the image, and removes what dead runs of ours left there.
    ///
    /// # Errors
    ///
    /// [`SandboxError::CannotEnforce`] when there is no engine, no image, or the engine lacks
    /// seccomp or limits; [`SandboxError::Engine`] when it refuses or does not answer.
    pub async fn open(options: ContainerOptions) -> Result<Self, SandboxError> {
        let (docker, facts) =
            engine::connect(&options.address)
                .await
                .map_err(|error| SandboxError::Engine {
                    action: "reach the container engine",
                    cause: error.into(),
                })?;
        for (is_there, rule, why) in [
            (facts.has_seccomp, "syscalls", "the engine has no seccomp"),
            (
                facts.has_limits,
                "limits",
                "the engine cannot limit memory and processes",
            ),
        ] {
            if !is_there {
                return Err(SandboxError::CannotEnforce {
                    rule: rule.to_owned(),
                    why: why.to_owned(),
                });
            }
        }
        let base = image::BaseImage::find(&docker, &options.image).await?;
        let owner = sweep::Owner::this(&options.state);
        sweep::sweep_dead(&docker, &owner).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                docker,
                base,
                labels: owner.labels(&options.run_label),
                owner,
                seccomp: profile::profile(),
                garbage: Mutex::default(),
            }),
            facts,
        })
    }
}

impl Sandbox for ContainerSandbox {
    fn enforcement(&self) -> Enforcement {
        let facts = &self.facts;
        let rootless = if facts.is_rootless { ", rootless" } else { "" };
        let warning = engine::known_escape(&facts.runtime)
            .map(|escape| format!("; this runtime is open to {escape}"))
            .unwrap_or_default();
        let engine = format!(
            "{}{rootless}, runtime {}, storage {}, cgroup {}{warning}",
            facts.name, facts.runtime, facts.storage_driver, facts.cgroup_version
        );
        Enforcement {
            backend: "container".to_owned(),
            level: Level::Sealed,
            layers: [
                ("engine", engine.as_str()),
                (
                    "identity",
                    "a uid of its own, no capabilities, no new privileges",
                ),
                ("view", "the image and the workspace, nothing of the host"),
                ("paths", "ownership: what is immutable belongs to root"),
                ("syscalls", "seccomp filter"),
                ("network", "none but the loopback interface"),
                ("processes", "a container's own, ended with it"),
                (
                    "limits",
                    "wall clock, cgroup for memory, processor and processes, a watch on the disk",
                ),
            ]
            .map(|(name, detail)| Layer {
                name: name.to_owned(),
                detail: detail.to_owned(),
            })
            .into(),
        }
    }

    fn import<'a>(
        &'a self,
        entries: &'a mut Entries<'_>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>> {
        Box::pin(async move {
            self.shared.take_out().await;
            let image = image::import(&self.shared, entries, plan).await?;
            Ok(Snapshot(Arc::new(Frozen::new(image))))
        })
    }

    fn derive<'a>(
        &'a self,
        base: &'a Snapshot,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>> {
        Box::pin(async move {
            self.shared.take_out().await;
            let base = snapshot::frozen(base)?;
            let derived = base.derive(&self.shared, added, removed, plan).await?;
            Ok(Snapshot(Arc::new(derived)))
        })
    }

    fn execute<'a>(
        &'a self,
        execution: Execution<'a>,
        output: &'a mut dyn OutputSink,
    ) -> BoxFuture<'a, Result<Finished, SandboxError>> {
        Box::pin(async move {
            let frozen = snapshot::frozen(execution.snapshot)?;
            execution::run(&self.shared, frozen, execution, output).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Shared {
                docker,
                owner,
                labels,
                ..
            } = &*self.shared;
            // Not only what is known: an engine that did not answer may have made more.
            if let Err(error) = sweep::sweep_own(docker, owner, labels).await {
                tracing::warn!(%error, "could not look for what is left on the engine");
            }
        })
    }
}

/// Names what was asked of the engine.
trait Asking<T> {
    fn asking(self, action: &'static str) -> Result<T, SandboxError>;
}

impl<T> Asking<T> for Result<T, bollard::errors::Error> {
    fn asking(self, action: &'static str) -> Result<T, SandboxError> {
        self.map_err(|cause| SandboxError::Engine {
            action,
            cause: cause.into(),
        })
    }
}

impl Shared {
    /// Returns the engine for what takes longer the more there is.
    fn patient(&self) -> Docker {
        let patience = self.docker.timeout();
        self.docker.clone().with_timeout(patience * 10)
    }
}

/// Returns the error of an engine, or of what it runs, that did not do as it should.
fn broken(action: &'static str, why: &str) -> SandboxError {
    SandboxError::Engine {
        action,
        cause: why.into(),
    }
}
