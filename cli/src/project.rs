//! The repository a command works on, its configuration, and the host it runs on.

use std::path::PathBuf;
use std::time::Duration;

use autoclave_policies::HostPolicy;
use autoclave_runner::campaign::{CampaignError, HostFacts};
use autoclave_runner::marker::{
    ConfigFile, Dialect, Marker, Problems, Status, parse_config, policy_named,
};
use autoclave_runner::repo::Repo;
use autoclave_runner::sandbox::container::EngineAddress;

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// The places of a configuration, first found wins.
pub const CONFIG: &str = ".autoclave/config.yaml";
pub const OLDER_CONFIG: &str = ".autoresearch/config.yaml";

/// A repository with its checked configuration.
pub struct Project {
    pub repo: Repo,
    pub config: Config,
}

/// A configuration without problems.
pub struct Config {
    pub file: ConfigFile,
    /// About the choice of the file.
    note: Option<String>,
}

/// Why there is no configuration to work with.
pub enum NoConfig {
    /// There is none, or it cannot be read.
    Absent(Failure),
    Wrong(Problems),
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
        match Config::read(&repo) {
            Ok(config) => Ok(Self { repo, config }),
            Err(NoConfig::Absent(failure)) => Err(failure),
            Err(NoConfig::Wrong(problems)) => Err(wrong(&problems)),
        }
    }

    /// Returns what the user should know about the configuration, each with its place.
    pub fn warnings(&self) -> Vec<String> {
        self.config.warnings()
    }

    /// Returns the marker called `name`, or the only one.
    ///
    /// # Errors
    ///
    /// [`Exit::Usage`] when there is no such marker, or none is named and there are several.
    pub fn marker(&self, name: Option<&str>) -> Result<Marker, Failure> {
        let markers = &self.config.file.markers;
        let origin = &self.config.file.source.origin;
        let names: Vec<&str> = markers.iter().map(|marker| marker.name.as_str()).collect();
        let found = match (name, markers.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => {
                let message = format!("`{origin}` holds {} markers", markers.len());
                let hint = format!("Name one with -m: {}.", names.join(", "));
                return Err(Failure::new(Exit::Usage, message).hint(hint));
            }
            (Some(name), markers) => markers.iter().find(|marker| marker.name == name),
        };
        found.cloned().ok_or_else(|| {
            let message = format!("`{origin}` has no marker `{}`", name.unwrap_or_default());
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
            .hint(format!(
                "Set `status: active` in `{}`.",
                self.config.file.source.origin
            ))),
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

/// Returns the policy called `name`: a preset, or a file of the checkout.
///
/// # Errors
///
/// [`Exit::Usage`] when there is no such policy, or its file is wrong.
pub fn policy(repo: &Repo, name: &str) -> Result<HostPolicy, Failure> {
    let read = |path: &str| std::fs::read_to_string(repo.work_dir().join(path));
    policy_named(name, &read).map_err(|problems| wrong(&problems))
}

impl Config {
    /// Reads the configuration of the checkout; our own file wins over the older tool's.
    ///
    /// # Errors
    ///
    /// There is none, or it has problems: all of them.
    pub fn read(repo: &Repo) -> Result<Self, NoConfig> {
        let at = |origin: &str| repo.work_dir().join(origin);
        for (origin, dialect) in [
            (CONFIG, Dialect::Autoclave),
            (OLDER_CONFIG, Dialect::Autoresearch),
        ] {
            let text = match std::fs::read_to_string(at(origin)) {
                Ok(text) => text,
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
                Err(cause) => {
                    let unreadable = Unreadable { origin, cause };
                    return Err(NoConfig::Absent(Failure::new(Exit::Usage, unreadable)));
                }
            };
            let read_policy = |path: &str| std::fs::read_to_string(at(path));
            let file =
                parse_config(&text, origin, dialect, &read_policy).map_err(NoConfig::Wrong)?;
            let both = dialect == Dialect::Autoclave && at(OLDER_CONFIG).exists();
            let note = both.then(|| format!("`{CONFIG}` is read, `{OLDER_CONFIG}` is not"));
            return Ok(Self { file, note });
        }
        let failure = Failure::new(Exit::Usage, format!("there is no `{CONFIG}`"))
            .hint("`autoclave init` writes one to start from.");
        Err(NoConfig::Absent(failure))
    }

    /// Returns what the user should know about the configuration, each with its place.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.file.warnings.iter();
        let rendered = warnings.map(|warning| warning.render(&self.file.source));
        self.note.iter().cloned().chain(rendered).collect()
    }

    /// Makes a failure of `error`; one about globs gets their places in the file.
    pub fn failure(&self, error: CampaignError) -> Failure {
        match self.idle_globs(&error) {
            Some(problems) => wrong(&problems),
            None => error.into(),
        }
    }

    /// Returns the places of the globs that `error` says match nothing.
    pub fn idle_globs(&self, error: &CampaignError) -> Option<Problems> {
        let CampaignError::IdleGlobs { marker, globs } = error else {
            return None;
        };
        let is_match = |glob: &str| !globs.iter().any(|idle| idle == glob);
        self.file.check_against_tree(marker, &is_match).err()
    }
}

/// Makes a failure of everything that is wrong in a configuration.
pub fn wrong(problems: &Problems) -> Failure {
    Failure::new(Exit::Usage, problems.to_string())
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
        engine: engine()?,
    })
}

/// Returns where a container engine is asked for, as other tools of engines find it.
///
/// # Errors
///
/// [`Exit::Usage`] when `AUTOCLAVE_ENGINE_TIMEOUT` is no number of seconds.
fn engine() -> Result<EngineAddress, Failure> {
    let of_podman = "/run/podman/podman.sock";
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| {
        let docker = "/var/run/docker.sock";
        let has_podman_only =
            !std::path::Path::new(docker).exists() && std::path::Path::new(of_podman).exists();
        format!(
            "unix://{}",
            if has_podman_only { of_podman } else { docker }
        )
    });
    let is_verified = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    let certificates = is_verified.then(|| {
        std::env::var_os("DOCKER_CERT_PATH").map_or_else(
            || std::env::home_dir().unwrap_or_default().join(".docker"),
            PathBuf::from,
        )
    });
    Ok(EngineAddress {
        host,
        certificates,
        patience: engine_patience()?,
    })
}

/// Returns how long an engine may take for one answer.
fn engine_patience() -> Result<Duration, Failure> {
    let Some(text) = std::env::var_os("AUTOCLAVE_ENGINE_TIMEOUT") else {
        return Ok(EngineAddress::PATIENCE);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    match seconds {
        Some(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("AUTOCLAVE_ENGINE_TIMEOUT is `{}`", text.to_string_lossy()),
        )
        .hint("It is a number of seconds, 1 to 3600.")),
    }
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
