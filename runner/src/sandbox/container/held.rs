//! Containers and images of ours on the engine, and how they go.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CommitContainerOptionsBuilder, CreateContainerOptions,
    DownloadFromContainerOptionsBuilder,
};
use futures::StreamExt;

use super::end;
use super::image::HELPER;
use super::removal::{self, Garbage};
use super::{Asking, Shared, sweep};
use crate::sandbox::SandboxError;

/// An image of ours; removed with the last snapshot that stands on it.
#[derive(Debug)]
pub struct Image {
    pub id: String,
    /// The image that this one stands on, if that is ours, too: it cannot go before this one.
    /// Fields are dropped after [`Drop::drop`], so that this one is thrown away first.
    _parent: Option<Arc<Image>>,
    shared: Arc<Shared>,
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
    pub shared: Arc<Shared>,
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
        body.labels = Some(sweep::of_container(&shared.labels));
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

    /// Attaches to the input and all output of a container that is yet to be started.
    pub async fn attach(&self) -> Result<AttachContainerResults, Error> {
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let docker = &self.shared.docker;
        docker.attach_container(&self.id, Some(options)).await
    }

    /// Reads one file of at most 1 MiB; empty where there is none.
    pub async fn small_file(&self, path: &str) -> Result<Vec<u8>, SandboxError> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let docker = &self.shared.docker;
        let mut chunks = Box::pin(docker.download_from_container(&self.id, Some(options)));
        let mut archive = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Err(Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => break,
                chunk => chunk.asking("read a file of the image")?,
            };
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
        Ok(text)
    }

    /// Waits until a container that was killed, or whose helper has said goodbye, has ended.
    pub async fn ended(&self) -> Result<(), SandboxError> {
        end::wait(&self.shared, &self.id, true).await.map(drop)
    }

    /// Keeps the container's files as an image; `parent` is the one that it was made of, if ours.
    pub async fn commit(self, parent: Option<Arc<Image>>) -> Result<Image, SandboxError> {
        let options = CommitContainerOptionsBuilder::new()
            .container(&self.id)
            .pause(false)
            // Podman takes no other word on labels than this, and gives it the container's.
            .changes(sweep::IMAGE_LABEL)
            .build();
        let config = ContainerConfig {
            labels: Some(self.shared.labels.clone()),
            ..ContainerConfig::default()
        };
        let made = self
            .shared
            .patient()
            .commit_container(options, config)
            .await;
        let id = made.asking("keep a container as an image")?.id;
        // Podman tells the bare digest here, which it takes for a name elsewhere.
        let digest = id.strip_prefix("sha256:").unwrap_or(&id);
        Ok(Image {
            id: format!("sha256:{digest}"),
            _parent: parent,
            shared: Arc::clone(&self.shared),
        })
    }
}

impl Shared {
    pub fn throw_away(&self, garbage: Garbage) {
        self.garbage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(garbage);
    }

    /// Removes what was thrown away. What cannot be removed now is tried again the next time.
    pub async fn take_out(&self) {
        let garbage = {
            let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *garbage)
        };
        for left in removal::remove(&self.docker, garbage).await {
            self.throw_away(left);
        }
    }
}
