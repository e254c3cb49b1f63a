//! Containers and images of ours on the engine, and how they go.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, DownloadFromContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, WaitContainerOptions,
};
use futures::StreamExt;
use tokio::time::timeout;
use tracing::{Instrument, debug_span};

use super::image::HELPER;
use super::watch::PATIENCE;
use super::{Asking, Shared};
use crate::sandbox::SandboxError;

/// An image of ours; removed with the last snapshot that stands on it.
#[derive(Debug)]
pub struct Image {
    pub id: String,
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

    /// Waits until the engine says that the container has ended.
    pub async fn ended(&self) -> Result<(), SandboxError> {
        let docker = &self.shared.docker;
        let options = None::<WaitContainerOptions>;
        let mut waiting = Box::pin(docker.wait_container(&self.id, options));
        let span = debug_span!("wait");
        match timeout(PATIENCE, waiting.next()).instrument(span).await {
            Err(_) => Err(SandboxError::Backend(
                "a killed container does not end".to_owned(),
            )),
            // A code other than 0 comes as an error; the helper has told what matters.
            Ok(
                Some(Err(bollard::errors::Error::DockerContainerWaitError { .. }) | Ok(_)) | None,
            ) => Ok(()),
            Ok(Some(Err(cause))) => Err(cause).asking("wait for a container"),
        }
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

/// A thing of ours on the engine that nobody needs any more.
#[derive(Debug)]
pub enum Garbage {
    Container(String),
    Image(String),
}

impl Shared {
    pub fn throw_away(&self, garbage: Garbage) {
        self.garbage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(garbage);
    }

    /// Removes what was thrown away. What cannot be removed is left to the next start's sweep.
    pub async fn take_out(&self) {
        let garbage = {
            let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *garbage)
        };
        // Containers first: an image that one of them stands on cannot go.
        let (containers, images): (Vec<_>, Vec<_>) = garbage
            .into_iter()
            .partition(|garbage| matches!(garbage, Garbage::Container(_)));
        for garbage in containers.into_iter().chain(images) {
            let removed = match &garbage {
                Garbage::Container(id) => {
                    let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
                    self.docker
                        .remove_container(id, Some(options.build()))
                        .instrument(debug_span!("remove"))
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
            };
            if let Err(error) = removed {
                tracing::warn!(?garbage, %error, "could not remove from the engine");
            }
        }
    }
}
