//! The container engine: how it is reached, and what it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

/// Where an engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAddress {
    /// `unix://PATH`, `tcp://HOST:PORT` or `ssh://HOST`, as in `DOCKER_HOST`.
    pub host: String,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem` for TLS (`DOCKER_CERT_PATH`).
    pub certificates: Option<PathBuf>,
    /// How long it may take for one answer; ten times as long for what grows with the files.
    pub patience: Duration,
}

/// What an engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// `Docker` or `Podman`, with the version.
    pub name: String,
    pub api: String,
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    pub is_rootless: bool,
    /// The engine can limit memory and the number of processes.
    pub has_limits: bool,
    pub has_seccomp: bool,
    /// The default runtime and its version, such as `runc 1.1.5`.
    pub runtime: String,
}

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("`{0}` is no address of an engine: it starts with none of unix://, tcp://, ssh://")]
    Address(String),
    #[error("no container engine answers at `{address}`")]
    Unreachable {
        address: String,
        #[source]
        cause: bollard::errors::Error,
    },
    #[error("this user may not use the container engine at `{address}`")]
    Forbidden { address: String },
    #[error("the container engine at `{address}` speaks API {found}; {LEAST_API} is the least")]
    TooOld { address: String, found: String },
}

/// Docker 20.10's.
const LEAST_API: &str = "1.40";

impl EngineAddress {
    /// Long enough for a busy machine, and for storage drivers that copy.
    pub const PATIENCE: Duration = Duration::from_secs(60);
}

/// Connects to the engine, agrees on a version, and asks what it is.
///
/// # Errors
///
/// See [`EngineError`].
pub async fn connect(address: &EngineAddress) -> Result<(Docker, EngineFacts), EngineError> {
    let host = address.host.as_str();
    let unreachable = |cause| EngineError::Unreachable {
        address: host.to_owned(),
        cause,
    };
    let patience = address.patience.as_secs().max(1);
    let socket = host.strip_prefix("unix://").map(Path::new);
    let docker = if let Some(certificates) = &address.certificates {
        let file = |name: &str| certificates.join(name);
        Docker::connect_with_ssl(
            host,
            &file("key.pem"),
            &file("cert.pem"),
            &file("ca.pem"),
            patience,
            API_DEFAULT_VERSION,
        )
    } else if socket.is_some() {
        Docker::connect_with_unix(host, patience, API_DEFAULT_VERSION)
    } else if host.starts_with("tcp://") {
        Docker::connect_with_http(host, patience, API_DEFAULT_VERSION)
    } else if host.starts_with("ssh://") {
        Docker::connect_with_ssh(host, patience, API_DEFAULT_VERSION, None)
    } else {
        return Err(EngineError::Address(host.to_owned()));
    };
    let docker = docker.map_err(unreachable)?;
    let docker = match docker.negotiate_version().await {
        Ok(docker) => docker,
        Err(cause) => {
            let is_forbidden = socket.is_some_and(|socket| {
                let tried = std::os::unix::net::UnixStream::connect(socket);
                tried.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
            });
            return Err(if is_forbidden {
                EngineError::Forbidden {
                    address: host.to_owned(),
                }
            } else {
                unreachable(cause)
            });
        }
    };
    let facts = facts(&docker).await.map_err(unreachable)?;
    if version_of(&facts.api) < version_of(LEAST_API) {
        return Err(EngineError::TooOld {
            address: host.to_owned(),
            found: facts.api,
        });
    }
    Ok((docker, facts))
}

async fn facts(docker: &Docker) -> Result<EngineFacts, bollard::errors::Error> {
    let version = docker.version().await?;
    let info = docker.info().await?;
    let components = version.components.unwrap_or_default();
    let is_podman = components.iter().any(|c| c.name.contains("Podman"));
    let name = if is_podman { "Podman" } else { "Docker" };
    let options = info.security_options.unwrap_or_default();
    let has = |word: &str| options.iter().any(|option| option.contains(word));
    let runtime = info.default_runtime.unwrap_or_default();
    let runtime_version = components
        .iter()
        .find(|component| component.name == runtime)
        .map(|component| component.version.clone())
        .unwrap_or_default();
    Ok(EngineFacts {
        name: format!("{name} {}", version.version.unwrap_or_default()),
        api: version.api_version.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        cgroup_version: info
            .cgroup_version
            .map(|v| v.to_string())
            .unwrap_or_default(),
        is_rootless: has("rootless"),
        has_limits: info.memory_limit == Some(true) && info.pids_limit == Some(true),
        has_seccomp: has("seccomp"),
        runtime: format!("{runtime} {runtime_version}").trim().to_owned(),
    })
}

/// Returns the numbers of a dotted version, for comparison.
fn version_of(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

/// Says which known escape a runtime's version is open to, if one is known.
///
/// runc before 1.1.12 leaks a descriptor of the host (CVE-2024-21626); before 1.2.8 its masked
/// paths and console can be redirected while a container starts (CVE-2025-31133, CVE-2025-52565,
/// CVE-2025-52881). Distributions patch older versions without changing these numbers.
pub fn known_escape(runtime: &str) -> Option<&'static str> {
    let version = version_of(
        runtime
            .strip_prefix("runc ")?
            .split(['+', '-', '~'])
            .next()?,
    );
    if version < vec![1, 1, 12] {
        Some("CVE-2024-21626 (a leaked descriptor), unless the distribution patched it")
    } else if version < vec![1, 2, 8] {
        Some(
            "CVE-2025-31133 and its kin (races while starting), unless the distribution patched it",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version_of("1.9") < version_of("1.40"));
        assert!(version_of("1.41") > version_of(LEAST_API));
    }

    #[test]
    fn an_old_runtime_is_warned_of() {
        assert!(known_escape("runc 1.1.5+ds1").is_some_and(|w| w.contains("21626")));
        assert!(known_escape("runc 1.2.6").is_some_and(|w| w.contains("31133")));
        assert_eq!(known_escape("runc 1.3.3"), None);
        assert_eq!(known_escape("crun 1.8"), None);
    }

    #[tokio::test]
    async fn a_missing_engine_is_named_by_its_address() {
        let address = EngineAddress {
            host: "unix:///nonexistent/engine.sock".into(),
            certificates: None,
            patience: EngineAddress::PATIENCE,
        };
        let error = connect(&address).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no container engine answers at `unix:///nonexistent/engine.sock`"
        );
    }

    #[tokio::test]
    async fn an_address_of_no_known_kind_is_refused() {
        let address = EngineAddress {
            host: "ftp://engine".into(),
            certificates: None,
            patience: EngineAddress::PATIENCE,
        };
        assert!(matches!(
            connect(&address).await,
            Err(EngineError::Address(host)) if host == "ftp://engine"
        ));
    }
}
