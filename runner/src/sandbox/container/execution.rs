//! One execution: from its description to its proof to its end.

use std::sync::Arc;
use std::time::Duration;

use autoclave_policies::Identity;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions,
    WaitContainerOptions,
};
use futures::StreamExt;

use super::describe::describe;
use super::held::Container;
use super::input::{contained, feed};
use super::remains::ContainerRemains;
use super::snapshot::Frozen;
use super::status::StatusSplitter;
use super::watch::{PATIENCE, Watch};
use super::{Asking, Shared};
use crate::sandbox::{Execution, Exit, Finished, OutputSink, SandboxError};

/// Runs `execution` in a container of its own.
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
    let container =
        Container::create(shared, describe(shared, frozen, &execution, (uid, gid))).await?;
    let docker = &shared.docker;
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = docker
        .attach_container(&container.id, Some(options))
        .await
        .asking("attach to a container")?;
    docker
        .start_container(&container.id, None::<StartContainerOptions>)
        .await
        .asking("start a container")?;
    let contained = contained(&nonce, shared, frozen, &execution);
    let mut watch = Watch {
        shared,
        container: &container.id,
        execution: &execution,
        identity: (uid, gid),
        splitter: StatusSplitter::new(&nonce),
        started: None,
        exit: None,
        killed: None,
    };
    let feeding = feed(attached.input, &contained, frozen, &execution.stdin);
    watch.until_gone(attached.output, feeding, output).await?;
    let Some(started) = watch.started else {
        if let Some(exit) = watch.killed {
            return Ok(finished(
                shared,
                frozen,
                execution.plan,
                container,
                exit,
                Duration::ZERO,
            ));
        }
        let why = last_word(shared, &container.id).await;
        return Err(SandboxError::NotProven(why));
    };
    let wall = started.elapsed();
    let ended = watch.exit.or(watch.killed);
    let exit = match ended {
        Some(
            exit @ (Exit::Code(0) | Exit::TimedOut | Exit::Cancelled | Exit::NotStarted { .. }),
        ) => exit,
        ended => {
            if is_out_of_memory(shared, &container.id).await? {
                Exit::OutOfMemory
            } else {
                ended.unwrap_or(Exit::Signal(nix::libc::SIGKILL))
            }
        }
    };
    wait(shared, &container.id).await?;
    Ok(finished(
        shared,
        frozen,
        execution.plan,
        container,
        exit,
        wall,
    ))
}

fn finished(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    plan: &autoclave_policies::Plan,
    container: Container,
    exit: Exit,
    wall: Duration,
) -> Finished {
    Finished {
        exit,
        wall,
        cpu: Duration::ZERO,
        remains: Box::new(ContainerRemains {
            container,
            frozen: frozen.clone(),
            plan: plan.clone(),
            shared: Arc::clone(shared),
        }),
    }
}

/// Waits until the engine says that the container has ended.
async fn wait(shared: &Shared, container: &str) -> Result<(), SandboxError> {
    let mut waiting = Box::pin(
        shared
            .docker
            .wait_container(container, None::<WaitContainerOptions>),
    );
    match tokio::time::timeout(PATIENCE, waiting.next()).await {
        Err(_) => Err(SandboxError::Backend(
            "a killed container does not end".to_owned(),
        )),
        // A code other than 0 comes as an error; the helper has told what matters.
        Ok(Some(Err(bollard::errors::Error::DockerContainerWaitError { .. }) | Ok(_)) | None) => {
            Ok(())
        }
        Ok(Some(Err(cause))) => Err(cause).asking("wait for a container"),
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
