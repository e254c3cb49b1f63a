//! Which engine a user means: what the environment says, read as Docker's own client reads it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{EngineAddress, EngineError};

/// What the environment says about the engine to use; an empty variable says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineChoice {
    /// `DOCKER_HOST`; goes before any context.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`; goes before the current context of the configuration.
    pub context: Option<String>,
    /// The folder of Docker's client (`DOCKER_CONFIG`, else `~/.docker`).
    pub config: Option<PathBuf>,
    /// Where the certificates are if TLS is asked for (`DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`).
    pub certificates: Option<PathBuf>,
    /// How long an engine may take for one answer, if not the usual time (`AUTOCLAVE_ENGINE_TIMEOUT`).
    pub patience: Option<Duration>,
    /// The sockets of engines where nothing else is said: the first that is there.
    pub sockets: Vec<PathBuf>,
}

/// The context that stands for the environment itself.
const NO_CONTEXT: &str = "default";

/// `config.json` of Docker's client, of which we read one word.
#[derive(Deserialize)]
struct ClientFile {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

/// `contexts/meta/DIGEST/meta.json` of Docker's client.
#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Name")]
    name: String,
    #[serde(default, rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, rename = "Host")]
    host: String,
}

impl EngineChoice {
    /// Returns a choice of the engine at `host`, without TLS.
    pub fn at(host: &str) -> Self {
        Self {
            host: Some(host.to_owned()),
            ..Self::default()
        }
    }

    /// Returns the address of the engine that is meant. Does not try whether it answers.
    ///
    /// # Errors
    ///
    /// [`EngineError::Context`] when a context is named that there is not,
    /// [`EngineError::ClientFile`] when a file of Docker's client cannot be read.
    pub fn resolve(&self) -> Result<EngineAddress, EngineError> {
        if let Some(host) = self.host.as_ref().filter(|host| !host.is_empty()) {
            return Ok(self.address(host.clone(), self.certificates.clone()));
        }
        if let (Some(config), Some(name)) = (&self.config, self.context()?) {
            let (host, certificates) = context(config, &name)?;
            return Ok(self.address(host, certificates));
        }
        let exists = |socket: &&PathBuf| socket.exists();
        let socket = self.sockets.iter().find(exists).or(self.sockets.first());
        let socket = socket.ok_or_else(|| EngineError::Address(String::new()))?;
        Ok(self.address(format!("unix://{}", socket.display()), None))
    }

    fn address(&self, host: String, certificates: Option<PathBuf>) -> EngineAddress {
        EngineAddress {
            host,
            certificates,
            patience: self.patience.unwrap_or(EngineAddress::PATIENCE),
        }
    }

    /// Returns the name of the context that is in use, if one is.
    fn context(&self) -> Result<Option<String>, EngineError> {
        let named = |name: &String| !name.is_empty();
        let name = match (self.context.clone().filter(named), &self.config) {
            (Some(name), _) => Some(name),
            (None, None) => None,
            (None, Some(config)) => {
                let file: Option<ClientFile> = read(&config.join("config.json"))?;
                file.map(|file| file.current_context).filter(named)
            }
        };
        Ok(name.filter(|name| name != NO_CONTEXT))
    }
}

/// Finds a context by its name: its folder is called by a digest of it, which need not be computed.
fn context(config: &Path, name: &str) -> Result<(String, Option<PathBuf>), EngineError> {
    let contexts = config.join("contexts/meta");
    let unreadable = |cause| EngineError::ClientFile {
        path: contexts.clone(),
        cause,
    };
    let folders = match fs::read_dir(&contexts) {
        Ok(entries) => entries
            .collect::<io::Result<Vec<_>>>()
            .map_err(unreadable)?,
        Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(unreadable(cause)),
    };
    for folder in folders {
        let Some(file) = read::<ContextFile>(&folder.path().join("meta.json"))? else {
            continue;
        };
        let host = file.endpoints.docker.map(|endpoint| endpoint.host);
        if let Some(host) = host.filter(|_| file.name == name) {
            let tls = config.join("contexts/tls").join(folder.file_name());
            let certificates = tls.join("docker");
            return Ok((host, certificates.exists().then_some(certificates)));
        }
    }
    Err(EngineError::Context {
        name: name.to_owned(),
        folder: contexts,
    })
}

/// Reads a JSON file; `None` where there is none.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(EngineError::ClientFile {
                path: path.to_owned(),
                cause,
            });
        }
    };
    let read = serde_json::from_slice(&text);
    read.map(Some).map_err(|cause| EngineError::ClientFile {
        path: path.to_owned(),
        cause: cause.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client with two contexts, of which `far` has certificates and is in use.
    fn client() -> (tempfile::TempDir, EngineChoice) {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path();
        for (digest, name, host) in [
            ("aa", "far", "tcp://far:2376"),
            ("bb", "near", "unix:///run/near.sock"),
        ] {
            let meta = config.join("contexts/meta").join(digest);
            fs::create_dir_all(&meta).unwrap();
            let text = format!(
                r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
            );
            fs::write(meta.join("meta.json"), text).unwrap();
        }
        fs::create_dir_all(config.join("contexts/tls/aa/docker")).unwrap();
        let text = r#"{"auths":{},"currentContext":"far"}"#;
        fs::write(config.join("config.json"), text).unwrap();
        let choice = EngineChoice {
            config: Some(config.to_owned()),
            sockets: vec!["/nonexistent/a.sock".into(), config.to_owned()],
            ..EngineChoice::default()
        };
        (folder, choice)
    }

    fn host(choice: &EngineChoice) -> String {
        choice.resolve().unwrap().host
    }

    #[test]
    fn the_host_goes_before_the_named_context_before_the_current_one() {
        let (folder, mut choice) = client();
        let current = choice.resolve().unwrap();
        assert_eq!(current.host, "tcp://far:2376");
        let certificates = folder.path().join("contexts/tls/aa/docker");
        assert_eq!(current.certificates, Some(certificates));
        choice.context = Some("near".into());
        assert_eq!(host(&choice), "unix:///run/near.sock");
        assert_eq!(choice.resolve().unwrap().certificates, None);
        choice.host = Some("ssh://machine".into());
        assert_eq!(host(&choice), "ssh://machine");
    }

    #[test]
    fn without_a_word_the_first_socket_that_is_there_is_taken() {
        let (folder, mut choice) = client();
        // The word for none, and variables without a word.
        choice.context = Some("default".into());
        choice.host = Some(String::new());
        assert_eq!(host(&choice), format!("unix://{}", folder.path().display()));
        choice.context = None;
        fs::remove_file(folder.path().join("config.json")).unwrap();
        assert_eq!(host(&choice), format!("unix://{}", folder.path().display()));
        choice.sockets.truncate(1);
        assert_eq!(host(&choice), "unix:///nonexistent/a.sock");
    }

    #[test]
    fn a_context_that_there_is_not_is_named_with_where_it_was_looked_for() {
        let (folder, mut choice) = client();
        choice.context = Some("gone".into());
        assert_eq!(
            choice.resolve().unwrap_err().to_string(),
            format!(
                "there is no Docker context `gone` in `{}/contexts/meta`",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_file_of_the_client_that_cannot_be_read_is_named() {
        let (folder, choice) = client();
        let file = folder.path().join("config.json");
        fs::write(&file, "{").unwrap();
        let error = choice.resolve().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("could not read `{}`", file.display())
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("line 1 column 1"), "{cause}");
    }
}
