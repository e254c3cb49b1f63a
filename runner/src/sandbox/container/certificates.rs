//! The certificates for TLS to an engine, looked at before they are used: a failed handshake names
//! no file.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::EngineError;
use crate::sandbox::BoxError;

/// The names of Docker's client for the engine's authority, our certificate, and its key.
pub const AUTHORITY: &str = "ca.pem";
pub const OWN: &str = "cert.pem";
pub const KEY: &str = "key.pem";

/// Checks that `folder` holds certificates and a key.
///
/// # Errors
///
/// [`EngineError::Certificate`] for the first file that is missing, unreadable or something else.
pub fn check(folder: &Path) -> Result<(), EngineError> {
    for (name, is_key) in [(AUTHORITY, false), (OWN, false), (KEY, true)] {
        let path = folder.join(name);
        let read = std::fs::read(&path).map_err(BoxError::from);
        let checked = read.and_then(|text| if is_key { key(&text) } else { chain(&text) });
        checked.map_err(|cause| EngineError::Certificate { path, cause })?;
    }
    Ok(())
}

fn chain(text: &[u8]) -> Result<(), BoxError> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(text) {
        certificate.map_err(|error| format!("it is no certificate: {error}"))?;
        count += 1;
    }
    if count == 0 {
        return Err("it holds no certificate (`-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(())
}

fn key(text: &[u8]) -> Result<(), BoxError> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is no private key: {error}").into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(folder: &Path) -> String {
        let error = check(folder).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        let text = format!("{error}: {cause}");
        text.replace(&format!("{}/", folder.display()), "")
    }

    #[test]
    fn what_is_missing_or_something_else_is_named_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        assert_eq!(
            told(folder),
            "cannot use `ca.pem` for TLS to the engine: No such file or directory (os error 2)"
        );
        put("ca.pem", "hello");
        assert_eq!(
            told(folder),
            "cannot use `ca.pem` for TLS to the engine: it holds no certificate \
             (`-----BEGIN CERTIFICATE-----`)"
        );
        let made = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        put("ca.pem", &certificate);
        put("cert.pem", &certificate.replace("-----END", "-----AND"));
        let text = told(folder);
        assert!(
            text.starts_with("cannot use `cert.pem` for TLS to the engine: it is no certificate: "),
            "{text}"
        );
        put("cert.pem", &certificate);
        put("key.pem", &certificate);
        let text = told(folder);
        assert!(
            text.starts_with("cannot use `key.pem` for TLS to the engine: it is no private key: "),
            "{text}"
        );
        put("key.pem", &key);
        check(folder).unwrap();
    }
}
