//! The model's service as a campaign uses it: gateway, agent program, credential.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use autoclave_policies::View;

use super::CampaignError;
use super::workshop::HostFacts;
use crate::agent::{AgentProgram, locate, mounted};
use crate::gateway::{
    AuditTo, Credential, Gateway, GatewayOptions, Lease, Metered, Prices, TimeLimits, Upstream,
};
use crate::marker::{AgentSpec, BackendKind, Protocol};
use crate::model::Cost;
use crate::sandbox::Network;

/// Where the agent's requests go and with what credential.
#[derive(Debug)]
pub enum ModelService {
    /// Through a gateway of the run's own.
    Own(Box<OwnService>),
    /// Through a gateway that others run, and that has the credential; its control socket.
    Shared { control: PathBuf },
}

/// What a gateway of the run's own is started with.
#[derive(Debug)]
pub struct OwnService {
    pub credential: Credential,
    pub upstream: Upstream,
    pub prices: Prices,
    /// The file that the credential was read from; absolute and without links.
    pub credential_file: Option<PathBuf>,
}

impl ModelService {
    /// Returns the host that requests are passed on to, as far as this machine knows: a gateway of
    /// others is taken to pass them on to the usual one.
    pub fn model_host(&self) -> String {
        match self {
            Self::Own(service) => service.upstream.host(),
            Self::Shared { .. } => Upstream::default().host(),
        }
    }

    /// Refuses a credential file that lies in one of `seen`, or beside the system's programs: what
    /// sandboxes see.
    pub(super) fn refuse_visible<'p>(
        &self,
        seen: impl IntoIterator<Item = &'p Path>,
    ) -> Result<(), CampaignError> {
        let file = match self {
            Self::Own(service) => service.credential_file.as_ref(),
            Self::Shared { .. } => None,
        };
        let Some(file) = file else {
            return Ok(());
        };
        let visible = seen.into_iter().chain([Path::new("/usr")]).find(|seen| {
            // A path that cannot be resolved leads nowhere.
            file.starts_with(seen)
                || fs::canonicalize(seen).is_ok_and(|seen| file.starts_with(seen))
        });
        match visible {
            None => Ok(()),
            Some(seen) => Err(CampaignError::VisibleCredential {
                file: file.clone(),
                seen: seen.to_owned(),
            }),
        }
    }
}

/// What an agent's execution gets of the host: its program and its only way out.
pub(super) struct Gate {
    pub program: AgentProgram,
    way: WayOut,
}

/// How requests leave a sandbox.
enum WayOut {
    None,
    Own { gateway: Gateway, folder: PathBuf },
    Leased(Lease),
}

/// Where a gate keeps its files.
pub(super) struct GateFiles {
    /// Made for the gateway's socket. Socket paths are limited to 108 bytes (unix(7)).
    pub folder: PathBuf,
    pub audit: PathBuf,
}

impl Gate {
    /// Finds the agent and starts the gateway; without a service (allowed only for agents that
    /// speak no protocol) the agent has no network at all.
    pub async fn open(
        agent: &AgentSpec,
        backend: BackendKind,
        service: Option<ModelService>,
        max_cost: Option<Cost>,
        host: &HostFacts,
        files: GateFiles,
    ) -> Result<Self, CampaignError> {
        let command = agent.command.first().map_or("", String::as_str);
        let is_container = backend == BackendKind::Container;
        let program = match agent.protocol {
            Protocol::ClaudeCode if is_container && agent.from_host => {
                mounted(command, host.path.as_deref())?
            }
            Protocol::ClaudeCode if !is_container => locate(command, host.path.as_deref())?,
            // Found inside the sandbox, where it will run.
            Protocol::ClaudeCode | Protocol::None => AgentProgram {
                host: PathBuf::from(command),
                view: None,
                inside: PathBuf::from(command),
            },
        };
        if let Some(service) = &service {
            service.refuse_visible(program.view.iter().map(|view| view.source.as_path()))?;
        }
        if service.is_none() && agent.protocol == Protocol::ClaudeCode {
            return Err(CampaignError::Unauthorized("there is no credential".into()));
        }
        let GateFiles { folder, audit } = files;
        let way = match service {
            None => WayOut::None,
            Some(ModelService::Shared { control }) => {
                WayOut::Leased(Lease::open(&control, max_cost, &audit).await?)
            }
            Some(ModelService::Own(service)) => {
                fs::create_dir_all(&folder).map_err(|cause| CampaignError::Folder {
                    path: folder.clone(),
                    cause,
                })?;
                let gateway = Gateway::start(GatewayOptions {
                    credential: service.credential,
                    upstream: service.upstream,
                    folder: folder.clone(),
                    audit: AuditTo::File(audit),
                    max_cost,
                    prices: service.prices,
                    allow_server_tools: false,
                    limits: TimeLimits::default(),
                });
                let gateway = gateway.await?;
                WayOut::Own { gateway, folder }
            }
        };
        Ok(Self { program, way })
    }

    /// Returns what requests came to until now; `None` without a gateway.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Gateway`] when a gateway of others is gone.
    pub async fn metered(&self) -> Result<Option<Metered>, CampaignError> {
        match &self.way {
            WayOut::None => Ok(None),
            WayOut::Own { gateway, .. } => Ok(Some(gateway.metered())),
            WayOut::Leased(lease) => Ok(Some(lease.metered().await?)),
        }
    }

    pub fn network(&self) -> Network {
        let folder = match &self.way {
            WayOut::None => return Network::None,
            WayOut::Own { folder, .. } => folder.clone(),
            WayOut::Leased(lease) => lease.folder(),
        };
        Network::Gateway { folder }
    }

    pub fn env(&self) -> BTreeMap<String, String> {
        match &self.way {
            WayOut::None => BTreeMap::new(),
            WayOut::Own { gateway, .. } => gateway.sandbox_env(),
            WayOut::Leased(lease) => lease.sandbox_env(),
        }
    }

    pub fn views(&self) -> Vec<View> {
        self.program.view.iter().cloned().collect()
    }

    pub async fn close(self) {
        match self.way {
            WayOut::None => {}
            WayOut::Own { gateway, folder } => {
                gateway.stop().await;
                if let Err(cause) = fs::remove_dir_all(&folder) {
                    tracing::warn!(%cause, folder = %folder.display(), "could not remove");
                }
            }
            WayOut::Leased(lease) => {
                if let Err(error) = lease.close().await {
                    tracing::warn!(%error, "the gateway's audit lines are not complete");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::CredentialKind;

    #[test]
    fn credential_file_that_a_sandbox_would_see_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in ["read", "keys"] {
            fs::create_dir(home.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("keys", home.join("link")).unwrap();
        let refused = |file: PathBuf, seen: &str| {
            let service = ModelService::Own(Box::new(OwnService {
                credential: Credential::new(CredentialKind::ApiKey, "k").unwrap(),
                upstream: Upstream::default(),
                prices: Prices::default(),
                credential_file: Some(file),
            }));
            match service.refuse_visible([home.join(seen).as_path()]) {
                Err(CampaignError::VisibleCredential { seen, .. }) => Some(seen),
                Err(other) => panic!("{other}"),
                Ok(()) => None,
            }
        };
        let key = home.join("keys/key");
        assert_eq!(refused(key.clone(), "read"), None);
        assert_eq!(refused(key.clone(), "ke"), None);
        for seen in ["keys", "link", "keys/key"] {
            assert_eq!(refused(key.clone(), seen), Some(home.join(seen)));
        }
        let system = PathBuf::from("/usr");
        assert_eq!(refused(system.join("share/key"), "read"), Some(system));
    }
}
