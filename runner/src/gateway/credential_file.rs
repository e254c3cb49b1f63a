//! The credential from a file that only its owner can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::credential::{Credential, CredentialError, CredentialKind};

/// Bytes of a credential file; more is no credential.
const MAX_BYTES: u64 = 16 * 1024;

/// A credential with the place it was read from.
#[derive(Debug)]
pub struct CredentialFile {
    pub credential: Credential,
    /// Absolute and without links: what a sandbox must not see.
    pub path: PathBuf,
}

/// Says why a file gives no credential; never holds what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFileError {
    #[error("could not read the credential file `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the credential file `{}` is not a regular file", path.display())]
    NotRegular { path: PathBuf },
    #[error("the credential file `{}` belongs to uid {uid}, not to this user or root", path.display())]
    NotOurs { path: PathBuf, uid: u32 },
    #[error("the credential file `{}` has mode {mode:03o}: others than its owner have access", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("the credential file `{}` is empty", path.display())]
    Empty { path: PathBuf },
    #[error("the credential file `{}` has more than one line", path.display())]
    SeveralLines { path: PathBuf },
    #[error(
        "the credential file `{}` is neither a key that starts with `sk-ant-` nor `NAME=value` with one of {}",
        path.display(), NAMES.join(", ")
    )]
    UnknownForm { path: PathBuf },
    #[error("the credential file `{}` cannot be used", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        cause: CredentialError,
    },
}

const NAMES: [&str; 3] = [
    CredentialKind::ApiKey.variable(),
    CredentialKind::AuthToken.variable(),
    CredentialKind::OauthToken.variable(),
];

impl CredentialFile {
    /// Reads one line: `NAME=value` with the name of a credential's variable, or a bare key.
    ///
    /// # Errors
    ///
    /// A variant of [`CredentialFileError`] for each rule.
    pub fn read(path: &Path) -> Result<Self, CredentialFileError> {
        let unreadable = |cause| CredentialFileError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let path = std::fs::canonicalize(path).map_err(unreadable)?;
        // Looked at before it is opened, since opening a fifo would wait for its writer.
        refuse_unsafe(&path, &std::fs::metadata(&path).map_err(unreadable)?)?;
        let file = File::open(&path).map_err(unreadable)?;
        refuse_unsafe(&path, &file.metadata().map_err(unreadable)?)?;
        let mut text = Vec::new();
        file.take(MAX_BYTES)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        let credential = parse(&text, &path)?;
        Ok(Self { credential, path })
    }
}

fn refuse_unsafe(path: &Path, metadata: &std::fs::Metadata) -> Result<(), CredentialFileError> {
    let path = path.to_owned();
    if !metadata.is_file() {
        return Err(CredentialFileError::NotRegular { path });
    }
    let uid = metadata.uid();
    if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
        return Err(CredentialFileError::NotOurs { path, uid });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialFileError::Open { path, mode });
    }
    Ok(())
}

fn parse(text: &[u8], path: &Path) -> Result<Credential, CredentialFileError> {
    let path = path.to_owned();
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(CredentialFileError::Empty { path });
    }
    if line.contains(&b'\n') {
        return Err(CredentialFileError::SeveralLines { path });
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(CredentialFileError::UnknownForm { path });
    };
    let named = line.split_once('=').and_then(|(name, value)| {
        let kind = CredentialKind::ALL
            .into_iter()
            .find(|kind| kind.variable() == name)?;
        Some((kind, value))
    });
    let (kind, secret) = match named {
        Some(named) => named,
        // What `claude setup-token` prints.
        None if line.starts_with("sk-ant-oat") => (CredentialKind::OauthToken, line),
        None if line.starts_with("sk-ant-") => (CredentialKind::ApiKey, line),
        None => return Err(CredentialFileError::UnknownForm { path }),
    };
    Credential::new(kind, secret).map_err(|cause| CredentialFileError::Malformed { path, cause })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Reads a file of `text` and `mode`; an error as its text, and its cause's.
    fn read(text: &str, mode: u32) -> Result<Credential, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        CredentialFile::read(&path)
            .map(|file| file.credential)
            .map_err(|error| {
                let cause = std::error::Error::source(&error)
                    .map_or_else(String::new, |cause| format!(": {cause}"));
                format!("{error}{cause}").replace(&path.display().to_string(), "KEY")
            })
    }

    fn credential(kind: CredentialKind, secret: &str) -> Credential {
        Credential::new(kind, secret).unwrap()
    }

    #[test]
    fn each_form_gives_its_kind() {
        use CredentialKind::{ApiKey, AuthToken, OauthToken};
        let cases = [
            ("ANTHROPIC_API_KEY=sk-1", ApiKey, "sk-1"),
            ("ANTHROPIC_AUTH_TOKEN=a=b\r\n", AuthToken, "a=b"),
            ("CLAUDE_CODE_OAUTH_TOKEN=t\n", OauthToken, "t"),
            ("sk-ant-api03-x\n", ApiKey, "sk-ant-api03-x"),
            ("sk-ant-oat01-x", OauthToken, "sk-ant-oat01-x"),
        ];
        for (text, kind, secret) in cases {
            assert_eq!(read(text, 0o600), Ok(credential(kind, secret)), "{text}");
            assert_eq!(read(text, 0o400), Ok(credential(kind, secret)), "{text}");
        }
    }

    #[test]
    fn what_stands_in_the_file_must_be_one_credential_and_is_never_echoed() {
        let no_form = "the credential file `KEY` is neither a key that starts with `sk-ant-` nor `NAME=value` \
                       with one of ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN";
        let cases = [
            ("", "the credential file `KEY` is empty"),
            ("\n", "the credential file `KEY` is empty"),
            (
                "sk-ant-1\nsk-ant-2\n",
                "the credential file `KEY` has more than one line",
            ),
            ("secret", no_form),
            ("export ANTHROPIC_API_KEY=secret", no_form),
            (
                "ANTHROPIC_API_KEY=",
                "the credential file `KEY` cannot be used: the credential in `ANTHROPIC_API_KEY` is empty",
            ),
            (
                "ANTHROPIC_API_KEY=\"se cret\"",
                "the credential file `KEY` cannot be used: the credential in `ANTHROPIC_API_KEY` holds white space or other unprintable characters",
            ),
            (
                "sk-ant-\u{7}",
                "the credential file `KEY` cannot be used: the credential in `ANTHROPIC_API_KEY` holds white space or other unprintable characters",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(read(text, 0o600), Err(error.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn file_that_others_can_reach_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
            assert_eq!(
                read("sk-ant-1", mode),
                Err(format!(
                    "the credential file `KEY` has mode {mode:03o}: others than its owner have access"
                ))
            );
        }
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        for path in [folder.path(), &fifo, Path::new("/dev/null")] {
            assert!(
                matches!(
                    CredentialFile::read(path),
                    Err(CredentialFileError::NotRegular { .. })
                ),
                "{}",
                path.display()
            );
        }
        let missing = CredentialFile::read(&folder.path().join("missing"));
        assert!(matches!(
            missing,
            Err(CredentialFileError::Unreadable { .. })
        ));
    }

    #[test]
    fn path_is_the_one_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "sk-ant-1").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let file = CredentialFile::read(&link).unwrap();
        assert_eq!(file.path, real.canonicalize().unwrap());
    }
}
