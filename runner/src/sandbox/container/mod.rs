//! The container backend: each execution in a container that is used once.

mod archive;
mod engine;
mod execution;
mod image;
mod pack;
mod profile;
mod proof;
mod reach;
mod relay;
mod remains;
mod snapshot;
mod status;
mod sweep;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use autoclave_policies::{Level, Plan, RepoPath};
use bollard::Docker;
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

pub use self::engine::{EngineAddress, EngineError, EngineFacts};
use self::snapshot::Frozen;
use super::{
    BoxError, Enforcement, Execution, Finished, Layer, OutputSink, Sandbox, SandboxError, Snapshot,
};
use crate::model::SnapshotEntry;

/// Runs commands in containers of an engine, each used once and removed.
#[derive(Debug)]
pub struct ContainerSandbox {
    shared: Arc<Shared>,
    facts: EngineFacts,
}

/// Which engine and image, and where files on the way to the engine are put.
#[derive(Debug, Clone)]
pub struct ContainerOptions {
    pub address: EngineAddress,
    /// The image that workspaces are put on, as the engine names it.
    pub image: String,
    /// A private directory for archives, made if absent.
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
    folder: PathBuf,
    seccomp: String,
    counter: AtomicU64,
    /// The release of the kernel under the engine.
    kernel: String,
    /// Whether the engine sees this machine's files; found out when it first matters.
    sees_files: OnceCell<bool>,
    /// What nobody needs any more; dropping is not async, so the next call removes it. Shared with
    /// every guard, each of which only pushes.
    garbage: Mutex<Vec<Garbage>>,
}

/// A thing of ours on the engine that nobody needs any more.
#[derive(Debug)]
enum Garbage {
    Container(String),
    Image(String),
    Volume(String),
}

impl Shared {
    /// Says whether what is mounted into a container is this machine's.
    async fn sees_files(self: &Arc<Self>) -> Result<bool, SandboxError> {
        let found = self.sees_files.get_or_try_init(|| reach::sees_files(self));
        found.await.copied()
    }

    fn throw_away(&self, garbage: Garbage) {
        self.garbage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(garbage);
    }

    /// Removes what was thrown away. What cannot be removed is left to the next start's sweep.
    async fn take_out(&self) {
        let garbage = {
            let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *garbage)
        };
        // Containers first: an image or volume that one of them uses cannot go.
        let (containers, others): (Vec<_>, Vec<_>) = garbage
            .into_iter()
            .partition(|garbage| matches!(garbage, Garbage::Container(_)));
        for garbage in containers.into_iter().chain(others) {
            let removed = match &garbage {
                Garbage::Container(id) => {
                    let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
                    self.docker
                        .remove_container(id, Some(options.build()))
                        .await
                }
                Garbage::Image(id) => {
                    let options = RemoveImageOptionsBuilder::new().force(true);
                    let removed = self
                        .docker
                        .remove_image(id, Some(options.build()), None)
                        .await;
                    removed.map(drop)
                }
                Garbage::Volume(name) => {
                    let options = RemoveVolumeOptionsBuilder::new().force(true);
                    self.docker.remove_volume(name, Some(options.build())).await
                }
            };
            if is_in_use(&removed) && matches!(garbage, Garbage::Volume(_)) {
                // By the container whose changes are yet to be read; it goes with that one.
                self.throw_away(garbage);
            } else if let Err(error) = removed {
                tracing::warn!(?garbage, %error, "could not remove from the engine");
            }
        }
    }

    fn new_file(&self) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("archive-{number}.tar"))
    }
}

impl ContainerSandbox {
    /// Connects to the engine, finds the image, and removes what dead runs of ours left there.
    ///
    /// # Errors
    ///
    /// [`SandboxError::CannotEnforce`] when there is no engine, no image, or the engine lacks
    /// seccomp or limits; [`SandboxError::Io`] when the private directory cannot be made.
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
        let owner = sweep::Owner::this(&options.state, options.is_alive)?;
        sweep::sweep(&docker, &owner).await?;
        let folder = options.state.join(&options.run_label).join("archives");
        fs::create_dir_all(&folder).map_err(|cause| SandboxError::Io {
            action: "make",
            path: folder.clone(),
            cause,
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                docker,
                base,
                labels: owner.labels(&options.run_label),
                folder,
                seccomp: profile::profile(),
                counter: AtomicU64::new(0),
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
        entries: &'a mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
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
            self.shared.take_out().await;
            let frozen = snapshot::frozen(execution.snapshot)?;
            execution::run(&self.shared, frozen, execution, output).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.take_out().await;
            if let Err(error) = fs::remove_dir_all(&self.shared.folder) {
                tracing::warn!(%error, "could not remove the archives' folder");
            }
        })
    }
}

fn is_in_use(removed: &Result<(), bollard::errors::Error>) -> bool {
    use bollard::errors::Error::DockerResponseServerError;
    matches!(
        removed,
        Err(DockerResponseServerError {
            status_code: 409,
            ..
        })
    )
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
