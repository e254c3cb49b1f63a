//! The model's service as a campaign uses it: gateway, agent program, credential.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use autoclave_policies::View;

use super::CampaignError;
use super::workshop::HostFacts;
use crate::agent::{AgentProgram, locate, mounted};
use crate::gateway::{Credential, Gateway, GatewayOptions, Prices, TimeLimits, Upstream};
use crate::marker::{AgentSpec, BackendKind, Protocol};
use crate::model::Cost;
use crate::sandbox::Network;

/// Where the agent's requests go and with what credential.
#[derive(Debug)]
pub struct ModelService {
    pub credential: Credential,
    pub upstream: Upstream,
    pub prices: Prices,
    /// The file that the credential was read from; absolute and without links.
    pub credential_file: Option<PathBuf>,
}

impl ModelService {
    /// Refuses a credential file that lies in one of `seen`, or beside the system's programs: what
    /// sandboxes see.
    pub(super) fn refuse_visible<'p>(
        &self,
        seen: impl IntoIterator<Item = &'p Path>,
    ) -> Result<(), CampaignError> {
        let Some(file) = &self.credential_file else {
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
    gateway: Option<Gateway>,
    folder: PathBuf,
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
        let gateway = match service {
            None => None,
            Some(ModelService {
                credential,
                upstream,
                prices,
                ..
            }) => {
                fs::create_dir_all(&folder).map_err(|cause| CampaignError::Folder {
                    path: folder.clone(),
                    cause,
                })?;
                let options = GatewayOptions {
                    credential,
                    upstream,
                    folder: folder.clone(),
                    audit,
                    max_cost,
                    prices,
                    allow_server_tools: false,
                    limits: TimeLimits::default(),
                };
                Some(Gateway::start(options).await?)
            }
        };
        Ok(Self {
            program,
            gateway,
            folder,
        })
    }

    pub fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_ref()
    }

    pub fn network(&self) -> Network {
        match &self.gateway {
            Some(_) => Network::Gateway {
                folder: self.folder.clone(),
            },
            None => Network::None,
        }
    }

    pub fn env(&self) -> BTreeMap<String, String> {
        self.gateway
            .as_ref()
            .map(Gateway::sandbox_env)
            .unwrap_or_default()
    }

    pub fn views(&self) -> Vec<View> {
        self.program.view.iter().cloned().collect()
    }

    pub async fn close(self) {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
            if let Err(cause) = fs::remove_dir_all(&self.folder) {
                tracing::warn!(%cause, folder = %self.folder.display(), "could not remove");
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
            let service = ModelService {
                credential: Credential::new(CredentialKind::ApiKey, "k").unwrap(),
                upstream: Upstream::default(),
                prices: Prices::default(),
                credential_file: Some(file),
            };
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
