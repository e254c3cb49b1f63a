//! One execution: from its description to its proof to its end.

use std::sync::Arc;
use std::time::Duration;

use autoclave_policies::Identity;
use bollard::container::AttachContainerResults;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions,
};
use tracing::{Instrument, debug_span};

use super::describe::describe;
use super::held::Container;
use super::input::{contained, feed};
use super::remains::ContainerRemains;
use super::snapshot::Frozen;
use super::watch::Watch;
use super::{Asking, Shared};
use crate::sandbox::{Execution, Exit, Finished, OutputSink, SandboxError};

/// Runs `execution` in a container of its own.
///
/// What was thrown away before is removed while the container starts. The command begins only when
/// both are done: nothing of ours has the engine busy beside a command.
pub async fn run(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    execution: Execution<'_>,
    output: &mut dyn OutputSink,
) -> Result<Finished, SandboxError> {
    let Identity::SecondUid { uid, gid } = execution.plan.identity else {
        return Err(SandboxError::CannotEnforce {
            rule: "identity".to_owned(),
            why: "a container's command has a uid of its own".to_owned(),
        });
    };
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let body = describe(shared, frozen, &execution, (uid, gid));
    let (started, ()) = tokio::join!(start(shared, body), shared.take_out());
    let (container, attached) = started?;
    let contained = contained(&nonce, shared, frozen, &execution);
    let mut watch = Watch::new(shared, &container.id, &execution, (uid, gid), &nonce);
    let feeding = feed(attached.input, &contained, frozen, &execution.stdin);
    watch.until_gone(attached.output, feeding, output).await?;
    let (exit, wall) = match (watch.wall(), watch.killed) {
        (Some(wall), _) => (how_it_ended(shared, &container, &watch).await?, wall),
        // Killed before it could begin.
        (None, Some(killed)) => (killed, Duration::ZERO),
        (None, None) => {
            return Err(SandboxError::NotProven(
                last_word(shared, &container.id).await,
            ));
        }
    };
    if !watch.is_gone {
        container.ended().await?;
    }
    Ok(Finished {
        exit,
        wall,
        cpu: watch.cpu,
        remains: Box::new(ContainerRemains {
            container,
            frozen: frozen.clone(),
            plan: execution.plan.clone(),
            shared: Arc::clone(shared),
        }),
    })
}

/// Creates a container, attaches to it, and starts it: the helper then waits for its input.
async fn start(
    shared: &Arc<Shared>,
    body: ContainerCreateBody,
) -> Result<(Container, AttachContainerResults), SandboxError> {
    let container = Container::create(shared, body)
        .instrument(debug_span!("create"))
        .await?;
    let docker = &shared.docker;
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = docker
        .attach_container(&container.id, Some(options))
        .instrument(debug_span!("attach"))
        .await
        .asking("attach to a container")?;
    docker
        .start_container(&container.id, None::<StartContainerOptions>)
        .instrument(debug_span!("start"))
        .await
        .asking("start a container")?;
    Ok((container, attached))
}

/// Returns how a command that was started ended. Only of one that failed the engine is asked.
async fn how_it_ended(
    shared: &Shared,
    container: &Container,
    watch: &Watch<'_>,
) -> Result<Exit, SandboxError> {
    match watch.exit.or(watch.killed) {
        Some(
            exit @ (Exit::Code(0) | Exit::TimedOut | Exit::Cancelled | Exit::NotStarted { .. }),
        ) => Ok(exit),
        ended => {
            // It knows what happened when it knows that the container has ended.
            container.ended().await?;
            if is_out_of_memory(shared, &container.id).await? {
                Ok(Exit::OutOfMemory)
            } else {
                Ok(ended.unwrap_or(Exit::Signal(nix::libc::SIGKILL)))
            }
        }
    }
}

async fn is_out_of_memory(shared: &Shared, container: &str) -> Result<bool, SandboxError> {
    let options = None::<InspectContainerOptions>;
    let found = shared.docker.inspect_container(container, options).await;
    let state = found.asking("look at a container")?.state;
    Ok(state.and_then(|state| state.oom_killed) == Some(true))
}

/// Says why a container ended without proof, as far as the engine knows.
async fn last_word(shared: &Shared, container: &str) -> String {
    let options = None::<InspectContainerOptions>;
    let found = shared.docker.inspect_container(container, options).await;
    let state = found.ok().and_then(|found| found.state);
    let code = state
        .as_ref()
        .and_then(|state| state.exit_code)
        .unwrap_or_default();
    let error = state.and_then(|state| state.error).unwrap_or_default();
    format!("the container ended with {code} before its proof {error}")
        .trim()
        .to_owned()
}
