//! Images: the one that is asked for, and a run's first snapshot.

use std::io;
use std::sync::Arc;

use autoclave_policies::{Grant, Identity, Plan};
use bollard::Docker;

use super::held::{Container, Image};
use super::pack::Packer;
use super::{Asking, Shared};
use crate::model::{FileKind, SnapshotEntry};
use crate::sandbox::batch::Entries;
use crate::sandbox::process::helper;
use crate::sandbox::{GATEWAY_SOCKET, SandboxError};

/// Where the helper is in every snapshot: root's, so that no command can change it.
pub const HELPER: &str = "/usr/lib/autoclave/enter";

/// The image that workspaces are put on.
#[derive(Debug)]
pub struct BaseImage {
    /// As the user names it.
    pub name: String,
    /// By digest, so that a tag that moves changes nothing.
    pub id: String,
    /// `NAME=value`.
    pub env: Vec<String>,
}

impl BaseImage {
    /// Finds an image on the engine.
    pub async fn find(docker: &Docker, name: &str) -> Result<Self, SandboxError> {
        let found = match docker.inspect_image(name).await {
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {
                return Err(SandboxError::CannotEnforce {
                    rule: "sandbox.image".to_owned(),
                    why: format!("the engine has no image `{name}`"),
                });
            }
            found => found.asking("look at the image")?,
        };
        let id = found.id.ok_or_else(|| SandboxError::CannotEnforce {
            rule: "sandbox.image".to_owned(),
            why: format!("the engine names no id of `{name}`"),
        })?;
        let env = found.config.and_then(|config| config.env);
        Ok(Self {
            name: name.to_owned(),
            id,
            env: env.unwrap_or_default(),
        })
    }

    /// Checks that it is still there.
    async fn check(&self, docker: &Docker) -> Result<(), SandboxError> {
        match Self::find(docker, &self.id).await {
            Err(SandboxError::CannotEnforce { rule, .. }) => {
                let name = &self.name;
                let why = format!("the engine no longer has the image `{name}` of the run");
                Err(SandboxError::CannotEnforce { rule, why })
            }
            found => found.map(drop),
        }
    }
}

/// Puts a workspace, a home and the helper onto the base image.
pub async fn import(
    shared: &Arc<Shared>,
    entries: &mut Entries<'_>,
    plan: &Plan,
) -> Result<Image, SandboxError> {
    let container = match Container::still(shared, &shared.base.id).await {
        Err(error) if error.is_fault() => {
            // Whether it is the image that is gone, the engine says itself.
            shared.base.check(&shared.docker).await?;
            return Err(error);
        }
        made => made?,
    };
    let accounts = Accounts {
        passwd: container.small_file("/etc/passwd").await?,
        group: container.small_file("/etc/group").await?,
    };
    let packer = first(&accounts, plan).map_err(|cause| SandboxError::Entries(cause.into()))?;
    let created = plan.grants.iter().filter_map(|grant| match grant {
        Grant::Tree {
            path,
            created: true,
        } => Some(Ok(SnapshotEntry {
            path: path.clone(),
            kind: FileKind::Directory,
        })),
        Grant::Tree { .. } | Grant::File { .. } | Grant::Open { .. } => None,
    });
    container.fill(packer, &mut entries.chain(created)).await?;
    container.commit().await
}

/// Packs what every snapshot has, whatever is in the repository.
fn first(accounts: &Accounts, plan: &Plan) -> io::Result<Packer> {
    let mut packer = Packer::new(plan);
    packer.roots()?;
    accounts.pack(&mut packer, plan)?;
    packer.system_directory(GATEWAY_SOCKET.trim_end_matches("/gateway.sock"))?;
    packer.system_file(HELPER, 0o755, helper::BYTES)?;
    Ok(packer)
}

/// The user database of the image: programs expect to find their own uid there.
struct Accounts {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

impl Accounts {
    fn pack(&self, packer: &mut Packer, plan: &Plan) -> io::Result<()> {
        let Identity::SecondUid { uid, gid } = plan.identity else {
            return Ok(());
        };
        let with = |text: &[u8], line: String| [text, line.as_bytes()].concat();
        let user = format!(
            "agent:x:{uid}:{gid}:agent:{}:/bin/sh\n",
            crate::sandbox::HOME
        );
        packer.system_file("/etc/passwd", 0o644, &with(&self.passwd, user))?;
        packer.system_file(
            "/etc/group",
            0o644,
            &with(&self.group, format!("agent:x:{gid}:\n")),
        )
    }
}
