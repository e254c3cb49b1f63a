//! The sandbox's only way out: an HTTP server on a unix socket that holds the credential.
//!
//! It passes the messages API on to one upstream and nothing else. A request is [admitted](admit) by
//! its head, its body is [screened](screen), its [headers] are swapped, and its answer is
//! [tallied](tally) while it streams back. Whatever way it ends, its [account](exchange) is settled
//! in the [meter] and the [audit] file. What a request may cost at most is set aside from the budget
//! before it is passed on, so that requests under way cannot pass the budget together.

mod admit;
mod audit;
mod audited;
mod client;
mod credential;
mod credential_file;
mod exchange;
mod headers;
mod lease;
mod limits;
mod listener;
mod meter;
mod pricing;
mod proxy;
mod redactor;
mod relay;
mod reply;
mod screen;
mod shared;
mod tally;
#[cfg(test)]
mod tests;
mod trust;
mod tunnel;
mod upstream;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use self::audit::Audit;
use self::client::UpstreamClient;
use self::exchange::Exchange;
use self::limits::{MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEADERS, MAX_HELD_KIB};
use self::listener::{accept, listen};
use self::meter::Meter;
use self::proxy::Proxy;
use self::screen::ServerTools;
use crate::model::Cost;

pub use self::audit::AuditTo;
pub use self::audited::audited;
pub use self::credential::{Credential, CredentialError, CredentialKind};
pub use self::credential_file::{CredentialFile, CredentialFileError};
pub use self::lease::{Lease, reach};
pub use self::limits::TimeLimits;
pub use self::meter::Metered;
pub use self::pricing::{Prices, PricesError};
pub use self::shared::{CONTROL_NAME, SharedGateway, SharedOptions};
pub use self::trust::{Trust, TrustError};
pub use self::tunnel::TunnelProxyError;
pub use self::upstream::{Upstream, UpstreamError};

/// The name of the socket in the gateway's folder.
pub const SOCKET_NAME: &str = "gateway.sock";
/// Where the sandbox sees the socket.
pub const SOCKET_IN_SANDBOX: &str = "/run/autoclave/gateway.sock";

/// What a gateway is started with.
#[derive(Debug)]
pub struct GatewayOptions {
    pub credential: Credential,
    pub upstream: Upstream,
    /// Holds the socket, and is what the sandbox sees. Exists; its parent is closed to others.
    pub folder: PathBuf,
    pub audit: AuditTo,
    pub max_cost: Option<Cost>,
    pub prices: Prices,
    /// Lets tools through that the service runs, which may reach the net.
    pub allow_server_tools: bool,
    pub limits: TimeLimits,
}

/// Says why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("could not open the audit file `{}`", path.display())]
    Audit {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("could not listen on `{}`", path.display())]
    Listen {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the gateway at `{}` does not serve this run", control.display())]
    Shared {
        control: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("could not set up TLS")]
    Tls(#[source] io::Error),
}

/// A running gateway. Dropped, it stops soon; [`stop`](Self::stop) also waits.
#[must_use = "a gateway ends when it is dropped"]
pub struct Gateway {
    proxy: Arc<Proxy>,
    socket: PathBuf,
    serving: JoinHandle<()>,
    cancel: DropGuard,
}

impl Gateway {
    /// Starts to listen on the socket in the options' folder.
    ///
    /// # Errors
    ///
    /// A variant of [`GatewayError`] for each step.
    #[expect(
        clippy::unused_async,
        reason = "it spawns, so that it must be called on a runtime"
    )]
    pub async fn start(options: GatewayOptions) -> Result<Self, GatewayError> {
        let path = match &options.audit {
            AuditTo::File(path) => path.clone(),
            AuditTo::Stream(_) => PathBuf::new(),
        };
        let audit =
            Audit::open(options.audit).map_err(|cause| GatewayError::Audit { path, cause })?;
        let client =
            UpstreamClient::new(&options.upstream, options.limits).map_err(GatewayError::Tls)?;
        let socket = options.folder.join(SOCKET_NAME);
        let listener = listen(&socket, 0o666).map_err(|cause| GatewayError::Listen {
            path: socket.clone(),
            cause,
        })?;
        let proxy = Arc::new(Proxy {
            token: token(),
            credential: options.credential,
            upstream: options.upstream,
            max_cost: options.max_cost,
            prices: options.prices,
            server_tools: if options.allow_server_tools {
                ServerTools::Allowed
            } else {
                ServerTools::Refused
            },
            meter: Meter::default(),
            audit,
            client,
            limits: options.limits,
            held_kib: Arc::new(Semaphore::new(MAX_HELD_KIB)),
        });
        let cancel = CancellationToken::new();
        let (served, ended) = (Arc::clone(&proxy), cancel.clone());
        let conversation = move |stream| {
            let (proxy, cancel) = (Arc::clone(&served), ended.clone());
            async move {
                cancel
                    .run_until_cancelled_owned(converse(stream, proxy))
                    .await;
            }
        };
        let serving = tokio::spawn(accept(
            listener,
            MAX_CONNECTIONS,
            cancel.clone(),
            conversation,
        ));
        Ok(Self {
            proxy,
            socket,
            serving,
            cancel: cancel.drop_guard(),
        })
    }

    /// Returns the random token of this gateway, which callers send in place of a credential.
    pub fn token(&self) -> &str {
        &self.proxy.token
    }

    /// Returns the path of the socket outside of the sandbox.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the environment that makes Claude Code use the gateway from inside a sandbox. The
    /// token stands where the user has the credential, since that decides how it is sent.
    pub fn sandbox_env(&self) -> BTreeMap<String, String> {
        self.client_env(SOCKET_IN_SANDBOX)
    }

    /// As [`sandbox_env`](Self::sandbox_env), for a client that sees the socket at `socket`.
    pub fn client_env(&self, socket: &str) -> BTreeMap<String, String> {
        let placeholder = self.proxy.credential.kind().variable();
        BTreeMap::from([
            ("ANTHROPIC_UNIX_SOCKET".to_owned(), socket.to_owned()),
            (
                "ANTHROPIC_BASE_URL".to_owned(),
                "http://localhost".to_owned(),
            ),
            (placeholder.to_owned(), self.proxy.token.clone()),
        ])
    }

    /// Returns the totals since the start.
    pub fn metered(&self) -> Metered {
        self.proxy.meter.read()
    }

    /// Ends all connections, waits for their tasks and removes the socket.
    pub async fn stop(self) {
        drop(self.cancel);
        if let Err(cause) = self.serving.await {
            tracing::warn!(%cause, "the gateway ended early");
        }
        if let Err(cause) = std::fs::remove_file(&self.socket) {
            tracing::debug!(%cause, "could not remove the gateway's socket");
        }
    }
}

fn token() -> String {
    format!(
        "autoclave-{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    )
}

/// Answers the requests of a connection, one after the other. A refusal ends it, so that what comes
/// behind a refused request is never read as another one.
async fn converse(stream: UnixStream, proxy: Arc<Proxy>) {
    let served = Arc::clone(&proxy);
    let service = service_fn(move |request| proxy::serve(Arc::clone(&served), request));
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(proxy.limits.head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        // Claude Code sends its next request on the same connection; a closed one loses it.
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(cause) = ended {
        tracing::debug!(%cause, "a connection broke");
        if cause.is_parse() {
            Exchange::malformed(proxy);
        }
    }
}
