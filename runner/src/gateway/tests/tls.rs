//! The way to an upstream that speaks TLS: whom it trusts, and through which proxy.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::stage::{BODY, Setting, Stage, status};
use crate::gateway::{Trust, Upstream};

/// A service with a certificate for `name` from an authority of its own.
struct TlsService {
    port: u16,
    /// The authority's certificate, as a PEM file.
    authority: PathBuf,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl TlsService {
    async fn start(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(answer(listener, TlsAcceptor::from(Arc::new(config))));
        Self {
            port,
            authority: file,
            tasks,
            _folder: folder,
        }
    }

    fn trust(&self) -> Trust {
        Trust::from_files(Some(&self.authority), None).unwrap()
    }

    fn upstream(&self, host: &str) -> Upstream {
        Upstream::parse(&format!("https://{host}:{}", self.port)).unwrap()
    }

    /// Starts a proxy that connects to this service, whatever it is asked for, and returns its port.
    /// It demands the password `word` of `me`.
    async fn proxy(&mut self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (proxy, service) = (listener.local_addr().unwrap().port(), self.port);
        self.tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tunnel(stream, service).await;
            }
        });
        proxy
    }
}

/// Answers one request a connection; one that fails, as when the caller does not trust us, is no
/// failure of the service.
async fn answer(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        if let Ok(1..) = stream.read(&mut [0; 4096]).await {
            let reply = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(reply).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }
}

async fn tunnel(stream: TcpStream, service: u16) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0);
    }
    // `me:word` in Base64.
    let is_known = head
        .to_ascii_lowercase()
        .contains("proxy-authorization: basic bwu6d29yza==");
    if !is_known || !head.starts_with("CONNECT ") {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
        return;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut service = TcpStream::connect(("127.0.0.1", service)).await.unwrap();
    // Either side may hang up first.
    drop(tokio::io::copy_bidirectional(&mut stream, &mut service).await);
}

async fn reply(upstream: Upstream) -> String {
    let stage = Stage::before_upstream(upstream, Setting::default()).await;
    stage.send(&stage.post(BODY)).await
}

#[tokio::test]
async fn authority_that_is_named_is_trusted_in_place_of_or_beside_the_public_ones() {
    let service = TlsService::start("localhost").await;
    let beside = Trust::from_files(None, Some(&service.authority)).unwrap();
    for trust in [service.trust(), beside] {
        let reply = reply(service.upstream("localhost").trusting(trust)).await;
        assert_eq!(status(&reply), 200, "{reply}");
    }
}

#[tokio::test]
async fn unknown_authority_and_wrong_name_are_refused() {
    let (service, other) = (
        TlsService::start("localhost").await,
        TlsService::start("elsewhere.example").await,
    );
    let unknown = service.upstream("localhost");
    let of_another = service.upstream("localhost").trusting(other.trust());
    let wrong_name = other.upstream("localhost").trusting(other.trust());
    for upstream in [unknown, of_another, wrong_name] {
        let reply = reply(upstream).await;
        assert_eq!(status(&reply), 502, "{reply}");
        let message = "the TLS certificate of the upstream is not accepted";
        assert!(reply.contains(message), "{reply}");
    }
}

#[tokio::test]
async fn proxy_is_asked_for_a_tunnel_and_the_name_behind_it_is_checked() {
    let mut service = TlsService::start("model.example").await;
    let port = service.proxy().await;
    let through = |host: &str, proxy: &str, no_proxy: &str| {
        service
            .upstream(host)
            .trusting(service.trust())
            .through(proxy, no_proxy)
            .unwrap()
    };
    let proxy = format!("http://me:word@127.0.0.1:{port}");
    let passed = reply(through("model.example", &proxy, "other.example")).await;
    assert_eq!(status(&passed), 200, "{passed}");
    let wrong_name = reply(through("evil.example", &proxy, "")).await;
    assert!(
        wrong_name.contains("certificate of the upstream is not accepted"),
        "{wrong_name}"
    );
    let no_password = format!("http://127.0.0.1:{port}");
    let refused = reply(through("model.example", &no_password, "")).await;
    assert_eq!(status(&refused), 502);
    assert!(
        refused.contains("cannot be reached through the proxy"),
        "{refused}"
    );
    // Excepted, so that the name is looked up here, where there is none.
    let direct = reply(through("model.example", &proxy, "model.example")).await;
    assert!(
        direct.contains("the upstream cannot be reached\""),
        "{direct}"
    );
}
