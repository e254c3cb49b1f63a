//! Whether an engine sees the files of this machine.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bollard::models::{ContainerCreateBody, HostConfig};

use super::Shared;
use super::describe::read_only;
use super::held::Container;
use super::image::HELPER;
use crate::sandbox::SandboxError;

const NAME: &str = "seen";

/// Says whether a folder of this machine that is mounted into a container is the same there.
///
/// An engine on another machine, in a virtual machine, or outside of the container that this process
/// is in, either refuses the mount or shows another folder. A virtual machine may share some folders
/// with this one; then files are the same, but sockets lead nowhere: it has a kernel of its own.
pub async fn sees_files(shared: &Arc<Shared>) -> Result<bool, SandboxError> {
    if nix::sys::utsname::uname().is_ok_and(|ours| *ours.release() != *shared.kernel) {
        return Ok(false);
    }
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let folder = shared.folder.join("reach");
    let failed = |cause| SandboxError::Io {
        action: "write",
        path: folder.clone(),
        cause,
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(folder.join(NAME), &nonce).map_err(failed)?;
    let seen = match Container::create(shared, looking(shared, &folder)).await {
        Ok(container) => container.small_file(&format!("{TARGET}/{NAME}")).await?,
        Err(error) => {
            tracing::debug!(?error, "the engine does not mount a folder of this machine");
            Vec::new()
        }
    };
    fs::remove_dir_all(&folder).map_err(failed)?;
    Ok(seen == nonce.as_bytes())
}

const TARGET: &str = "/reach";

/// A container that is never started, with `folder` in it.
fn looking(shared: &Shared, folder: &Path) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(shared.base.used.id.clone()),
        entrypoint: Some(vec![HELPER.to_owned()]),
        network_disabled: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(vec![read_only(&autoclave_policies::View {
                source: folder.to_owned(),
                target: TARGET.into(),
            })]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
