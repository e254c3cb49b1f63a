//! Removes what dead runs of this machine left on an engine.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};

use super::Asking;
use super::removal::{Garbage, remove};
use crate::sandbox::SandboxError;

/// Marks everything of ours; nothing without it is ever touched.
const STATE: &str = "autoclave.state";
const PROCESS: &str = "autoclave.process";
const RUN: &str = "autoclave.run";

/// Whose a thing on the engine is: a state directory of a machine, and a process of it.
#[derive(Debug, Clone)]
pub struct Owner {
    state: String,
    process: String,
}

impl Owner {
    /// Returns this process as an owner.
    pub fn this(state: &Path) -> Self {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Self {
            state: format!("{}:{}", machine.trim(), state.display()),
            process: process(std::process::id()).unwrap_or_default(),
        }
    }

    /// Returns the labels that mark a thing as this owner's.
    pub fn labels(&self, run: &str) -> HashMap<String, String> {
        [
            (STATE, self.state.as_str()),
            (PROCESS, &self.process),
            (RUN, run),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Says whether a thing with `labels` belongs to a process of this state that has ended.
    fn is_dead(&self, labels: &HashMap<String, String>) -> bool {
        let Some(process_label) = labels.get(PROCESS) else {
            return false;
        };
        let pid = process_label
            .split('@')
            .next()
            .and_then(|pid| pid.parse().ok());
        labels.get(STATE) == Some(&self.state)
            && pid.is_some_and(|pid| process(pid).as_ref() != Some(process_label))
    }
}

/// Returns what tells a process from any other that ever had its pid: pid, start, boot.
fn process(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; what follows its last parenthesis are numbers, see proc(5).
    let start = stat
        .rsplit(')')
        .next()?
        .split_whitespace()
        .nth(19)?
        .to_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{pid}@{start}@{}", boot.trim()))
}

/// Removes containers and images of `owner`'s state whose process has ended.
pub async fn sweep_dead(docker: &Docker, owner: &Owner) -> Result<(), SandboxError> {
    sweep(docker, owner, |labels| owner.is_dead(labels)).await
}

/// Removes every container and image with the `labels` of one run.
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
    let containers = docker
        .list_containers(Some(options))
        .await
        .asking("list containers")?;
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
        .filter(|container| container.labels.as_ref().is_some_and(&is_meant))
        .filter_map(|container| container.id.map(Garbage::Container));
    let images = images
        .into_iter()
        .filter(|image| is_meant(&image.labels))
        .map(|image| Garbage::Image(image.id));
    let left = remove(docker, containers.chain(images).collect()).await;
    if !left.is_empty() {
        tracing::warn!(?left, "could not be removed from the engine");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_process_of_the_same_state_left_is_dead() {
        let owner = Owner::this(Path::new("/state"));
        let labels = owner.labels("run");
        assert!(!owner.is_dead(&labels), "this process lives");
        let mut dead = labels.clone();
        dead.insert(
            PROCESS.into(),
            format!("{}@1@another-boot", std::process::id()),
        );
        assert!(owner.is_dead(&dead));
        let elsewhere = Owner::this(Path::new("/other"));
        assert!(!elsewhere.is_dead(&dead), "another state");
        assert!(!owner.is_dead(&HashMap::new()), "not ours");
    }
}
