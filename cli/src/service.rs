//! The model's service as the environment names it: credential, upstream, the way there.

use std::env;
use std::path::{Path, PathBuf};

use autoclave_runner::campaign::{ModelService, OwnService};
use autoclave_runner::gateway::{
    Credential, CredentialError, CredentialFile, CredentialFileError, Prices, Trust, Upstream,
};

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// Names the file of the credential.
const CREDENTIAL_FILE: &str = "AUTOCLAVE_CREDENTIAL_FILE";

/// Names the control socket of a gateway that has the credential.
const GATEWAY: &str = "AUTOCLAVE_GATEWAY";

/// Collects how a run reaches the model's service: through the gateway that `AUTOCLAVE_GATEWAY`
/// names, else as [`own`] says; `None` when there is neither.
///
/// # Errors
///
/// [`Exit::Usage`] as [`own`], and when there are both.
pub fn from_environment(file: Option<&Path>) -> Result<Option<ModelService>, Failure> {
    let service = own(file)?;
    let Some(control) = env::var_os(GATEWAY).filter(|path| !path.is_empty()) else {
        return Ok(service.map(|service| ModelService::Own(Box::new(service))));
    };
    if service.is_some() {
        let message = format!("there is a credential, and {GATEWAY} names a gateway with one");
        return Err(Failure::new(Exit::Usage, message)
            .hint("Unset one of both: which one to use, and pay with, is not guessed."));
    }
    let control = PathBuf::from(control);
    Ok(Some(ModelService::Shared { control }))
}

/// Collects what a gateway needs of the environment, with the credential from `file` if one is
/// given; `None` when there is no credential.
///
/// # Errors
///
/// [`Exit::Usage`] when something is malformed, or two credentials differ.
pub fn own(file: Option<&Path>) -> Result<Option<OwnService>, Failure> {
    let named = env::var_os(CREDENTIAL_FILE).filter(|path| !path.is_empty());
    let file = file.map(Path::to_owned).or(named.map(PathBuf::from));
    let Some((credential, credential_file)) = credential(file.as_deref())? else {
        return Ok(None);
    };
    Ok(Some(OwnService {
        credential,
        upstream: upstream()?,
        prices: prices()?,
        credential_file,
    }))
}

fn credential(file: Option<&Path>) -> Result<Option<(Credential, Option<PathBuf>)>, Failure> {
    let from_env = match Credential::from_env(&variable) {
        Ok(credential) => Some(credential),
        Err(CredentialError::Missing) => None,
        Err(error @ CredentialError::Differ { .. }) => {
            return Err(Failure::new(Exit::Usage, error)
                .hint("Unset all but one: which one to use, and pay with, is not guessed."));
        }
        Err(error) => return Err(Failure::new(Exit::Usage, error)),
    };
    let Some(file) = file else {
        return Ok(from_env.map(|credential| (credential, None)));
    };
    let file = CredentialFile::read(file).map_err(refused_file)?;
    if let Some(other) = &from_env
        && !other.is_same_secret(&file.credential)
    {
        let message = format!(
            "the credential file `{}` and `{}` differ",
            file.path.display(),
            other.kind().variable()
        );
        return Err(Failure::new(Exit::Usage, message).hint(
            "Unset the variable, or do not name the file: which one to use is not guessed.",
        ));
    }
    Ok(Some((file.credential, Some(file.path))))
}

fn refused_file(error: CredentialFileError) -> Failure {
    let hint = match &error {
        CredentialFileError::Open { path, .. } => format!("chmod 600 '{}'", path.display()),
        CredentialFileError::NotOurs { .. } => {
            "Copy it into a file of this user, mode 600.".to_owned()
        }
        CredentialFileError::NotRegular { .. } => {
            "Name a file; pipes and devices are not read.".to_owned()
        }
        CredentialFileError::Empty { .. }
        | CredentialFileError::SeveralLines { .. }
        | CredentialFileError::UnknownForm { .. }
        | CredentialFileError::Malformed { .. } => {
            "It holds one line, such as ANTHROPIC_API_KEY=sk-ant-..., without quotes.".to_owned()
        }
        CredentialFileError::Unreadable { .. } => {
            format!("Named by --credential-file or {CREDENTIAL_FILE}.")
        }
    };
    Failure::new(Exit::Usage, error).hint(hint)
}

fn upstream() -> Result<Upstream, Failure> {
    let upstream = match variable("ANTHROPIC_BASE_URL") {
        None => Upstream::default(),
        Some(text) => Upstream::parse(&text).map_err(|error| {
            Failure::new(Exit::Usage, error)
                .hint("ANTHROPIC_BASE_URL names the upstream of the gateway.")
        })?,
    };
    let path = |name| variable(name).map(PathBuf::from);
    let trust = Trust::from_files(
        path("SSL_CERT_FILE").as_deref(),
        path("NODE_EXTRA_CA_CERTS").as_deref(),
    )
    .map_err(|error| {
        Failure::new(Exit::Usage, error)
            .hint("SSL_CERT_FILE and NODE_EXTRA_CA_CERTS name files of PEM certificates.")
    })?;
    let upstream = upstream.trusting(trust);
    let Some((name, proxy)) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    else {
        return Ok(upstream);
    };
    let no_proxy = first(&["no_proxy", "NO_PROXY"]).map_or_else(String::new, |(_, list)| list);
    upstream.through(&proxy, &no_proxy).map_err(|error| {
        Failure::new(Exit::Usage, error).hint(format!(
            "{name} names a proxy of HTTP, which is asked for a tunnel; TLS to the proxy and SOCKS \
             are not spoken. Unset it, or list the upstream in NO_PROXY."
        ))
    })
}

fn prices() -> Result<Prices, Failure> {
    let Some(path) = variable("AUTOCLAVE_PRICES") else {
        return Ok(Prices::default());
    };
    let failure = |error: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(Exit::Usage, error).hint(format!("AUTOCLAVE_PRICES names `{path}`."))
    };
    let text = std::fs::read_to_string(&path).map_err(|cause| failure(cause.into()))?;
    Prices::parse(&text).map_err(|error| failure(error.into()))
}

fn first(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, variable(name)?)))
}

/// Returns a variable that is set and not empty. What is not UTF-8 is replaced, and so refused where
/// it matters.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}
