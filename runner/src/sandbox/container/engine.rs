//! The container engine: how it is reached, and what it is.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use bollard::models::{SystemInfo, SystemVersion, SystemVersionComponents};
use bollard::{API_DEFAULT_VERSION, Docker};

use super::certificates;
use crate::sandbox::BoxError;

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

/// Whose engine it is: they differ in what their common interface leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    Docker,
    Podman,
}

/// What an engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    pub kind: EngineKind,
    pub version: String,
    pub api: String,
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    pub is_rootless: bool,
    /// The engine can limit memory and the number of processes.
    pub has_limits: bool,
    pub has_seccomp: bool,
    /// The release of the kernel under it.
    pub kernel: String,
    /// The default runtime and its version, such as `runc 1.1.5`.
    pub runtime: String,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("`{0}` is no address of an engine: it starts with none of unix://, tcp://, ssh://")]
    Address(String),
    /// Our client hands what follows `ssh://` to ssh as one name.
    #[error("`{0}` has a port or a path, which cannot be used with ssh://")]
    SshPort(String),
    #[error("there is no Docker context `{name}` in `{}`", folder.display())]
    Context { name: String, folder: PathBuf },
    #[error("could not read `{}`", path.display())]
    ClientFile {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("TLS is asked for, and there is no folder `{}` with certificates", .0.display())]
    NoCertificates(PathBuf),
    #[error("cannot use `{}` for TLS to the engine", path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        cause: BoxError,
    },
    #[error("no container engine answers at `{address}`")]
    Unreachable {
        address: String,
        #[source]
        cause: BoxError,
    },
    #[error("this user may not use the container engine at `{address}`")]
    Forbidden {
        address: String,
        #[source]
        cause: io::Error,
    },
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
    let unreachable = |cause: bollard::errors::Error| EngineError::Unreachable {
        address: host.to_owned(),
        cause: cause.into(),
    };
    let docker = client(address).await?.map_err(unreachable)?;
    let docker = docker.negotiate_version().await.map_err(unreachable)?;
    let version = docker.version().await.map_err(unreachable)?;
    let api = version.api_version.clone().unwrap_or_default();
    if version_of(&api) < version_of(LEAST_API) {
        return Err(EngineError::TooOld {
            address: host.to_owned(),
            found: api,
        });
    }
    let info = docker.info().await.map_err(unreachable)?;
    Ok((docker, facts(version, info)))
}

/// Makes a client of the engine, after a look at what the address names.
async fn client(
    address: &EngineAddress,
) -> Result<Result<Docker, bollard::errors::Error>, EngineError> {
    let host = address.host.as_str();
    let patience = address.patience.as_secs().max(1);
    if let Some(socket) = host.strip_prefix("unix://") {
        knock(host, socket).await?;
        return Ok(Docker::connect_with_unix(
            host,
            patience,
            API_DEFAULT_VERSION,
        ));
    }
    if let Some(machine) = host.strip_prefix("ssh://") {
        if machine.trim_end_matches('/').contains([':', '/']) {
            return Err(EngineError::SshPort(host.to_owned()));
        }
        return Ok(Docker::connect_with_ssh(
            host,
            patience,
            API_DEFAULT_VERSION,
            None,
        ));
    }
    if !host.starts_with("tcp://") {
        return Err(EngineError::Address(host.to_owned()));
    }
    let Some(folder) = &address.certificates else {
        return Ok(Docker::connect_with_http(
            host,
            patience,
            API_DEFAULT_VERSION,
        ));
    };
    if !folder.is_dir() {
        return Err(EngineError::NoCertificates(folder.clone()));
    }
    certificates::check(folder)?;
    let file = |name: &str| folder.join(name);
    Ok(Docker::connect_with_ssl(
        host,
        &file(certificates::KEY),
        &file(certificates::OWN),
        &file(certificates::AUTHORITY),
        patience,
        API_DEFAULT_VERSION,
    ))
}

/// Finds out why a socket cannot be used: what the client says of it is the same for all reasons.
async fn knock(host: &str, socket: &str) -> Result<(), EngineError> {
    let address = host.to_owned();
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            Err(EngineError::Forbidden { address, cause })
        }
        Err(cause) => Err(EngineError::Unreachable {
            address,
            cause: cause.into(),
        }),
    }
}

fn facts(version: SystemVersion, info: SystemInfo) -> EngineFacts {
    let components = version.components.unwrap_or_default();
    let is_podman = components.iter().any(|c| c.name.contains("Podman"));
    let options = info.security_options.unwrap_or_default();
    let has = |word: &str| options.iter().any(|option| option.contains(word));
    let runtime = info.default_runtime.unwrap_or_default();
    let runtime_version = components
        .iter()
        .find_map(|component| runtime_version(component, &runtime))
        .unwrap_or_default();
    EngineFacts {
        kind: if is_podman {
            EngineKind::Podman
        } else {
            EngineKind::Docker
        },
        version: version.version.unwrap_or_default(),
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
        kernel: info.kernel_version.unwrap_or_default(),
    }
}

/// Returns the version of `runtime` if that is what `component` is: Docker names it `runc` and its
/// version `1.1.5`, Podman `OCI Runtime (crun)` and `crun version 1.8.1` with further lines.
fn runtime_version(component: &SystemVersionComponents, runtime: &str) -> Option<String> {
    let of_podman = format!("OCI Runtime ({runtime})");
    if component.name != runtime && component.name != of_podman {
        return None;
    }
    let first = component.version.lines().next()?;
    let version = first.strip_prefix(&format!("{runtime} version "));
    Some(version.unwrap_or(first).to_owned())
}

/// Returns the numbers of a dotted version, for comparison.
pub fn version_of(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    fn at(host: &str) -> EngineAddress {
        EngineAddress {
            host: host.to_owned(),
            certificates: None,
            patience: EngineAddress::PATIENCE,
        }
    }

    async fn refusal(address: EngineAddress) -> EngineError {
        connect(&address)
            .await
            .expect_err("there is no such engine")
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(version_of("1.9") < version_of("1.40"));
        assert!(version_of("1.41") > version_of(LEAST_API));
    }

    #[test]
    fn the_version_of_a_runtime_is_found_as_either_engine_writes_it() {
        let component = |name: &str, version: &str| SystemVersionComponents {
            name: name.into(),
            version: version.into(),
            ..SystemVersionComponents::default()
        };
        let docker = component("runc", "1.1.5+ds1");
        assert_eq!(runtime_version(&docker, "runc").unwrap(), "1.1.5+ds1");
        assert_eq!(runtime_version(&docker, "crun"), None);
        let podman = component("OCI Runtime (crun)", "crun version 1.8.1\ncommit: f8a0\n");
        assert_eq!(runtime_version(&podman, "crun").unwrap(), "1.8.1");
    }

    #[tokio::test]
    async fn a_missing_engine_is_named_by_its_address() {
        let error = refusal(at("unix:///nonexistent/engine.sock")).await;
        assert_eq!(
            error.to_string(),
            "no container engine answers at `unix:///nonexistent/engine.sock`"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "No such file or directory (os error 2)");
    }

    #[tokio::test]
    async fn addresses_that_cannot_be_used_are_refused_by_their_reason() {
        for host in ["ftp://engine", "engine:2375", ""] {
            let error = refusal(at(host)).await;
            assert!(matches!(error, EngineError::Address(of) if of == host));
        }
        for host in ["ssh://me@engine:22", "ssh://engine/run/docker.sock"] {
            let error = refusal(at(host)).await;
            assert!(matches!(error, EngineError::SshPort(of) if of == host));
        }
        let folder = tempfile::tempdir().unwrap();
        let with_tls = |folder: PathBuf| EngineAddress {
            certificates: Some(folder),
            ..at("tcp://127.0.0.1:1")
        };
        let none = folder.path().join("none");
        let error = refusal(with_tls(none.clone())).await;
        assert!(matches!(error, EngineError::NoCertificates(of) if of == none));
        symlink("nowhere", folder.path().join("ca.pem")).unwrap();
        let error = refusal(with_tls(folder.path().to_owned())).await;
        let authority = folder.path().join("ca.pem");
        assert!(matches!(error, EngineError::Certificate { path, .. } if path == authority));
    }

    /// Answers every request as an engine would that is asked for its version.
    async fn engine_of(api: &'static str, listener: UnixListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let n = stream.read(&mut buffer).await.unwrap();
                if n == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..n]);
            }
            let body = format!(r#"{{"Version":"1","ApiVersion":"{api}","Components":[]}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            // Whoever only knocked does not listen.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_is_refused_with_what_it_speaks() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let engine = engine_of("1.38", UnixListener::bind(&socket).unwrap());
        let host = format!("unix://{}", socket.display());
        let error = tokio::select! {
            error = refusal(at(&host)) => error,
            () = engine => unreachable!("it accepts for ever"),
        };
        assert_eq!(
            error.to_string(),
            format!("the container engine at `{host}` speaks API 1.38; 1.40 is the least")
        );
    }
}
