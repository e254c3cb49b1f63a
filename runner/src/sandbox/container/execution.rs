//! One execution: from its description to its proof to its end.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoclave_enter::{Contained, Status, Write, WriteKind};
use autoclave_policies::{Identity, View};
use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use futures::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant as Deadline, sleep_until};

use super::image::{Container, HELPER};
use super::relay::Relay;
use super::remains::ContainerRemains;
use super::snapshot::Frozen;
use super::status::{Piece, StatusSplitter, parse};
use super::{Asking, Shared, proof};
use crate::model::FileKind;
use crate::sandbox::{
    Execution, Exit, Finished, GATEWAY_SOCKET, Network, OWN_ENV, OutputSink, SandboxError,
    Stream as Of, WORKSPACE,
};

/// How long a container may take from its start to its proof, or from its end to the last word.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `execution` in a container of its own.
pub async fn run(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    execution: Execution<'_>,
    output: &mut dyn OutputSink,
) -> Result<Finished, SandboxError> {
    let Identity::SecondUid { uid, gid } = execution.plan.identity else {
        return Err(SandboxError::CannotEnforce {
            rule: "identity".to_owned(),
            why: "a container's command has a uid of its own".to_owned(),
        });
    };
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let way = way_out(shared, frozen, &execution).await?;
    let description = describe(shared, frozen, &execution, &way, (uid, gid));
    let container = Container::create(shared, description).await?;
    let docker = &shared.docker;
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = docker
        .attach_container(&container.id, Some(options))
        .await
        .asking("attach to a container")?;
    docker
        .start_container(&container.id, None::<StartContainerOptions>)
        .await
        .asking("start a container")?;
    let contained = contained(&nonce, shared, frozen, &execution);
    let mut watch = Watch {
        shared,
        container: &container.id,
        execution: &execution,
        identity: (uid, gid),
        splitter: StatusSplitter::new(&nonce),
        started: None,
        exit: None,
        killed: None,
    };
    let feeding = feed(attached.input, &contained, frozen, &execution.stdin);
    watch.until_gone(attached.output, feeding, output).await?;
    if let WayOut::Relay(relay) = way {
        relay.stop().await?;
    }
    let Some(started) = watch.started else {
        if let Some(exit) = watch.killed {
            return Ok(finished(
                shared,
                frozen,
                execution.plan,
                container,
                exit,
                Duration::ZERO,
            ));
        }
        let why = last_word(shared, &container.id).await;
        return Err(SandboxError::NotProven(why));
    };
    let wall = started.elapsed();
    let ended = watch.exit.or(watch.killed);
    let exit = match ended {
        Some(
            exit @ (Exit::Code(0) | Exit::TimedOut | Exit::Cancelled | Exit::NotStarted { .. }),
        ) => exit,
        ended => {
            if is_out_of_memory(shared, &container.id).await? {
                Exit::OutOfMemory
            } else {
                ended.unwrap_or(Exit::Signal(nix::libc::SIGKILL))
            }
        }
    };
    wait(shared, &container.id).await?;
    Ok(finished(
        shared,
        frozen,
        execution.plan,
        container,
        exit,
        wall,
    ))
}

fn finished(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    plan: &autoclave_policies::Plan,
    container: Container,
    exit: Exit,
    wall: Duration,
) -> Finished {
    Finished {
        exit,
        wall,
        cpu: Duration::ZERO,
        remains: Box::new(ContainerRemains {
            container,
            frozen: frozen.clone(),
            plan: plan.clone(),
            shared: Arc::clone(shared),
        }),
    }
}

/// How an execution gets to the gateway.
enum WayOut {
    None,
    Folder(PathBuf),
    Relay(Relay),
}

async fn way_out(
    shared: &Arc<Shared>,
    frozen: &Frozen,
    execution: &Execution<'_>,
) -> Result<WayOut, SandboxError> {
    let has_views = !execution.plan.views.is_empty() || !execution.views.is_empty();
    let Network::Gateway { folder } = &execution.network else {
        if has_views && !shared.sees_files().await? {
            return Err(not_seen());
        }
        return Ok(WayOut::None);
    };
    if shared.sees_files().await? {
        return Ok(WayOut::Folder(folder.clone()));
    }
    if has_views {
        return Err(not_seen());
    }
    let name = Path::new(GATEWAY_SOCKET).file_name().unwrap_or_default();
    let relay = Relay::start(shared, &frozen.image, folder.join(name)).await?;
    Ok(WayOut::Relay(relay))
}

fn not_seen() -> SandboxError {
    SandboxError::CannotEnforce {
        rule: "sandbox.read".to_owned(),
        why: "the engine does not see the files of this machine".to_owned(),
    }
}

/// Describes the container: all that the engine is to put in force.
fn describe(
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
            ulimit("nofile", 4096),
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

/// Says what the helper does before and with the command.
fn contained(
    nonce: &str,
    shared: &Shared,
    frozen: &Frozen,
    execution: &Execution<'_>,
) -> Contained {
    let bytes = |text: &String| text.clone().into_bytes();
    let mut env: HashMap<String, String> = shared
        .base
        .env
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let own_path = env.remove("PATH");
    env.extend(OWN_ENV.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.extend(execution.plan.env.clone());
    env.extend(execution.env.clone());
    // The image's programs first; then what the policy adds.
    if let Some(own) = own_path {
        let path = env.entry("PATH".to_owned()).or_default();
        let added = path
            .split(':')
            .filter(|folder| !own.split(':').any(|o| o == *folder));
        let folders: Vec<&str> = own
            .split(':')
            .chain(added)
            .filter(|f| !f.is_empty())
            .collect();
        *path = folders.join(":");
    }
    Contained {
        nonce: nonce.to_owned(),
        has_network: execution.network == Network::Host,
        gateway: matches!(execution.network, Network::Gateway { .. })
            .then(|| GATEWAY_SOCKET.into()),
        directory: WORKSPACE.into(),
        removals: frozen
            .delta
            .removals
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect(),
        writes: frozen
            .delta
            .writes
            .iter()
            .map(|(path, kind)| Write {
                path: path.as_bytes().to_vec(),
                kind: match kind {
                    FileKind::Directory => WriteKind::Directory,
                    FileKind::File { bytes, executable } => WriteKind::File {
                        bytes: bytes.len() as u64,
                        is_executable: *executable,
                    },
                    FileKind::Symlink { target } => WriteKind::Link {
                        target: target.clone(),
                    },
                },
            })
            .collect(),
        disk_bytes: execution.plan.limits.disk_bytes,
        argv: execution
            .argv
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        env: env
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
    }
}

/// Writes the description, the files it names, and the command's own input.
async fn feed(
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    contained: &Contained,
    frozen: &Frozen,
    stdin: &[u8],
) -> std::io::Result<()> {
    let text = serde_json::to_vec(contained)?;
    input.write_all(&(text.len() as u64).to_le_bytes()).await?;
    input.write_all(&text).await?;
    for kind in frozen.delta.writes.values() {
        if let FileKind::File { bytes, .. } = kind {
            input.write_all(bytes).await?;
        }
    }
    input.write_all(stdin).await?;
    input.shutdown().await
}

type Attached = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Follows a running container.
struct Watch<'a> {
    shared: &'a Shared,
    container: &'a str,
    execution: &'a Execution<'a>,
    identity: (u32, u32),
    splitter: StatusSplitter,
    /// When the command started: the proof came just before.
    started: Option<Instant>,
    exit: Option<Exit>,
    killed: Option<Exit>,
}

impl Watch<'_> {
    /// Feeds and drains the container until it has ended and all output is read.
    async fn until_gone(
        &mut self,
        mut attached: Attached,
        feeding: impl Future<Output = std::io::Result<()>>,
        output: &mut dyn OutputSink,
    ) -> Result<(), SandboxError> {
        tokio::pin!(feeding);
        let mut is_fed = false;
        let mut deadline = Deadline::now() + PATIENCE;
        loop {
            let was_started = self.started.is_some();
            tokio::select! {
                piece = attached.next() => match piece {
                    Some(Ok(LogOutput::StdErr { message })) => self.stderr(&message, output)?,
                    Some(Ok(LogOutput::StdOut { message })) => output.write(Of::Stdout, &message),
                    Some(Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. })) => {}
                    Some(Err(cause)) => return Err(cause).asking("read a container's output"),
                    None => break,
                },
                fed = &mut feeding, if !is_fed => {
                    is_fed = true;
                    if let Err(error) = fed {
                        // A command may end without reading its input.
                        tracing::debug!(%error, "not all input was taken");
                    }
                }
                () = sleep_until(deadline) => {
                    if self.killed.is_some() || self.started.is_none() {
                        let why = "a container does not answer".to_owned();
                        return Err(SandboxError::NotProven(why));
                    }
                    self.kill(Exit::TimedOut).await?;
                    deadline = Deadline::now() + PATIENCE;
                }
                () = self.execution.cancel.cancelled(), if self.killed.is_none() => {
                    self.kill(Exit::Cancelled).await?;
                    deadline = Deadline::now() + PATIENCE;
                }
            }
            if !was_started && self.started.is_some() && self.killed.is_none() {
                deadline = Deadline::now() + self.execution.timeout;
            }
        }
        let rest = std::mem::replace(&mut self.splitter, StatusSplitter::new("")).finish();
        if !rest.is_empty() {
            output.write(Of::Stderr, &rest);
        }
        Ok(())
    }

    fn stderr(&mut self, bytes: &[u8], output: &mut dyn OutputSink) -> Result<(), SandboxError> {
        for piece in self.splitter.push(bytes) {
            let json = match piece {
                Piece::Output(bytes) => {
                    output.write(Of::Stderr, &bytes);
                    continue;
                }
                Piece::Status(json) => json,
            };
            let status = parse(&json)
                .ok_or_else(|| SandboxError::NotProven("an unreadable status".to_owned()))?;
            match status {
                Status::Enforced(proof) => {
                    let has_network = self.execution.network == Network::Host;
                    proof::check(&proof, self.identity, has_network)
                        .map_err(SandboxError::NotProven)?;
                    self.started = Some(Instant::now());
                }
                Status::Exited { code } => self.exit = Some(Exit::Code(code)),
                Status::Signalled { signal } => self.exit = Some(Exit::Signal(signal)),
                Status::NotStarted { errno } => self.exit = Some(Exit::NotStarted { errno }),
                Status::Failed { step, errno } => {
                    let cause = nix::errno::Errno::from_raw(errno);
                    return Err(SandboxError::NotProven(format!(
                        "could not {step}: {cause}"
                    )));
                }
                Status::Built { .. } | Status::Gone => {}
            }
        }
        Ok(())
    }

    async fn kill(&mut self, why: Exit) -> Result<(), SandboxError> {
        self.killed = Some(why);
        let options = KillContainerOptionsBuilder::new().signal("KILL").build();
        let killed = self
            .shared
            .docker
            .kill_container(self.container, Some(options));
        match killed.await {
            // It ended by itself in the same moment.
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            killed => killed.asking("kill a container"),
        }
    }
}

/// Waits until the engine says that the container has ended.
async fn wait(shared: &Shared, container: &str) -> Result<(), SandboxError> {
    let mut waiting = Box::pin(
        shared
            .docker
            .wait_container(container, None::<WaitContainerOptions>),
    );
    match tokio::time::timeout(PATIENCE, waiting.next()).await {
        Err(_) => Err(SandboxError::Backend(
            "a killed container does not end".to_owned(),
        )),
        // A code other than 0 comes as an error; the helper has told what matters.
        Ok(Some(Err(bollard::errors::Error::DockerContainerWaitError { .. }) | Ok(_)) | None) => {
            Ok(())
        }
        Ok(Some(Err(cause))) => Err(cause).asking("wait for a container"),
    }
}

async fn is_out_of_memory(shared: &Shared, container: &str) -> Result<bool, SandboxError> {
    let options = None::<InspectContainerOptions>;
    let found = shared.docker.inspect_container(container, options).await;
    let state = found.asking("look at a container")?.state;
    Ok(state.and_then(|state| state.oom_killed) == Some(true))
}

/// Says why a container ended without proof, as far as the engine knows.
async fn last_word(shared: &Shared, container: &str) -> String {
    let options = None::<InspectContainerOptions>;
    let found = shared.docker.inspect_container(container, options).await;
    let state = found.ok().and_then(|found| found.state);
    let code = state
        .as_ref()
        .and_then(|state| state.exit_code)
        .unwrap_or_default();
    let error = state.and_then(|state| state.error).unwrap_or_default();
    format!("the container ended with {code} before its proof {error}")
        .trim()
        .to_owned()
}
