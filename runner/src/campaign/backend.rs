//! Which backend contains a marker's executions, and what it can enforce here.

use autoclave_policies::{Ability, HostCapabilities, PlanRequest};

use super::CampaignError;
use super::berth::{self, Berth};
use super::host_view::{container_request, plan_request};
use super::workshop::HostFacts;
use crate::marker::{BackendChoice, Marker, Protocol};
use crate::sandbox::SandboxError;
use crate::sandbox::container::{ContainerOptions, ContainerSandbox};
use crate::sandbox::process::probe;

/// The uid and gid of a container's command: of no account of any host or image.
const CONTAINER_UID: u32 = 64_501;

/// A backend before a plan is made for it.
pub(super) enum Backend {
    Process,
    Container(ContainerSandbox),
}

/// A backend, what it can enforce, and what the marker asks of it.
pub(super) struct Chosen {
    pub backend: Backend,
    pub capabilities: HostCapabilities,
    pub request: PlanRequest,
    /// Why `auto` chose it; a fragment for people.
    pub why: Option<String>,
}

/// Takes the backend that the marker names; `auto` is a container where an engine answers and has
/// the image, else a process.
///
/// # Errors
///
/// Those of the engine where the marker insists on it, and of what the marker asks to be shown.
pub(super) async fn choose(
    marker: &Marker,
    host: &HostFacts,
    berth: &Berth,
) -> Result<Chosen, CampaignError> {
    let options = ContainerOptions {
        address: host.engine.clone(),
        image: marker.sandbox.image.clone(),
        state: host.state.clone(),
        run_label: berth.label().to_owned(),
        is_alive: berth::is_alive,
    };
    let process = |why| {
        Ok(Chosen {
            backend: Backend::Process,
            capabilities: probe(&berth.folder(), &host.without),
            request: plan_request(marker, host)?,
            why,
        })
    };
    let container = |sandbox, why| {
        Ok(Chosen {
            backend: Backend::Container(sandbox),
            capabilities: of_an_engine(),
            request: container_request(marker, host)?,
            why,
        })
    };
    let open = async || {
        let sandbox = ContainerSandbox::open(options).await?;
        refuse_unseen(marker, &sandbox).await?;
        Ok::<_, SandboxError>(sandbox)
    };
    match marker.sandbox.backend {
        BackendChoice::Process => process(None),
        BackendChoice::Container => container(open().await?, None),
        BackendChoice::Auto => match open().await {
            Ok(sandbox) => {
                let why = "an engine answers and has the image".to_owned();
                container(sandbox, Some(why))
            }
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                process(Some(format!("{error}{cause}")))
            }
        },
    }
}

/// Refuses what would show a container files of this machine where the engine does not see them.
async fn refuse_unseen(marker: &Marker, sandbox: &ContainerSandbox) -> Result<(), SandboxError> {
    let rule = if !marker.sandbox.read.is_empty() {
        "sandbox.read"
    } else if marker.agent.from_host && marker.agent.protocol == Protocol::ClaudeCode {
        "agent.from_host"
    } else {
        return Ok(());
    };
    if sandbox.sees_files().await? {
        return Ok(());
    }
    Err(SandboxError::CannotEnforce {
        rule: rule.to_owned(),
        why: "the engine does not see the files of this machine; an image can hold them \
              (`sandbox.image`), or `sandbox.backend: process` is used"
            .to_owned(),
    })
}

/// What a container gives in place of what a host would: ownership by a uid of its own, and the
/// engine's namespaces, layers, filters and limits. An engine that lacks one was refused before.
fn of_an_engine() -> HostCapabilities {
    HostCapabilities {
        second_uid: Some((CONTAINER_UID, CONTAINER_UID)),
        namespaces: Ability::Works,
        overlay: Ability::Works,
        // Not used there: what is immutable belongs to root.
        landlock_abi: u32::MAX,
        seccomp: Ability::Works,
        cgroup: true,
    }
}
