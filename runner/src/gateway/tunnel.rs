//! The proxy between the gateway and the upstream, where the network demands one.

use std::fmt;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

/// A proxy that opens a tunnel (`CONNECT`) to the upstream and sees only what TLS shows.
#[derive(Clone, PartialEq, Eq)]
pub struct TunnelProxy {
    pub(super) address: Uri,
    pub(super) auth: Option<HeaderValue>,
}

/// Says why a proxy cannot be used; never holds its address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TunnelProxyError {
    #[error("the proxy is no `http://host[:port]`")]
    NotHttp,
    #[error("the proxy's address holds a path or query")]
    Path,
}

impl TunnelProxy {
    /// Reads `[http://][user:password@]host[:port]`, the form of `HTTPS_PROXY`. `None` where the
    /// list `no_proxy` (the form of `NO_PROXY`) excepts `upstream`.
    ///
    /// # Errors
    ///
    /// [`TunnelProxyError`]: a proxy that is named is used or refused, never passed by.
    pub(super) fn parse(
        text: &str,
        no_proxy: &str,
        upstream: &Uri,
    ) -> Result<Option<Self>, TunnelProxyError> {
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = full.parse().map_err(|_| TunnelProxyError::NotHttp)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(TunnelProxyError::NotHttp);
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(TunnelProxyError::Path);
        }
        let matcher = Matcher::builder().https(full).no(no_proxy).build();
        Ok(matcher.intercept(upstream).map(|found| Self {
            address: found.uri().clone(),
            auth: found.basic_auth().cloned(),
        }))
    }
}

impl fmt::Debug for TunnelProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TunnelProxy({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, no_proxy: &str) -> Result<Option<(String, bool)>, TunnelProxyError> {
        let upstream = Uri::from_static("https://api.example.com");
        let proxy = TunnelProxy::parse(text, no_proxy, &upstream)?;
        Ok(proxy.map(|proxy| (proxy.address.to_string(), proxy.auth.is_some())))
    }

    #[test]
    fn forms_of_the_environment_are_read() {
        let cases = [
            ("http://proxy:3128", ("http://proxy:3128/", false)),
            ("proxy:3128", ("http://proxy:3128/", false)),
            ("http://me:word@proxy:3128/", ("http://proxy:3128/", true)),
        ];
        for (text, (address, has_auth)) in cases {
            let expected = Some((address.to_owned(), has_auth));
            assert_eq!(parsed(text, ""), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for text in ["https://proxy:1", "socks5://proxy:1", "http://", "a b", ""] {
            assert_eq!(parsed(text, ""), Err(TunnelProxyError::NotHttp), "{text}");
        }
        assert_eq!(parsed("http://proxy/path", ""), Err(TunnelProxyError::Path));
    }

    #[test]
    fn excepted_upstream_is_reached_directly() {
        for list in ["*", "example.com", ".example.com", "other, api.example.com"] {
            assert_eq!(parsed("proxy:1", list), Ok(None), "{list}");
        }
        assert!(parsed("proxy:1", "other.com").unwrap().is_some());
    }

    #[test]
    fn debug_hides_the_password() {
        let upstream = Uri::from_static("https://a");
        let proxy = TunnelProxy::parse("http://me:word@proxy:1", "", &upstream).unwrap();
        assert_eq!(format!("{proxy:?}"), "Some(TunnelProxy(http://proxy:1/))");
    }
}
