//! The model's service as a campaign uses it: gateway, agent program, credential.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use autoclave_policies::View;

use super::CampaignError;
use super::workshop::HostFacts;
use crate::agent::{AgentProgram, locate};
use crate::gateway::{Credential, Gateway, GatewayOptions, Upstream};
use crate::marker::{AgentSpec, Protocol};
use crate::model::Cost;
use crate::sandbox::Network;

/// Where the agent's requests go and with what credential.
#[derive(Debug)]
pub struct ModelService {
    pub credential: Credential,
    pub upstream: Upstream,
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
        service: Option<ModelService>,
        max_cost: Option<Cost>,
        host: &HostFacts,
        files: GateFiles,
    ) -> Result<Self, CampaignError> {
        let command = agent.command.first().map_or("", String::as_str);
        let program = match agent.protocol {
            Protocol::ClaudeCode => locate(command, host.path.as_deref())?,
            // Found inside the sandbox, where it will run.
            Protocol::None => AgentProgram {
                host: PathBuf::from(command),
                view: None,
                inside: PathBuf::from(command),
            },
        };
        if service.is_none() && agent.protocol == Protocol::ClaudeCode {
            return Err(CampaignError::Unauthorized("there is no credential".into()));
        }
        let GateFiles { folder, audit } = files;
        let gateway = match service {
            None => None,
            Some(ModelService {
                credential,
                upstream,
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
                    allow_server_tools: false,
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
