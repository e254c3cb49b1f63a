//! One gateway process for the runs of others: each gets a socket, a token, a budget and an audit
//! file of its own, and none of them the credential.
//!
//! A run connects to the control socket and says [`Request::Open`]; it has its gateway as long as
//! that connection lives, on which it then gets its audit lines. What the gateway came to is asked
//! for on other connections. Sandboxes see the folder of one run's socket, never the control socket.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::limits::MAX_CONTROLS;
use super::listener::{accept, listen};
use super::{
    AuditTo, Credential, Gateway, GatewayError, GatewayOptions, Metered, Prices, Proxy, TimeLimits,
    Upstream,
};
use crate::model::Cost;

/// The name of the control socket in the folder of a [`SharedGateway`].
pub const CONTROL_NAME: &str = "control.sock";
/// The longest line that either side says.
pub(super) const MAX_LINE: u64 = 64 << 10;
/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// A gateway of its own.
    Open { max_cost_usd: Option<Cost> },
    /// What the gateway of `run` came to.
    Read { run: String },
}

/// What it is answered, in one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Opened(Opened),
    Metered(Metered),
    Failed(String),
}

/// A run's gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Opened {
    /// Also the name of the socket's folder beside the control socket.
    pub run: String,
    /// What a sandbox needs to use it.
    pub env: BTreeMap<String, String>,
}

/// What a shared gateway is started with.
#[derive(Debug)]
pub struct SharedOptions {
    pub credential: Credential,
    pub upstream: Upstream,
    /// Takes the control socket and a folder a run; closed to others.
    pub folder: PathBuf,
    /// The most that any one run may cost, whatever it asks for.
    pub max_cost: Option<Cost>,
    pub prices: Prices,
    pub limits: TimeLimits,
}

/// A running gateway for runs of others. Dropped, it stops soon; [`stop`](Self::stop) also waits.
#[must_use = "a gateway ends when it is dropped"]
pub struct SharedGateway {
    control: PathBuf,
    serving: JoinHandle<()>,
    cancel: DropGuard,
}

impl SharedGateway {
    /// Starts to listen on the control socket.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Listen`].
    #[expect(
        clippy::unused_async,
        reason = "it spawns, so that it must be called on a runtime"
    )]
    pub async fn start(options: SharedOptions) -> Result<Self, GatewayError> {
        let control = options.folder.join(CONTROL_NAME);
        let listener = listen(&control, 0o600).map_err(|cause| GatewayError::Listen {
            path: control.clone(),
            cause,
        })?;
        remove_left(&options.folder);
        let cancel = CancellationToken::new();
        let desk = Arc::new(Desk {
            options,
            runs: Mutex::default(),
        });
        let ended = cancel.clone();
        let conversation = move |stream| {
            let talked = converse(stream, Arc::clone(&desk), ended.clone());
            async {
                if let Err(error) = talked.await {
                    tracing::debug!(%error, "a run's connection broke");
                }
            }
        };
        let serving = tokio::spawn(accept(listener, MAX_CONTROLS, cancel.clone(), conversation));
        Ok(Self {
            control,
            serving,
            cancel: cancel.drop_guard(),
        })
    }

    /// Returns the path of the control socket.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Ends all runs' gateways, waits for them and removes the sockets.
    pub async fn stop(self) {
        drop(self.cancel);
        if let Err(cause) = self.serving.await {
            tracing::warn!(%cause, "the gateway ended early");
        }
        if let Err(cause) = fs::remove_file(&self.control) {
            tracing::debug!(%cause, "could not remove the control socket");
        }
    }
}

/// What the conversations share.
struct Desk {
    options: SharedOptions,
    /// The gateways of the runs that are connected. Conversations begin and end on any task, hence
    /// the lock.
    runs: Mutex<HashMap<String, Arc<Proxy>>>,
}

async fn converse(
    mut stream: UnixStream,
    desk: Arc<Desk>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new((&mut stream).take(MAX_LINE));
    tokio::select! {
        read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)) => read??,
        () = cancel.cancelled() => return Ok(()),
    };
    match serde_json::from_str(&line)? {
        Request::Read { run } => {
            let metered = desk.runs().get(&run).map(|proxy| proxy.meter.read());
            let answer = match metered {
                Some(metered) => Answer::Metered(metered),
                None => Answer::Failed("there is no such run".to_owned()),
            };
            say(&mut stream, &answer).await
        }
        Request::Open { max_cost_usd } => {
            let run = Uuid::new_v4().simple().to_string();
            let folder = desk.options.folder.join(&run);
            let ended = serve(stream, &desk, &run, max_cost_usd, cancel).await;
            desk.runs().remove(&run);
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(%error, "could not remove the folder of a run's socket");
            }
            ended
        }
    }
}

/// Has a gateway for `run` until its connection ends.
async fn serve(
    mut stream: UnixStream,
    desk: &Desk,
    run: &str,
    asked: Option<Cost>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let options = &desk.options;
    let folder = options.folder.join(run);
    fs::create_dir(&folder)?;
    // Not blocking: a line that the run does not take is kept, and nothing more passes until it is.
    let lines = stream.into_std()?;
    stream = UnixStream::from_std(lines.try_clone()?)?;
    let max_cost = match (asked, options.max_cost) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (asked, most) => asked.or(most),
    };
    let started = Gateway::start(GatewayOptions {
        credential: options.credential.clone(),
        upstream: options.upstream.clone(),
        folder,
        audit: AuditTo::Stream(lines),
        max_cost,
        prices: options.prices.clone(),
        allow_server_tools: false,
        limits: options.limits,
    });
    let gateway = match started.await {
        Ok(gateway) => gateway,
        Err(error) => return say(&mut stream, &Answer::Failed(error.to_string())).await,
    };
    desk.runs()
        .insert(run.to_owned(), Arc::clone(&gateway.proxy));
    let opened = Answer::Opened(Opened {
        run: run.to_owned(),
        env: gateway.sandbox_env(),
    });
    let told = say(&mut stream, &opened).await;
    if told.is_ok() {
        // It says nothing more; its end is the run's end.
        let mut rest = [0; 1];
        tokio::select! {
            _ended = stream.read(&mut rest) => {}
            () = cancel.cancelled() => {}
        }
    }
    let proxy = Arc::clone(&gateway.proxy);
    gateway.stop().await;
    proxy.audit.catch_up().await?;
    told
}

/// Removes the folders of runs that a gateway left which was killed: nobody else serves in `folder`.
fn remove_left(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let is_run = name
            .to_str()
            .is_some_and(|name| name.len() == 32 && Uuid::try_parse(name).is_ok());
        if is_run && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "could not remove the folder of an earlier run's socket");
        }
    }
}

async fn say(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

impl Desk {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, Arc<Proxy>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
