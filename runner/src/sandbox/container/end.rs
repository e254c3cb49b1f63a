//! How a container ended, as its engine tells it.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{InspectContainerOptions, WaitContainerOptions};
use futures::StreamExt;
use tracing::{Instrument, debug_span};

use super::legible::legible;
use super::{Asking, Shared, broken};
use crate::sandbox::{Exit, SandboxError};

/// How long a container that was killed, or whose helper has said goodbye, may take to end.
const SURE: Duration = Duration::from_secs(60);
/// How long one may take whose output just ended without a goodbye: either it ends in the same
/// moment, or it goes on and the engine broke its output off.
const DOUBTFUL: Duration = Duration::from_secs(10);
/// What a shell and an engine say of something that SIGKILL ended.
const KILLED: i64 = 128 + nix::libc::SIGKILL as i64;

/// What the engine says of a container that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub code: i64,
    pub is_out_of_memory: bool,
}

/// Waits until the container has ended. `is_told`: it has said goodbye, or was killed by us.
///
/// # Errors
///
/// [`SandboxError::Engine`] when it runs on, or the engine does not know.
pub async fn wait(shared: &Shared, container: &str, is_told: bool) -> Result<Ended, SandboxError> {
    let mut waiting = Box::pin(
        shared
            .docker
            .wait_container(container, None::<WaitContainerOptions>),
    );
    let patience = if is_told { SURE } else { DOUBTFUL };
    let span = debug_span!("wait");
    match tokio::time::timeout(patience, waiting.next())
        .instrument(span)
        .await
    {
        Err(_) if is_told => return Err(broken("end a container", "it runs on")),
        Err(_) => {
            let why = "the engine broke it off before its end";
            return Err(broken("read a container's output", why));
        }
        // A code other than 0 comes as an error.
        Ok(Some(Err(Error::DockerContainerWaitError { .. }) | Ok(_)) | None) => {}
        Ok(Some(Err(cause))) => return Err(cause).asking("wait for a container"),
    }
    // Only now: the engine learns of the kernel's kill with the end, not before.
    let found = legible(|| {
        let options = None::<InspectContainerOptions>;
        shared.docker.inspect_container(container, options)
    });
    let state = found.await.asking("look at a container")?.state;
    let state = state.unwrap_or_default();
    if state.running == Some(true) {
        let why = "the engine broke it off before its end";
        return Err(broken("read a container's output", why));
    }
    Ok(Ended {
        code: state.exit_code.unwrap_or_default(),
        is_out_of_memory: state.oom_killed == Some(true),
    })
}

/// Says whether only the engine knows if the memory limit ended a command so.
pub fn may_be_out_of_memory(exit: Exit) -> bool {
    match exit {
        Exit::Signal(signal) => signal == nix::libc::SIGKILL,
        Exit::Code(code) => i64::from(code) == KILLED,
        Exit::TimedOut | Exit::Cancelled | Exit::OutOfMemory | Exit::NotStarted { .. } => false,
    }
}

/// Returns how the command ended. `told` is what the helper said of it, or why it was killed;
/// `None` where neither is known: then the container itself was killed.
///
/// # Errors
///
/// [`SandboxError::Engine`] when somebody other than the kernel and this run killed it: that is
/// nothing the command did.
pub fn exit(told: Option<Exit>, ended: &Ended) -> Result<Exit, SandboxError> {
    match told {
        // As on the process backend: only what the limit killed is out of memory.
        Some(exit) if may_be_out_of_memory(exit) && ended.is_out_of_memory => Ok(Exit::OutOfMemory),
        Some(exit) => Ok(exit),
        None if ended.is_out_of_memory => Ok(Exit::OutOfMemory),
        // The helper itself ended well, and nothing is known of what it said.
        None if ended.code == 0 => Err(broken(
            "read a container's output",
            "the engine lost a part of it",
        )),
        None => Err(broken(
            "run a command to its end",
            &format!(
                "its container was ended from outside, with code {}",
                ended.code
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i64, is_out_of_memory: bool) -> Ended {
        Ended {
            code,
            is_out_of_memory,
        }
    }

    #[test]
    fn out_of_memory_is_only_what_the_limit_killed() {
        for (told, of_engine, expected) in [
            (Some(Exit::Code(0)), ended(0, true), Exit::Code(0)),
            (Some(Exit::Code(3)), ended(0, true), Exit::Code(3)),
            (Some(Exit::Code(137)), ended(0, true), Exit::OutOfMemory),
            (Some(Exit::Signal(9)), ended(0, true), Exit::OutOfMemory),
            (Some(Exit::Signal(9)), ended(0, false), Exit::Signal(9)),
            (Some(Exit::TimedOut), ended(137, true), Exit::TimedOut),
            (None, ended(137, true), Exit::OutOfMemory),
        ] {
            assert_eq!(exit(told, &of_engine).unwrap(), expected, "{told:?}");
        }
    }

    #[test]
    fn a_container_that_somebody_else_killed_is_no_end_of_its_command() {
        let error = exit(None, &ended(137, false)).unwrap_err();
        assert!(error.is_fault());
        assert_eq!(error.to_string(), "could not run a command to its end");
    }
}
