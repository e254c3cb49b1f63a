//! Which backend contains a marker's executions, and what it can enforce here.

use autoclave_policies::{Ability, HostCapabilities, PlanRequest};

use super::CampaignError;
use super::berth::Berth;
use super::host_view::{container_request, plan_request};
use super::workshop::HostFacts;
use crate::marker::{BackendChoice, Marker};
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
    let open = async || {
        let options = ContainerOptions {
            address: host.engine.resolve()?,
            image: marker.sandbox.image.clone(),
            state: host.state.clone(),
            run_label: berth.label().to_owned(),
        };
        ContainerSandbox::open(options).await
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
