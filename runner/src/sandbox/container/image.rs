//! Images: the one that is asked for, and those that snapshots are.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use autoclave_policies::{Grant, Identity, Plan};
use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, DownloadFromContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use futures::StreamExt;
use tokio_util::io::ReaderStream;

use super::pack::Packer;
use super::{Asking, Garbage, Shared};
use crate::model::SnapshotEntry;
use crate::sandbox::owners::Owners;
use crate::sandbox::process::helper;
use crate::sandbox::{BoxError, GATEWAY_SOCKET, SandboxError};

/// Where the helper is in every snapshot: root's, so that no command can change it.
pub const HELPER: &str = "/usr/lib/autoclave/enter";

/// The image that workspaces are put on.
#[derive(Debug)]
pub struct BaseImage {
    /// By digest, so that a tag that moves changes nothing.
    pub id: String,
    /// `NAME=value`.
    pub env: Vec<String>,
}

impl BaseImage {
    /// Finds an image on the engine.
    pub async fn find(docker: &Docker, name: &str) -> Result<Self, SandboxError> {
        let found = match docker.inspect_image(name).await {
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {
                return Err(SandboxError::CannotEnforce {
                    rule: "sandbox.image".to_owned(),
                    why: format!("the engine has no image `{name}`"),
                });
            }
            found => found.asking("look at the image")?,
        };
        let id = found.id.ok_or_else(|| SandboxError::CannotEnforce {
            rule: "sandbox.image".to_owned(),
            why: format!("the engine names no id of `{name}`"),
        })?;
        let env = found.config.and_then(|config| config.env);
        Ok(Self {
            id,
            env: env.unwrap_or_default(),
        })
    }
}

/// An image of ours; removed with the last snapshot that stands on it.
#[derive(Debug)]
pub struct Image {
    pub id: String,
    pub(super) shared: Arc<Shared>,
}

impl Drop for Image {
    fn drop(&mut self) {
        self.shared.throw_away(Garbage::Image(self.id.clone()));
    }
}

/// A container of ours; removed when dropped.
#[derive(Debug)]
pub struct Container {
    pub id: String,
    pub(super) shared: Arc<Shared>,
}

impl Drop for Container {
    fn drop(&mut self) {
        self.shared.throw_away(Garbage::Container(self.id.clone()));
    }
}

impl Container {
    /// Creates a container; it is not started.
    pub async fn create(
        shared: &Arc<Shared>,
        mut body: ContainerCreateBody,
    ) -> Result<Self, SandboxError> {
        body.labels = Some(shared.labels.clone());
        let made = shared
            .docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .asking("create a container")?;
        Ok(Self {
            id: made.id,
            shared: Arc::clone(shared),
        })
    }

    /// Creates a container of `image` that is never started: a place to put and look at files.
    pub async fn still(shared: &Arc<Shared>, image: &str) -> Result<Self, SandboxError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![HELPER.to_owned()]),
            network_disabled: Some(true),
            ..ContainerCreateBody::default()
        };
        Self::create(shared, body).await
    }

    /// Unpacks the archive `file` at `/`.
    pub async fn upload(&self, file: tokio::fs::File) -> Result<(), SandboxError> {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 256 << 10));
        self.shared
            .docker
            .upload_to_container(&self.id, Some(options), body)
            .await
            .asking("put files into a container")
    }

    /// Reads one file of at most 1 MiB; empty where it cannot be read.
    pub async fn small_file(&self, path: &str) -> Vec<u8> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let docker = &self.shared.docker;
        let mut chunks = Box::pin(docker.download_from_container(&self.id, Some(options)));
        let mut archive = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            archive.extend_from_slice(&chunk);
            if archive.len() > 1 << 20 {
                break;
            }
        }
        let mut text = Vec::new();
        let mut archive = tar::Archive::new(archive.as_slice());
        let read = archive.entries().ok().and_then(|mut entries| {
            let mut entry = entries.next()?.ok()?;
            entry.read_to_end(&mut text).ok()
        });
        if read.is_none() {
            tracing::debug!(path, "not in the image");
        }
        text
    }

    /// Keeps the container's files as an image.
    pub async fn commit(self) -> Result<Image, SandboxError> {
        let options = CommitContainerOptionsBuilder::new()
            .container(&self.id)
            .pause(false)
            .build();
        let config = ContainerConfig {
            labels: Some(self.shared.labels.clone()),
            ..ContainerConfig::default()
        };
        let made = self.shared.docker.commit_container(options, config).await;
        Ok(Image {
            id: made.asking("keep a container as an image")?.id,
            shared: Arc::clone(&self.shared),
        })
    }
}

/// Puts a workspace, a home and the helper onto the base image.
pub async fn import(
    shared: &Arc<Shared>,
    entries: &mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
    plan: &Plan,
) -> Result<Arc<Image>, SandboxError> {
    let container = Container::still(shared, &shared.base.id).await?;
    let accounts = Accounts {
        passwd: container.small_file("/etc/passwd").await,
        group: container.small_file("/etc/group").await,
    };
    let archive = shared.new_file();
    let during = |cause| SandboxError::Io {
        action: "write",
        path: archive.clone(),
        cause,
    };
    let owners = Owners::new(plan);
    let file = File::create_new(&archive).map_err(during)?;
    // Unlinked at once: the open file is all that is needed of it.
    let reading = File::open(&archive).map_err(during)?;
    std::fs::remove_file(&archive).map_err(during)?;
    let mut packer = Packer::new(BufWriter::new(file), &owners, now());
    packer.roots().map_err(during)?;
    for entry in entries {
        let entry = entry.map_err(SandboxError::Entries)?;
        packer.entry(&entry).map_err(during)?;
    }
    for grant in &plan.grants {
        if let Grant::Tree {
            path,
            created: true,
        } = grant
        {
            packer.directory(path).map_err(during)?;
        }
    }
    accounts.pack(&mut packer, plan).map_err(during)?;
    let folder = GATEWAY_SOCKET.trim_end_matches("/gateway.sock");
    packer.system_directory(folder).map_err(during)?;
    packer
        .system_file(HELPER, 0o755, helper::BYTES)
        .map_err(during)?;
    let writer = packer.finish().map_err(during)?;
    drop(
        writer
            .into_inner()
            .map_err(|error| during(error.into_error()))?,
    );
    container.upload(tokio::fs::File::from_std(reading)).await?;
    Ok(Arc::new(container.commit().await?))
}

/// The user database of the image: programs expect to find their own uid there.
struct Accounts {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

impl Accounts {
    fn pack<W: std::io::Write>(
        &self,
        packer: &mut Packer<'_, W>,
        plan: &Plan,
    ) -> std::io::Result<()> {
        let Identity::SecondUid { uid, gid } = plan.identity else {
            return Ok(());
        };
        let with = |text: &[u8], line: String| [text, line.as_bytes()].concat();
        let user = format!(
            "agent:x:{uid}:{gid}:agent:{}:/bin/sh\n",
            crate::sandbox::HOME
        );
        packer.system_file("/etc/passwd", 0o644, &with(&self.passwd, user))?;
        packer.system_file(
            "/etc/group",
            0o644,
            &with(&self.group, format!("agent:x:{gid}:\n")),
        )
    }
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
