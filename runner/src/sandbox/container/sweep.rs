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
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::Asking;
use crate::sandbox::SandboxError;

/// Marks everything of ours; nothing without it is ever touched.
const STATE: &str = "autoclave.state";
const RUN: &str = "autoclave.run";
/// The file that names a state directory.
const NAME: &str = "engine-name";

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
pub async fn sweep(docker: &Docker, owner: &Owner) -> Result<(), SandboxError> {
    let mine = HashMap::from([("label".to_owned(), vec![format!("{STATE}={}", owner.state)])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&mine)
        .build();
    let containers = docker
        .list_containers(Some(options))
        .await
        .asking("list containers")?;
    for container in containers {
        let labels = container.labels.unwrap_or_default();
        if let Some(id) = container.id.filter(|_| owner.is_dead(&labels)) {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            docker
                .remove_container(&id, Some(options))
                .await
                .asking("remove a dead run's container")?;
        }
    }
    let options = ListImagesOptionsBuilder::new()
        .all(true)
        .filters(&mine)
        .build();
    let images = docker
        .list_images(Some(options))
        .await
        .asking("list images")?;
    for image in images {
        if owner.is_dead(&image.labels) {
            let options = RemoveImageOptionsBuilder::new().force(true).build();
            let removed = docker.remove_image(&image.id, Some(options), None).await;
            match removed {
                // A newer image of the same dead run stands on it, or it went with one.
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404 | 409,
                    ..
                }) => {}
                removed => drop(removed.asking("remove a dead run's image")?),
            }
        }
    }
    let options = ListVolumesOptionsBuilder::new().filters(&mine).build();
    let found = docker.list_volumes(Some(options)).await;
    for volume in found.asking("list volumes")?.volumes.unwrap_or_default() {
        if owner.is_dead(&volume.labels) {
            let options = RemoveVolumeOptionsBuilder::new().force(true).build();
            let removed = docker.remove_volume(&volume.name, Some(options)).await;
            removed.asking("remove a dead run's volume")?;
        }
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
