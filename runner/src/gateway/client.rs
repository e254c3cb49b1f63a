//! The HTTP client towards the upstream.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Builder, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::limits::{POOL_IDLE, TimeLimits};
use super::upstream::Upstream;

/// A client for one upstream, which goes there directly or through a proxy.
pub enum UpstreamClient {
    Direct(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Tunnelled(Client<HttpsConnector<Tunnel<HttpConnector>>, Full<Bytes>>),
}

impl UpstreamClient {
    /// Returns a client that knows what `upstream` names, and nothing of the environment.
    ///
    /// # Errors
    ///
    /// When the TLS library does not take the protocol versions or the certificates it should.
    pub fn new(upstream: &Upstream, limits: TimeLimits) -> io::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(limits.connect));
        http.set_nodelay(true);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(upstream.trust().roots()?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = if upstream.is_tls() {
            connector.https_only()
        } else {
            connector.https_or_http()
        };
        let connector = connector.enable_http1();
        Ok(match upstream.proxy() {
            None => Self::Direct(pool(limits).build(connector.wrap_connector(http))),
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.address.clone(), http);
                if let Some(auth) = &proxy.auth {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Self::Tunnelled(pool(limits).build(connector.wrap_connector(tunnel)))
            }
        })
    }

    /// Returns how a caller is told that the upstream is out of reach.
    pub fn out_of_reach(&self, error: &(dyn Error + 'static)) -> &'static str {
        match self {
            _ if is_tls_failure(error) => "the TLS certificate of the upstream is not accepted",
            Self::Direct(_) => "the upstream cannot be reached",
            Self::Tunnelled(_) => "the upstream cannot be reached through the proxy",
        }
    }

    pub fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Direct(client) => client.request(request),
            Self::Tunnelled(client) => client.request(request),
        }
    }
}

fn pool(limits: TimeLimits) -> Builder {
    let mut pool = Client::builder(TokioExecutor::new());
    pool.pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE.min(limits.silence));
    pool
}

/// Says whether TLS was what failed, most likely over a certificate.
fn is_tls_failure(error: &(dyn Error + 'static)) -> bool {
    // An I/O error hides what it wraps from `source`.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| is_tls_failure(inner));
    error.is::<rustls::Error>() || wrapped || error.source().is_some_and(is_tls_failure)
}
