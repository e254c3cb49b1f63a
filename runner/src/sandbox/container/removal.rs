//! Taking things of ours off the engine, and nothing else with them.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder};
use tracing::{Instrument, debug_span};

/// A thing of ours on the engine that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Garbage {
    Container(String),
    Image(String),
}

/// What became of a thing that was to be removed.
enum Removed {
    Gone,
    /// Something else still stands on it, or is removing it.
    InUse,
    /// The engine does not answer: nothing more is asked.
    Unknown(Error),
}

/// Removes containers, then images, each after those made from it; returns what is left.
pub async fn remove(docker: &Docker, garbage: Vec<Garbage>) -> Vec<Garbage> {
    // Containers first: an image that one of them stands on cannot go.
    let (containers, images): (Vec<_>, Vec<_>) = garbage
        .into_iter()
        .partition(|garbage| matches!(garbage, Garbage::Container(_)));
    let mut left: Vec<Garbage> = containers.into_iter().chain(images).collect();
    loop {
        let before = left.len();
        let mut in_use = Vec::new();
        let mut rest = left.into_iter();
        while let Some(garbage) = rest.next() {
            match remove_one(docker, &garbage).await {
                Removed::Gone => {}
                Removed::InUse => in_use.push(garbage),
                Removed::Unknown(error) => {
                    tracing::warn!(?garbage, %error, "could not remove from the engine");
                    in_use.push(garbage);
                    in_use.extend(rest);
                    return in_use;
                }
            }
        }
        left = in_use;
        if left.is_empty() || left.len() == before {
            return left;
        }
    }
}

async fn remove_one(docker: &Docker, garbage: &Garbage) -> Removed {
    let removed = match garbage {
        Garbage::Container(id) => {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
            let removal = docker.remove_container(id, Some(options.build()));
            removal.instrument(debug_span!("remove")).await
        }
        Garbage::Image(id) => {
            // Without `noprune` the images beneath go, too, where they have no name: down to the
            // one that the user named by its id. `force` would take others' containers away.
            let options = RemoveImageOptionsBuilder::new().noprune(true);
            let removed = docker.remove_image(id, Some(options.build()), None).await;
            removed.map(drop)
        }
    };
    match removed {
        Ok(())
        | Err(Error::DockerResponseServerError {
            status_code: 404, ..
        }) => Removed::Gone,
        Err(Error::DockerResponseServerError {
            status_code: 409, ..
        }) => Removed::InUse,
        Err(error) => Removed::Unknown(error),
    }
}
