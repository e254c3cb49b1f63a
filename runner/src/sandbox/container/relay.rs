//! The gateway's socket on an engine that does not see this machine's files.
//!
//! A volume holds the socket, and a container of its own, without network or credential, listens on
//! it: the helper as `relay`. Who connects there is connected to the gateway's socket of this
//! machine, through the streams that this process is attached to. See docs/design/remote-gateway.md.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use autoclave_enter::{HEAD_BYTES, Head, Kind, MAX_BYTES, MAX_CONNECTIONS};
use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
};
use bollard::query_parameters::StartContainerOptions;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::held::{Container, Image};
use super::image::HELPER;
use super::{Asking, Garbage, Shared, broken, describe};
use crate::sandbox::{GATEWAY_SOCKET, SandboxError};

/// How long a relay may take from its start until it listens.
const PATIENCE: Duration = Duration::from_secs(60);
const MEMORY_BYTES: i64 = 128 << 20;
/// Its threads: one for each of [`MAX_CONNECTIONS`], and some.
const PIDS: i64 = 128;
/// Frames on their way in one direction of one connection; more make the sender wait.
const FRAMES: usize = 4;

/// A volume of ours on the engine; removed when dropped.
#[derive(Debug)]
struct Volume {
    name: String,
    shared: Arc<Shared>,
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.shared.throw_away(Garbage::Volume(self.name.clone()));
    }
}

/// A running relay. Dropped, it ends soon; [`stop`](Self::stop) also says how it fared.
pub struct Relay {
    // Before the volume: it must go first.
    _container: Container,
    volume: Volume,
    serving: JoinHandle<Result<(), String>>,
    cancel: DropGuard,
}

impl Relay {
    /// Starts a relay to the socket at `socket`, in a container of `image`.
    pub async fn start(
        shared: &Arc<Shared>,
        image: &Image,
        socket: PathBuf,
    ) -> Result<Self, SandboxError> {
        let docker = &shared.docker;
        let request = VolumeCreateRequest {
            labels: Some(shared.labels.clone()),
            ..VolumeCreateRequest::default()
        };
        let made = docker.create_volume(request).await;
        let volume = Volume {
            name: made.asking("make a volume for the gateway's socket")?.name,
            shared: Arc::clone(shared),
        };
        let container = Container::create(shared, described(shared, image, &volume.name)).await?;
        let attached = container
            .attach()
            .await
            .asking("attach to the gateway's container")?;
        docker
            .start_container(&container.id, None::<StartContainerOptions>)
            .await
            .asking("start the gateway's container")?;
        let cancel = CancellationToken::new();
        let (ready, is_ready) = oneshot::channel();
        let switchboard = Switchboard {
            socket,
            callers: HashMap::new(),
            connections: JoinSet::new(),
            ready: Some(ready),
        };
        let serving = tokio::spawn(serve(
            attached.output,
            attached.input,
            switchboard,
            cancel.clone(),
        ));
        let relay = Self {
            _container: container,
            volume,
            serving,
            cancel: cancel.drop_guard(),
        };
        match tokio::time::timeout(PATIENCE, is_ready).await {
            Ok(Ok(())) => Ok(relay),
            Ok(Err(_)) => match relay.stop().await {
                Err(error) => Err(error),
                Ok(()) => Err(ended("")),
            },
            Err(_) => Err(ended("it does not answer")),
        }
    }

    /// Returns the folder of the socket, as a container that may only use it gets it.
    pub fn mount(&self) -> Mount {
        volume_mount(&self.volume.name, true)
    }

    /// Ends the relay.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Engine`] when it had ended before, and so cut off whoever used it.
    pub async fn stop(self) -> Result<(), SandboxError> {
        drop(self.cancel);
        match self.serving.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(ended(&why)),
            Err(panic) => Err(ended(&panic.to_string())),
        }
    }
}

fn ended(why: &str) -> SandboxError {
    broken(
        "keep the gateway's container on the engine",
        &format!("it ended early: {why}"),
    )
}

/// Returns a mount of the volume `name` where sandboxes look for the gateway's socket.
pub fn volume_mount(name: &str, read_only: bool) -> Mount {
    let target = Path::new(GATEWAY_SOCKET).with_file_name("");
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name.to_owned()),
        target: Some(target.to_string_lossy().into_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// Root of its container, to whom the volume belongs, with nothing that makes root special.
fn described(shared: &Shared, image: &Image, volume: &str) -> ContainerCreateBody {
    let host_config = HostConfig {
        network_mode: Some("none".to_owned()),
        mounts: Some(vec![volume_mount(volume, false)]),
        readonly_rootfs: Some(true),
        memory: Some(MEMORY_BYTES),
        memory_swap: Some(MEMORY_BYTES),
        pids_limit: Some(PIDS),
        ..describe::confined(shared)
    };
    ContainerCreateBody {
        image: Some(image.id.clone()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(vec![HELPER.to_owned()]),
        cmd: Some(vec!["relay".to_owned(), GATEWAY_SOCKET.to_owned()]),
        working_dir: Some("/".to_owned()),
        // The image's own may hold anything.
        env: Some(Vec::new()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

type Attached = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Connects callers there with the gateway here until cancelled.
///
/// # Errors
///
/// Why it ended before: a fragment for people.
async fn serve(
    mut output: Attached,
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    mut switchboard: Switchboard,
    cancel: CancellationToken,
) -> Result<(), String> {
    let (answers, mut answered) = mpsc::channel::<Vec<u8>>(FRAMES);
    let writing = async {
        while let Some(frame) = answered.recv().await {
            input.write_all(&frame).await?;
            input.flush().await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let reading = async {
        let mut pending = Vec::new();
        let mut said = String::new();
        while let Some(piece) = output.next().await {
            match piece.map_err(|error| error.to_string())? {
                LogOutput::StdOut { message } => {
                    pending.extend_from_slice(&message);
                    switchboard.take(&mut pending, &answers).await?;
                }
                LogOutput::StdErr { message } if said.len() < 1000 => {
                    said.push_str(&String::from_utf8_lossy(&message));
                }
                _ => {}
            }
        }
        Err::<(), String>(format!("its output ended {}", said.trim()))
    };
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        read = reading => read,
        written = writing => Err(match written {
            Ok(()) => "nobody writes to it".to_owned(),
            Err(error) => error.to_string(),
        }),
    }
}

/// Who is connected with the gateway.
struct Switchboard {
    socket: PathBuf,
    callers: HashMap<u32, Caller>,
    /// Each returns the number of its connection.
    connections: JoinSet<u32>,
    ready: Option<oneshot::Sender<()>>,
}

struct Caller {
    said: mpsc::Sender<Said>,
    task: AbortHandle,
}

/// What a caller has to say.
enum Said {
    Bytes(Vec<u8>),
    Ended,
}

impl Switchboard {
    /// Takes all whole frames from `pending`.
    async fn take(
        &mut self,
        pending: &mut Vec<u8>,
        answers: &mpsc::Sender<Vec<u8>>,
    ) -> Result<(), String> {
        let mut at = 0;
        while let Some(head) = pending[at..].first_chunk::<HEAD_BYTES>() {
            let head = Head::decode(*head).ok_or("it says what no relay says")?;
            let from = at + HEAD_BYTES;
            let Some(bytes) = pending.get(from..from + head.length as usize) else {
                break;
            };
            let bytes = bytes.to_vec();
            at = from + bytes.len();
            self.hear(head, bytes, answers).await;
        }
        pending.drain(..at);
        Ok(())
    }

    async fn hear(&mut self, head: Head, bytes: Vec<u8>, answers: &mpsc::Sender<Vec<u8>>) {
        while let Some(ended) = self.connections.try_join_next() {
            if let Ok(connection) = ended {
                self.callers.remove(&connection);
            }
        }
        let said = match head.kind {
            Kind::Ready => {
                if let Some(ready) = self.ready.take() {
                    // Who does not wait any more has given the relay up.
                    let _gone = ready.send(());
                }
                return;
            }
            Kind::Opened => return self.open(head.connection, answers),
            Kind::Dropped => {
                if let Some(caller) = self.callers.remove(&head.connection) {
                    caller.task.abort();
                }
                return;
            }
            Kind::Bytes => Said::Bytes(bytes),
            Kind::Ended => Said::Ended,
        };
        if let Some(caller) = self.callers.get(&head.connection) {
            // A connection that the gateway has ended takes nothing more.
            let _ended = caller.said.send(said).await;
        }
    }

    fn open(&mut self, connection: u32, answers: &mpsc::Sender<Vec<u8>>) {
        if self.callers.len() >= 2 * MAX_CONNECTIONS || self.callers.contains_key(&connection) {
            // A relay of ours does neither.
            tracing::warn!(connection, "a relay opens too many connections");
            return;
        }
        let (said, heard) = mpsc::channel(FRAMES);
        let connected = connect(connection, self.socket.clone(), heard, answers.clone());
        let task = self.connections.spawn(connected);
        self.callers.insert(connection, Caller { said, task });
    }
}

/// Carries one connection to its end in both directions.
async fn connect(
    connection: u32,
    socket: PathBuf,
    mut heard: mpsc::Receiver<Said>,
    answers: mpsc::Sender<Vec<u8>>,
) -> u32 {
    let carried = async {
        let gateway = UnixStream::connect(&socket).await?;
        let (mut reading, mut writing) = gateway.into_split();
        let to_gateway = async {
            while let Some(said) = heard.recv().await {
                match said {
                    Said::Bytes(bytes) => writing.write_all(&bytes).await?,
                    Said::Ended => break,
                }
            }
            // What comes after an error is refused from here on, and holds up nobody.
            drop(heard);
            writing.shutdown().await
        };
        let from_gateway = async {
            let mut bytes = vec![0; MAX_BYTES];
            loop {
                let count = reading.read(&mut bytes).await?;
                let kind = if count == 0 { Kind::Ended } else { Kind::Bytes };
                let length = u32::try_from(count).map_err(std::io::Error::other)?;
                let head = Head {
                    connection,
                    kind,
                    length,
                };
                let frame = [&head.encode(), &bytes[..count]].concat();
                if answers.send(frame).await.is_err() || count == 0 {
                    return Ok::<(), std::io::Error>(());
                }
            }
        };
        let (to, from) = tokio::join!(to_gateway, from_gateway);
        to.and(from)
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, connection, "a connection to the gateway broke");
    }
    // Where nobody takes this, the relay is over.
    let dropped = Head::bare(connection, Kind::Dropped).encode().to_vec();
    let _gone = answers.send(dropped).await;
    connection
}
