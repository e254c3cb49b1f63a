//! What an ended execution left: read as changes, or kept as a snapshot.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use autoclave_policies::{Grant, Plan, Policy, RepoPath};
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::Shared;
use super::archive::{self, ArchiveError, Difference, Manifest, Now, ReadLimits};
use super::image::Container;
use super::snapshot::Frozen;
use crate::model::ChangeKind;
use crate::sandbox::intake::Intake;
use crate::sandbox::{ChangeLimits, Changes, Remains, SandboxError, Snapshot, WORKSPACE};

/// The files of a container in which nothing runs any more.
pub struct ContainerRemains {
    pub container: Container,
    pub frozen: Frozen,
    pub plan: Plan,
    pub shared: Arc<Shared>,
}

impl Remains for ContainerRemains {
    fn changes(
        &self,
        policy: Arc<Policy>,
        limits: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>> {
        Box::pin(async move {
            let manifest = Arc::new(self.frozen.manifest(&self.shared, &self.plan).await?);
            let mut roots = roots(&self.plan);
            // Build output is not worth its way here.
            roots.retain(|root| {
                let scratch = |root: &RepoPath| policy.is_scratch_throughout(root);
                !root.as_ref().is_some_and(scratch)
            });
            let mut intake = Intake::new(&policy, limits);
            for root in roots {
                let (manifest, of) = (Arc::clone(&manifest), root.clone());
                let read = ReadLimits {
                    changed_bytes: limits.total_bytes,
                    path_bytes: limits.path_bytes,
                    ..everything(&self.plan)
                };
                let differences = stream(&self.container, root.as_ref(), move |archive| {
                    archive::compare(archive, of.as_ref(), read, &manifest)
                })
                .await?;
                match differences {
                    Ok(differences) => {
                        for Difference { path, now } in differences {
                            take(&mut intake, path, now);
                        }
                    }
                    Err(ArchiveError::Io(cause)) => {
                        return Err(SandboxError::Entries(cause.into()));
                    }
                    Err(ArchiveError::TooMany(_) | ArchiveError::TooLarge(_)) => {
                        // Nothing beneath can be told from what was not read.
                        if let Some(root) = root {
                            intake.drop(&root, "more beneath it than can be read");
                        }
                    }
                }
            }
            Ok(intake.finish())
        })
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        Box::pin(async move {
            let parent = Arc::clone(&self.frozen.image);
            let image = self.container.commit(Some(parent)).await?;
            Ok(Snapshot(Arc::new(Frozen::new(Arc::new(image)))))
        })
    }
}

fn take(intake: &mut Intake<'_>, path: RepoPath, now: Now) {
    match now {
        Now::Gone => intake.take(path, ChangeKind::Delete),
        Now::Link { target } => intake.take(path, ChangeKind::Link { target }),
        Now::File {
            bytes,
            is_executable: executable,
        } => intake.take(path, ChangeKind::Write { bytes, executable }),
        Now::Refused(why) => intake.drop(&path, why),
    }
}

/// Records what a container that was never started has beneath the mutable roots.
pub async fn record_roots(container: &Container, plan: &Plan) -> Result<Manifest, SandboxError> {
    let mut manifest = Manifest::new();
    for root in roots(plan) {
        let (limits, of) = (everything(plan), root.clone());
        let recorded = stream(container, root.as_ref(), move |archive| {
            let mut manifest = Manifest::new();
            archive::record(archive, of.as_ref(), limits, &mut manifest).map(|()| manifest)
        })
        .await?
        .map_err(|error| SandboxError::Entries(error.into()))?;
        manifest.extend(recorded);
    }
    Ok(manifest)
}

/// The bounds of what the disk limit lets a command leave.
fn everything(plan: &Plan) -> ReadLimits {
    ReadLimits {
        entries: 1_000_000,
        bytes: plan.limits.disk_bytes,
        changed_bytes: 0,
        path_bytes: 4096,
    }
}

/// Returns the paths under which a command may write, none beneath another; `None` is all.
fn roots(plan: &Plan) -> Vec<Option<RepoPath>> {
    let mut roots: Vec<Option<RepoPath>> = Vec::new();
    // Sorted by path, so that what is above comes first.
    for grant in &plan.grants {
        let path = match grant {
            Grant::Tree { path, .. } | Grant::File { path } => Some(path.clone()),
            Grant::Open { path } => path.clone(),
        };
        let is_covered = roots.iter().any(|root| match (root, &path) {
            (None, _) => true,
            (Some(root), Some(path)) => path.is_within(root),
            (Some(_), None) => false,
        });
        if !is_covered {
            roots.push(path);
        }
    }
    roots
}

/// Streams the archive of one root into `read`, which runs where it may block.
async fn stream<T: Send + 'static>(
    container: &Container,
    root: Option<&RepoPath>,
    read: impl FnOnce(Chunks) -> Result<T, ArchiveError> + Send + 'static,
) -> Result<Result<T, ArchiveError>, SandboxError> {
    let path = match root {
        Some(root) => format!("{WORKSPACE}/{}", String::from_utf8_lossy(root.as_bytes())),
        None => WORKSPACE.to_owned(),
    };
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(&path)
        .build();
    let (sender, receiver) = mpsc::channel(8);
    let docker = container.shared.docker.clone();
    let mut chunks = Box::pin(docker.download_from_container(&container.id, Some(options)));
    let pump = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                // The root itself was removed: an empty archive.
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => break,
                chunk => chunk.map_err(io::Error::other),
            };
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let reading = tokio::task::spawn_blocking(move || {
        read(Chunks {
            receiver,
            waiting: VecDeque::new(),
        })
    });
    let ((), read) = tokio::join!(pump, reading);
    read.map_err(|error| SandboxError::Backend(error.to_string()))
}

/// An archive as it comes from the engine.
struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    waiting: VecDeque<Bytes>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = self.waiting.front_mut() {
                if chunk.has_remaining() {
                    let n = chunk.remaining().min(buffer.len());
                    chunk.copy_to_slice(&mut buffer[..n]);
                    return Ok(n);
                }
                self.waiting.pop_front();
            }
            match self.receiver.blocking_recv() {
                Some(chunk) => self.waiting.push_back(chunk?),
                None => return Ok(0),
            }
        }
    }
}
