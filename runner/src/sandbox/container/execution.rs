//! One execution: from its description to its proof to its end.

use std::sync::Arc;

use autoclave_policies::Identity;
use bollard::container::AttachContainerResults;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::StartContainerOptions;
use tokio::sync::oneshot;
use tracing::{Instrument, debug_span};

use super::describe::describe;
use super::end;
use super::held::Container;
use super::input::{contained, feed};
use super::remains::ContainerRemains;
use super::snapshot::Frozen;
use super::watch::Watch;
use super::way::{WayOut, way_out};
use super::{Asking, Shared, broken};
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
    let way = way_out(shared, frozen, &execution).await?;
    let body = describe(shared, frozen, &execution, &way, (uid, gid));
    let (started, ()) = tokio::join!(start(shared, body), shared.take_out());
    let (container, attached) = started?;
    let contained = contained(&nonce, shared, frozen, &execution)?;
    let (start, started) = oneshot::channel();
    let mut watch = Watch::new(shared, &container.id, &execution, (uid, gid), &nonce, start);
    let feeding = feed(
        attached.input,
        &contained,
        frozen,
        started,
        &execution.stdin,
    );
    watch.until_gone(attached.output, feeding, output).await?;
    if let WayOut::Relay(relay) = way {
        relay.stop().await?;
    }
    if watch.was_disk_full {
        return Err(broken("run a command", "the engine's disk is full"));
    }
    let exit = how_it_ended(shared, &container, &watch).await?;
    Ok(Finished {
        exit,
        wall: watch.wall().unwrap_or_default(),
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
    let attached = container
        .attach()
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

/// Returns how the command ended. The engine is only asked where the helper's word does not suffice.
async fn how_it_ended(
    shared: &Shared,
    container: &Container,
    watch: &Watch<'_>,
) -> Result<Exit, SandboxError> {
    let told = watch.told();
    match told {
        // Podman may not have noticed; the helper, where it lives, has.
        Some(exit) if watch.is_out_of_memory && end::may_be_out_of_memory(exit) => {
            Ok(Exit::OutOfMemory)
        }
        Some(exit) if watch.is_whole() && !end::may_be_out_of_memory(exit) => Ok(exit),
        told => {
            let state = end::wait(shared, &container.id, told.is_some()).await?;
            if told.is_none() && watch.wall().is_none() {
                let why = format!("it ended with code {}", state.code);
                return Err(broken("hear a container's proof", &why));
            }
            end::exit(told, &state)
        }
    }
}
