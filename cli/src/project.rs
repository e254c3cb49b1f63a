//! The repository a command works on, its configuration, and what the environment says.

use std::path::PathBuf;

use autoclave_runner::campaign::{HostFacts, ModelService};
use autoclave_runner::gateway::{Credential, Upstream};
use autoclave_runner::marker::{Dialect, Marker, Status, parse_config};
use autoclave_runner::repo::Repo;

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// The places of a configuration, first found wins.
pub const CONFIG: &str = ".autoclave/config.yaml";
const OLDER_CONFIG: &str = ".autoresearch/config.yaml";

/// A repository with its checked configuration.
pub struct Project {
    pub repo: Repo,
    pub markers: Vec<Marker>,
    /// The configuration file, relative to the repository.
    pub origin: &'static str,
    /// Warnings about the configuration, each with its place.
    pub warnings: Vec<String>,
}

impl Project {
    /// Opens the repository around the working directory and reads its configuration.
    ///
    /// # Errors
    ///
    /// [`Exit::RepositoryOrLedger`] without a usable repository, [`Exit::Usage`] when the
    /// configuration is missing or wrong.
    pub fn open() -> Result<Self, Failure> {
        let repo = open_repo()?;
        let (origin, dialect, text) = read_config(&repo)?;
        let config = parse_config(&text, origin, dialect)
            .map_err(|problems| Failure::new(Exit::Usage, problems.to_string()))?;
        let warnings = config
            .warnings
            .iter()
            .map(|problem| problem.render(&config.source))
            .collect();
        Ok(Self {
            repo,
            markers: config.markers,
            origin,
            warnings,
        })
    }

    /// Returns the marker called `name`, or the only one.
    ///
    /// # Errors
    ///
    /// [`Exit::Usage`] when there is no such marker, or none is named and there are several.
    pub fn marker(&self, name: Option<&str>) -> Result<Marker, Failure> {
        let names: Vec<&str> = self
            .markers
            .iter()
            .map(|marker| marker.name.as_str())
            .collect();
        let found = match (name, self.markers.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => {
                let message = format!("`{}` holds {} markers", self.origin, self.markers.len());
                let hint = format!("Name one with -m: {}.", names.join(", "));
                return Err(Failure::new(Exit::Usage, message).hint(hint));
            }
            (Some(name), markers) => markers.iter().find(|marker| marker.name == name),
        };
        found.cloned().ok_or_else(|| {
            let message = format!(
                "`{}` has no marker `{}`",
                self.origin,
                name.unwrap_or_default()
            );
            Failure::new(Exit::Usage, message).hint(format!("It has: {}.", names.join(", ")))
        })
    }

    /// As [`Self::marker`], and refuses one that is paused.
    ///
    /// # Errors
    ///
    /// [`Exit::Usage`] as [`Self::marker`], and for a paused marker.
    pub fn active_marker(&self, name: Option<&str>) -> Result<Marker, Failure> {
        let marker = self.marker(name)?;
        match marker.status {
            Status::Active => Ok(marker),
            Status::Paused => Err(Failure::new(
                Exit::Usage,
                format!("marker `{}` is paused", marker.name),
            )
            .hint(format!("Set `status: active` in `{}`.", self.origin))),
        }
    }
}

/// Opens the repository around the working directory.
///
/// # Errors
///
/// [`Exit::RepositoryOrLedger`] without a usable repository.
pub fn open_repo() -> Result<Repo, Failure> {
    let here = std::env::current_dir().map_err(|cause| {
        Failure::new(Exit::RepositoryOrLedger, cause).hint("The working directory is gone.")
    })?;
    Repo::discover(&here).map_err(|error| {
        Failure::new(Exit::RepositoryOrLedger, error)
            .hint("Run autoclave inside the checkout of a git repository, or name one with -C.")
    })
}

fn read_config(repo: &Repo) -> Result<(&'static str, Dialect, String), Failure> {
    for (origin, dialect) in [
        (CONFIG, Dialect::Autoclave),
        (OLDER_CONFIG, Dialect::Autoresearch),
    ] {
        match std::fs::read_to_string(repo.work_dir().join(origin)) {
            Ok(text) => return Ok((origin, dialect, text)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Failure::new(Exit::Usage, Unreadable { origin, cause })),
        }
    }
    Err(Failure::new(Exit::Usage, format!("there is no `{CONFIG}`"))
        .hint("`autoclave init` writes one to start from."))
}

#[derive(Debug, thiserror::Error)]
#[error("could not read `{origin}`")]
struct Unreadable {
    origin: &'static str,
    #[source]
    cause: std::io::Error,
}

/// Collects what the library never asks the environment for.
///
/// # Errors
///
/// [`Exit::Internal`] when no private directory can be made, [`Exit::Usage`] for a word in
/// `AUTOCLAVE_WITHOUT` that names nothing.
pub fn host_facts() -> Result<HostFacts, Failure> {
    let without = std::env::var("AUTOCLAVE_WITHOUT").unwrap_or_default();
    let without = without
        .split(',')
        .filter(|word| !word.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|problem: String| {
            Failure::new(Exit::Usage, format!("in AUTOCLAVE_WITHOUT {problem}"))
        })?;
    let state = match std::env::var_os("AUTOCLAVE_STATE_DIR") {
        Some(state) => PathBuf::from(state),
        // /var/tmp is on disk where /tmp may be in memory; the uid keeps users apart.
        None => PathBuf::from(format!("/var/tmp/autoclave-{}", nix::unistd::geteuid())),
    };
    private_dir(&state)?;
    Ok(HostFacts {
        home: std::env::home_dir(),
        path: std::env::var_os("PATH"),
        state,
        without,
    })
}

/// Makes a directory that is ours alone, or finds it so.
fn private_dir(path: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    let failure = |problem: String| {
        Failure::new(Exit::Internal, problem)
            .hint("AUTOCLAVE_STATE_DIR names another directory for snapshots and sockets.")
    };
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(cause) => {
            return Err(failure(format!(
                "could not create `{}`: {cause}",
                path.display()
            )));
        }
        Ok(()) => {}
    }
    let metadata = std::fs::symlink_metadata(path)
        .map_err(|cause| failure(format!("could not look at `{}`: {cause}", path.display())))?;
    let ours = metadata.is_dir()
        && metadata.uid() == nix::unistd::geteuid().as_raw()
        // Others may be let through to a sandbox's own files, never to list or read.
        && metadata.mode() & 0o766 == 0o700;
    if ours {
        Ok(())
    } else {
        Err(failure(format!(
            "`{}` is not a private directory of this user",
            path.display()
        )))
    }
}

/// Reads credential and upstream from the environment; `None` when there is no credential.
///
/// # Errors
///
/// [`Exit::Usage`] when one of them is malformed.
pub fn model_service() -> Result<Option<ModelService>, Failure> {
    use autoclave_runner::gateway::CredentialError;
    let variable = |name: &str| std::env::var(name).ok();
    let credential = match Credential::from_env(&variable) {
        Ok(credential) => credential,
        Err(CredentialError::Missing) => return Ok(None),
        Err(error) => return Err(Failure::new(Exit::Usage, error)),
    };
    let upstream = match variable("ANTHROPIC_BASE_URL").filter(|text| !text.is_empty()) {
        None => Upstream::default(),
        Some(text) => Upstream::parse(&text).map_err(|error| {
            Failure::new(Exit::Usage, error)
                .hint("ANTHROPIC_BASE_URL names the upstream of the gateway.")
        })?,
    };
    Ok(Some(ModelService {
        credential,
        upstream,
    }))
}
