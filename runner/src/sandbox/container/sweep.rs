//! Removes what dead runs of this state directory left on an engine.
//!
//! Process ids tell nothing here: an engine may serve several machines, and containers that each
//! have a process 1. A run lives as long as its lock in the state directory is held.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptionsBuilder,
};

use super::Asking;
use super::legible::legible;
use super::removal::{Garbage, remove};
use crate::sandbox::SandboxError;

/// Marks everything of ours; nothing without it is ever touched.
const STATE: &str = "autoclave.state";
const RUN: &str = "autoclave.run";
/// The file that names a state directory.
const NAME: &str = "engine-name";
/// Containers have the labels of their image on top of their own, so that one that somebody makes of
/// an image of ours looks like ours but for this.
const KIND: &str = "autoclave.kind";
const OF_CONTAINERS: &str = "container";
/// What is said of every image of ours, as in a Dockerfile.
pub const IMAGE_LABEL: &str = "LABEL autoclave.kind=image";

/// Returns the labels of a container.
pub fn of_container(labels: &HashMap<String, String>) -> HashMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(KIND.to_owned(), OF_CONTAINERS.to_owned());
    labels
}

/// Whose a thing on the engine is: a state directory's, and a run's in it.
#[derive(Debug, Clone)]
pub struct Owner {
    folder: PathBuf,
    /// What tells the state directory from any other of any machine.
    state: String,
    is_alive: fn(&Path, &str) -> bool,
}

impl Owner {
    /// Returns the state directory `folder` as an owner; it gets a name when it has none yet.
    pub fn this(folder: &Path, is_alive: fn(&Path, &str) -> bool) -> Result<Self, SandboxError> {
        let path = folder.join(NAME);
        let failed = |cause| SandboxError::Io {
            action: "name the state directory in",
            path: path.clone(),
            cause,
        };
        let read = || fs::read_to_string(&path).map(|name| name.trim().to_owned());
        let state = match read() {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let name = uuid::Uuid::new_v4().simple().to_string();
                let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
                file.write_all(name.as_bytes()).map_err(failed)?;
                match file.persist_noclobber(&path) {
                    Ok(_) => name,
                    // Another process was faster.
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        read().map_err(failed)?
                    }
                    Err(error) => return Err(failed(error.error)),
                }
            }
            read => read.map_err(failed)?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            state,
            is_alive,
        })
    }

    /// Returns the labels that mark a thing as this owner's.
    pub fn labels(&self, run: &str) -> HashMap<String, String> {
        [(STATE, self.state.as_str()), (RUN, run)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// Says whether a thing with `labels` belongs to a run of this state that has ended.
    fn is_dead(&self, labels: &HashMap<String, String>) -> bool {
        let run = labels.get(RUN);
        labels.get(STATE) == Some(&self.state)
            && run.is_some_and(|run| !(self.is_alive)(&self.folder, run))
    }
}

/// Removes containers, images and volumes of `owner`'s state whose run has ended.
pub async fn sweep_dead(docker: &Docker, owner: &Owner) -> Result<(), SandboxError> {
    sweep(docker, owner, |labels| owner.is_dead(labels)).await
}

/// Removes every container, image and volume with the `labels` of one run.
pub async fn sweep_own(
    docker: &Docker,
    owner: &Owner,
    labels: &HashMap<String, String>,
) -> Result<(), SandboxError> {
    let is_own = |found: &HashMap<String, String>| {
        let mut labels = labels.iter();
        labels.all(|(name, value)| found.get(name) == Some(value))
    };
    sweep(docker, owner, is_own).await
}

async fn sweep(
    docker: &Docker,
    owner: &Owner,
    is_meant: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<(), SandboxError> {
    let of_state = HashMap::from([("label".to_owned(), vec![format!("{STATE}={}", owner.state)])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&of_state)
        .build();
    let listed = legible(|| docker.list_containers(Some(options.clone()))).await;
    let containers = listed.asking("list containers")?;
    let options = ListImagesOptionsBuilder::new()
        .all(true)
        .filters(&of_state)
        .build();
    let images = docker
        .list_images(Some(options))
        .await
        .asking("list images")?;
    let containers = containers
        .into_iter()
        .filter(|container| {
            container.labels.as_ref().is_some_and(|labels| {
                let is_ours = labels.get(KIND).is_some_and(|kind| kind == OF_CONTAINERS);
                is_ours && is_meant(labels)
            })
        })
        .filter_map(|container| container.id.map(Garbage::Container));
    let images = images
        .into_iter()
        .filter(|image| is_meant(&image.labels))
        .map(|image| Garbage::Image(image.id));
    let options = ListVolumesOptionsBuilder::new().filters(&of_state).build();
    let found = docker.list_volumes(Some(options)).await;
    let volumes = found.asking("list volumes")?.volumes.unwrap_or_default();
    let volumes = volumes
        .into_iter()
        .filter(|volume| is_meant(&volume.labels))
        .map(|volume| Garbage::Volume(volume.name));
    let left = remove(docker, containers.chain(images).chain(volumes).collect()).await;
    if !left.is_empty() {
        tracing::warn!(?left, "could not be removed from the engine");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_of_the_same_state_left_is_dead() {
        let is_alive: fn(&Path, &str) -> bool = |_, run| run == "living";
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner = Owner::this(here.path(), is_alive).unwrap();
        assert!(!owner.is_dead(&owner.labels("living")));
        assert!(owner.is_dead(&owner.labels("dead")));
        let again = Owner::this(here.path(), is_alive).unwrap();
        assert!(again.is_dead(&owner.labels("dead")), "the name stays");
        let elsewhere = Owner::this(there.path(), is_alive).unwrap();
        assert!(!elsewhere.is_dead(&owner.labels("dead")), "another state");
        assert!(!owner.is_dead(&HashMap::new()), "not ours");
    }
}
