//! Which certificate authorities vouch for the upstream.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The authorities that the upstream's certificate may come from; by default the public ones that
/// are built in. The system's own store is not read.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Stand in for the public ones.
    only: Option<Vec<CertificateDer<'static>>>,
    added: Vec<CertificateDer<'static>>,
}

/// Says what is wrong with a file of certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("could not read certificates from `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: rustls::pki_types::pem::Error,
    },
    #[error("`{}` holds no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("a certificate in `{}` cannot be used", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        cause: rustls::Error,
    },
}

impl Trust {
    /// Trusts the authorities in the PEM file `only` (`SSL_CERT_FILE`) instead of the public ones,
    /// and those in `added` (`NODE_EXTRA_CA_CERTS`) as well.
    ///
    /// # Errors
    ///
    /// A variant of [`TrustError`]: a file that is named must be of use.
    pub fn from_files(only: Option<&Path>, added: Option<&Path>) -> Result<Self, TrustError> {
        Ok(Self {
            only: only.map(read).transpose()?,
            added: added.map(read).transpose()?.unwrap_or_default(),
        })
    }

    /// Returns the store for TLS.
    pub(super) fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        if self.only.is_none() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for certificate in self.only.iter().flatten().chain(&self.added) {
            roots.add(certificate.clone()).map_err(io::Error::other)?;
        }
        Ok(roots)
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |cause| TrustError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(TrustError::Empty {
            path: path.to_owned(),
        });
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|cause| TrustError::Unusable {
                path: path.to_owned(),
                cause,
            })?;
    }
    Ok(certificates)
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = self.only.as_ref().map(Vec::len);
        write!(f, "Trust(only {only:?}, added {})", self.added.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let error = Trust::from_files(Some(file.path()), None).unwrap_err();
        error
            .to_string()
            .replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn file_that_is_of_no_use_is_an_error() {
        assert_eq!(error("no certificate"), "`FILE` holds no certificate");
        assert_eq!(
            error("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
            "could not read certificates from `FILE`"
        );
        assert_eq!(
            error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "a certificate in `FILE` cannot be used"
        );
        let missing = Trust::from_files(None, Some(Path::new("/nowhere/ca.pem")));
        assert_eq!(
            missing.unwrap_err().to_string(),
            "could not read certificates from `/nowhere/ca.pem`"
        );
    }

    #[test]
    fn public_authorities_are_the_default() {
        assert!(Trust::default().roots().unwrap().len() > 50);
    }
}
