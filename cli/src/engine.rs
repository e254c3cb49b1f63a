//! Which container engine the environment names.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use autoclave_runner::sandbox::container::EngineChoice;

/// Collects what Docker's own client would go by, and the usual sockets; `patience` is how long an
/// answer may take.
pub fn choice(patience: Option<Duration>) -> EngineChoice {
    let word = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let config = folder("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".docker")));
    let certificates = word("DOCKER_TLS_VERIFY").and_then(|_| {
        let named = folder("DOCKER_CERT_PATH").map(PathBuf::from);
        named.or_else(|| config.clone())
    });
    let own = folder("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = own.iter().flat_map(|own| {
        let sockets = ["docker.sock", "podman/podman.sock"];
        sockets.map(|socket| own.join(socket))
    });
    let shared = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    EngineChoice {
        host: word("DOCKER_HOST"),
        context: word("DOCKER_CONTEXT"),
        config,
        certificates,
        patience,
        sockets: shared.into_iter().chain(own).collect(),
    }
}
