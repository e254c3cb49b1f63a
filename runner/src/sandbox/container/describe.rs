//! What the engine is to put in force around one command.

use std::collections::HashMap;
use std::path::Path;

use autoclave_policies::View;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};

use super::Shared;
use super::image::HELPER;
use super::snapshot::Frozen;
use super::way::WayOut;
use crate::sandbox::{Execution, GATEWAY_SOCKET, Network, OPEN_FILES, WORKSPACE};

/// Describes the container of `execution`, whose command is the helper.
pub fn describe(
    shared: &Shared,
    frozen: &Frozen,
    execution: &Execution<'_>,
    way: &WayOut,
    (uid, gid): (u32, u32),
) -> ContainerCreateBody {
    let limits = &execution.plan.limits;
    let network = match execution.network {
        Network::None | Network::Gateway { .. } => "none",
        Network::Host => "host",
    };
    let mut mounts: Vec<Mount> = execution
        .plan
        .views
        .iter()
        .chain(&execution.views)
        .map(read_only)
        .collect();
    match way {
        WayOut::None => {}
        WayOut::Folder(folder) => mounts.push(read_only(&View {
            source: folder.clone(),
            target: Path::new(GATEWAY_SOCKET).with_file_name(""),
        })),
        WayOut::Relay(relay) => mounts.push(relay.mount()),
    }
    let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let nano_cpus = (limits.cpus * 1e9) as i64;
    let temporary = format!("rw,nosuid,nodev,size={},mode=1777", limits.disk_bytes);
    let host_config = HostConfig {
        network_mode: Some(network.to_owned()),
        mounts: Some(mounts),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus),
        pids_limit: Some(i64::from(limits.pids)),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), temporary)])),
        ..confined(shared)
    };
    ContainerCreateBody {
        image: Some(frozen.image.id.clone()),
        user: Some(format!("{uid}:{gid}")),
        hostname: Some("autoclave".to_owned()),
        entrypoint: Some(vec![HELPER.to_owned()]),
        cmd: Some(vec!["contained".to_owned()]),
        working_dir: Some(WORKSPACE.to_owned()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

/// What every container of ours is kept from.
pub fn confined(shared: &Shared) -> HostConfig {
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec![
            "no-new-privileges".to_owned(),
            format!("seccomp={}", shared.seccomp),
        ]),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        ulimits: Some(vec![
            ulimit("core", 0),
            ulimit("nofile", OPEN_FILES.into()),
            ulimit("nproc", 4096),
        ]),
        init: Some(false),
        ..HostConfig::default()
    }
}

fn ulimit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    }
}

/// Returns a mount of a folder or file of this machine.
pub fn read_only(view: &View) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(view.source.to_string_lossy().into_owned()),
        target: Some(view.target.to_string_lossy().into_owned()),
        read_only: Some(true),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}
