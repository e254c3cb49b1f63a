//! Which backends contain a marker's executions, and what they can enforce here.

use autoclave_policies::{HostCapabilities, PlanRequest, Policy, Refusal, Tree, compile};

use super::CampaignError;
use super::bench::{Bench, ByRole};
use super::berth::{self, Berth};
use super::host_view::{container_request, plan_request};
use super::workshop::HostFacts;
use crate::marker::{BackendChoice, BackendKind, Marker, Protocol};
use crate::sandbox::container::{self, ContainerOptions, ContainerSandbox};
use crate::sandbox::process::{ProcessOptions, ProcessSandbox, probe};
use crate::sandbox::{Sandbox, SandboxError};

/// What benches are made for.
pub(super) struct Site<'a> {
    pub marker: &'a Marker,
    pub host: &'a HostFacts,
    pub berth: &'a Berth,
    pub policy: &'a Policy,
    /// The files of the base commit.
    pub tree: &'a Tree,
}

impl Site<'_> {
    /// Makes the bench of the agent, and one for measurements where the marker wants another
    /// backend for them.
    ///
    /// # Errors
    ///
    /// Those of [`choose`]; [`CampaignError::Refused`] when a backend cannot enforce the policy.
    pub async fn benches(&self) -> Result<ByRole<Bench>, CampaignError> {
        let spec = &self.marker.sandbox;
        let agent = self.bench(spec.backend).await?;
        let measure = match spec.measure {
            Some(kind) if kind != agent.kind => Some(self.bench(kind.into()).await?),
            Some(_) | None => None,
        };
        Ok(ByRole::new(agent, measure))
    }

    async fn bench(&self, choice: BackendChoice) -> Result<Bench, CampaignError> {
        let Chosen {
            backend,
            capabilities,
            request,
            why,
        } = Box::pin(choose(choice, self.marker, self.host, self.berth)).await?;
        let (kind, image) = match &backend {
            Backend::Process => (BackendKind::Process, None),
            Backend::Container(sandbox) => (BackendKind::Container, Some(sandbox.image().clone())),
        };
        let plan =
            compile(self.policy, self.tree, &capabilities, &request).map_err(|refusals| {
                let refusals = refusals.iter().map(told);
                CampaignError::Refused {
                    marker: self.marker.name.clone(),
                    refusals: match self.marker.sandbox.measure {
                        None => refusals.collect(),
                        Some(_) => refusals
                            .map(|refusal| format!("in the {} backend, {refusal}", kind.word()))
                            .collect(),
                    },
                }
            })?;
        let sandbox: Box<dyn Sandbox> = match backend {
            Backend::Container(sandbox) => Box::new(sandbox),
            Backend::Process => {
                let options = ProcessOptions {
                    state: self.host.state.clone(),
                    run_label: self.berth.label().to_owned(),
                    without: self.host.without.clone(),
                };
                Box::new(ProcessSandbox::new(&options)?)
            }
        };
        Ok(Bench {
            kind,
            sandbox,
            plan,
            image,
            chosen_because: why,
            limits_each_process: !capabilities.cgroup,
        })
    }
}

/// Says what cannot be enforced and what comes nearest.
fn told(refusal: &Refusal) -> String {
    match &refusal.nearest {
        Some(nearest) => format!("{refusal}; {nearest}"),
        None => refusal.to_string(),
    }
}

/// A backend before a plan is made for it.
enum Backend {
    Process,
    Container(ContainerSandbox),
}

/// A backend, what it can enforce, and what the marker asks of it.
struct Chosen {
    backend: Backend,
    capabilities: HostCapabilities,
    request: PlanRequest,
    /// Why `auto` chose it; a fragment for people.
    why: Option<String>,
}

/// Takes the backend of `choice`; `auto` is a container where an engine answers and has
/// the image, else a process.
///
/// # Errors
///
/// Those of the engine where the marker insists on it, and of what the marker asks to be shown.
async fn choose(
    choice: BackendChoice,
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
            is_alive: berth::is_alive,
        };
        let sandbox = ContainerSandbox::open(options).await?;
        refuse_unseen(marker, &sandbox).await?;
        Ok::<_, SandboxError>(sandbox)
    };
    let process = |why| {
        Ok(Chosen {
            backend: Backend::Process,
            capabilities: probe(&host.state, &berth.folder(), &host.without),
            request: plan_request(marker, host)?,
            why,
        })
    };
    let container = |sandbox, why| {
        Ok(Chosen {
            backend: Backend::Container(sandbox),
            capabilities: container::capabilities(),
            request: container_request(marker, host)?,
            why,
        })
    };
    match choice {
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
