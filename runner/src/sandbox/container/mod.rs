//! The container backend: each execution in a container that is used once.

mod archive;
mod capabilities;
mod certificates;
mod choice;
mod delta;
mod describe;
mod difference;
mod download;
mod end;
mod engine;
mod escapes;
mod execution;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod held;
mod image;
mod input;
mod legible;
mod manifest;
mod pack;
mod profile;
mod proof;
mod reach;
mod relay;
mod remains;
mod removal;
mod snapshot;
mod status;
mod sweep;
mod upload;
mod watch;
mod way;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use autoclave_policies::{Level, Plan, RepoPath};
use bollard::Docker;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

pub use self::capabilities::capabilities;
pub use self::choice::EngineChoice;
pub use self::engine::{EngineAddress, EngineError, EngineFacts, EngineKind};
pub use self::image::ImageUsed;
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
    /// Tells this user's leftovers on the engine from others'; private, made if absent.
    pub state: PathBuf,
    /// Tells this run's leftovers from others': letters, digits, dashes.
    pub run_label: String,
    /// Says of a state directory and a label in it whether that run's process lives.
    pub is_alive: fn(&Path, &str) -> bool,
}

/// What every part of the backend needs.
#[derive(Debug)]
struct Shared {
    docker: Docker,
    /// The id of the image that was asked for, and its environment.
    base: image::BaseImage,
    labels: HashMap<String, String>,
    owner: sweep::Owner,
    /// What the engine is told about the seccomp profile.
    seccomp: String,
    /// Where files can be put for the engine to see.
    folder: PathBuf,
    /// The release of the kernel under the engine.
    kernel: String,
    /// Whether the engine sees this machine's files; found out when it first matters.
    sees_files: OnceCell<bool>,
    /// What nobody needs any more; dropping is not async, so the next call removes it. Shared with
    /// every guard, each of which only pushes.
    garbage: Mutex<Vec<Garbage>>,
}

impl ContainerSandbox {
    /// Connects to the engine, finds the image, and removes what dead runs of ours left there.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NoEngine`] or [`SandboxError::NoImage`] when there is none,
    /// [`SandboxError::CannotEnforce`] when the engine lacks seccomp or limits,
    /// [`SandboxError::Engine`] when it refuses or does not answer.
    pub async fn open(options: ContainerOptions) -> Result<Self, SandboxError> {
        let (docker, facts) = engine::connect(&options.address).await?;
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
        let base = image::BaseImage::find(&docker, &options.image, &options.address.host).await?;
        let owner = sweep::Owner::this(&options.state, options.is_alive)?;
        sweep::sweep_dead(&docker, &owner).await?;
        let folder = options.state.join(&options.run_label);
        let seccomp = match facts.kind {
            EngineKind::Docker => profile::profile(),
            EngineKind::Podman => {
                let file = profile::file(&folder)?;
                file.to_string_lossy().into_owned()
            }
        };
        Ok(Self {
            shared: Arc::new(Shared {
                docker,
                base,
                labels: owner.labels(&options.run_label),
                owner,
                seccomp,
                folder,
                kernel: facts.kernel.clone(),
                sees_files: OnceCell::new(),
                garbage: Mutex::default(),
            }),
            facts,
        })
    }

    /// Says whether the engine sees this machine's files, so that they can be mounted.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when nothing can be written to be looked for.
    pub async fn sees_files(&self) -> Result<bool, SandboxError> {
        self.shared.sees_files().await
    }

    /// Returns the image that all its containers are made of.
    pub fn image(&self) -> &ImageUsed {
        &self.shared.base.used
    }
}

impl Sandbox for ContainerSandbox {
    fn enforcement(&self) -> Enforcement {
        let facts = &self.facts;
        let rootless = if facts.is_rootless { ", rootless" } else { "" };
        let engine = format!(
            "{} {}{rootless}, runtime {}, storage {}, cgroup {}",
            facts.kind, facts.version, facts.runtime, facts.storage_driver, facts.cgroup_version
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
            warnings: escapes::known_escapes(facts),
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
    /// Says whether what is mounted into a container is this machine's.
    async fn sees_files(self: &Arc<Self>) -> Result<bool, SandboxError> {
        let found = self.sees_files.get_or_try_init(|| reach::sees_files(self));
        found.await.copied()
    }

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
