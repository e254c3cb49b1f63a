//! The one secret of a run: the credential for the model's service.

use std::fmt;

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::redactor::Redactor;

/// What the service takes the secret for; decides the header and the environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    ApiKey,
    AuthToken,
    OauthToken,
}

impl CredentialKind {
    /// In the order in which they are looked for.
    pub(super) const ALL: [Self; 3] = [Self::ApiKey, Self::AuthToken, Self::OauthToken];

    /// Returns the environment variable that Claude Code reads this kind from.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::ApiKey => "ANTHROPIC_API_KEY",
            Self::AuthToken => "ANTHROPIC_AUTH_TOKEN",
            Self::OauthToken => "CLAUDE_CODE_OAUTH_TOKEN",
        }
    }
}

/// A credential for the model's service. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    kind: CredentialKind,
    secret: String,
}

/// Says why there is no usable credential; never holds the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error(
        "no credential: none of `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`, `CLAUDE_CODE_OAUTH_TOKEN` is set"
    )]
    Missing,
    #[error("the credential in `{variable}` is empty")]
    Empty { variable: &'static str },
    #[error("the credential in `{variable}` holds white space or other unprintable characters")]
    Unprintable { variable: &'static str },
    #[error("`{first}` and `{second}` are both set, and differ")]
    Differ {
        first: &'static str,
        second: &'static str,
    },
}

impl Credential {
    /// Takes a secret, which must be printable ASCII without spaces.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Empty`] and [`CredentialError::Unprintable`].
    pub fn new(kind: CredentialKind, secret: impl Into<String>) -> Result<Self, CredentialError> {
        let secret = secret.into();
        let variable = kind.variable();
        if secret.is_empty() {
            return Err(CredentialError::Empty { variable });
        }
        if !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CredentialError::Unprintable { variable });
        }
        Ok(Self { kind, secret })
    }

    /// Takes the credential that `variable` (the environment) holds; empty ones are absent. One that
    /// stands in several variables has the kind of the first of them.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Missing`], [`CredentialError::Unprintable`], and
    /// [`CredentialError::Differ`] where there are several: which one is meant is not guessed.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, CredentialError> {
        let mut found: Option<Self> = None;
        for kind in CredentialKind::ALL {
            let Some(secret) = variable(kind.variable()).filter(|secret| !secret.is_empty()) else {
                continue;
            };
            let next = Self::new(kind, secret)?;
            match &found {
                Some(first) if !first.is_same_secret(&next) => {
                    return Err(CredentialError::Differ {
                        first: first.kind.variable(),
                        second: kind.variable(),
                    });
                }
                Some(_) => {}
                None => found = Some(next),
            }
        }
        found.ok_or(CredentialError::Missing)
    }

    /// Says whether both are the same secret, of whatever kind.
    pub fn is_same_secret(&self, other: &Self) -> bool {
        self.secret == other.secret
    }

    pub fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Puts the credential, and only this one, into the headers of an upstream request.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        let (name, text) = match self.kind {
            CredentialKind::ApiKey => (HeaderName::from_static("x-api-key"), self.secret.clone()),
            CredentialKind::AuthToken | CredentialKind::OauthToken => {
                (AUTHORIZATION, format!("Bearer {}", self.secret))
            }
        };
        let mut value =
            HeaderValue::try_from(text).expect("printable ASCII is a valid header value");
        value.set_sensitive(true);
        headers.insert(name, value);
    }

    /// Returns what takes the secret out of a stream of bytes.
    pub(super) fn redactor(&self) -> Redactor {
        Redactor::new(&self.secret)
    }

    /// Returns `bytes` with every occurrence of the secret replaced by as many `*`.
    pub(super) fn redact(&self, bytes: Bytes) -> Bytes {
        let mut redactor = self.redactor();
        let mut redacted = BytesMut::from(redactor.push(bytes));
        redacted.extend_from_slice(&redactor.finish());
        redacted.freeze()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, ..)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Credential, CredentialError> {
        Credential::from_env(&|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_that_differ_are_an_error_and_the_same_secret_twice_is_not() {
        let differ = from(&[
            ("CLAUDE_CODE_OAUTH_TOKEN", "oauth"),
            ("ANTHROPIC_API_KEY", "key"),
        ]);
        assert_eq!(
            differ.unwrap_err().to_string(),
            "`ANTHROPIC_API_KEY` and `CLAUDE_CODE_OAUTH_TOKEN` are both set, and differ"
        );
        let same = from(&[
            ("ANTHROPIC_AUTH_TOKEN", "key"),
            ("ANTHROPIC_API_KEY", "key"),
        ]);
        assert_eq!(same, Credential::new(CredentialKind::ApiKey, "key"));
    }

    #[test]
    fn empty_variable_counts_as_absent() {
        let credential = from(&[
            ("ANTHROPIC_API_KEY", ""),
            ("CLAUDE_CODE_OAUTH_TOKEN", "oauth"),
        ]);
        assert_eq!(
            credential,
            Credential::new(CredentialKind::OauthToken, "oauth")
        );
        assert_eq!(from(&[]), Err(CredentialError::Missing));
    }

    #[test]
    fn line_break_is_an_error_that_does_not_echo_the_secret() {
        let error = from(&[("ANTHROPIC_API_KEY", "sk-se\ncret")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the credential in `ANTHROPIC_API_KEY` holds white space or other unprintable characters"
        );
    }

    #[test]
    fn debug_hides_the_secret() {
        let credential = Credential::new(CredentialKind::ApiKey, "sk-secret").unwrap();
        assert_eq!(format!("{credential:?}"), "Credential(ApiKey, ..)");
    }

    #[test]
    fn every_occurrence_is_redacted() {
        let credential = Credential::new(CredentialKind::ApiKey, "sk-1").unwrap();
        assert_eq!(credential.redact("a sk-1sk-1 sk-".into()), "a ******** sk-");
    }
}
