//! The one server that requests are passed on to.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

use super::trust::Trust;
use super::tunnel::{TunnelProxy, TunnelProxyError};

/// The base address of the model's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Scheme, authority and path prefix, without a slash at the end.
    base: String,
    is_tls: bool,
    trust: Trust,
    proxy: Option<TunnelProxy>,
}

/// Says why a text is not the address of an upstream; never holds the text, which may hold a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    #[error("the upstream is not an absolute URL")]
    NotAbsolute,
    #[error("the upstream is neither https nor http on a loopback host")]
    NotTls,
    #[error("the upstream holds a user name or password")]
    UserInfo,
    #[error("the upstream holds a query or fragment")]
    Query,
    #[error("the path of the upstream is not plain")]
    Path,
}

impl Upstream {
    /// Reads `https://host[:port][/prefix]`, or `http://` for a loopback host.
    ///
    /// # Errors
    ///
    /// A variant of [`UpstreamError`] for each rule.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        if text.contains(['?', '#']) {
            return Err(UpstreamError::Query);
        }
        let uri: Uri = text.parse().map_err(|_| UpstreamError::NotAbsolute)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(UpstreamError::NotAbsolute);
        };
        if authority.as_str().contains('@') {
            return Err(UpstreamError::UserInfo);
        }
        let is_tls = match scheme {
            "https" => true,
            "http" if is_loopback(authority.host()) => false,
            _ => return Err(UpstreamError::NotTls),
        };
        let prefix = uri.path().trim_end_matches('/');
        if prefix.contains("//") || prefix.contains("..") || prefix.contains('%') {
            return Err(UpstreamError::Path);
        }
        Ok(Self {
            base: format!("{scheme}://{authority}{prefix}"),
            is_tls,
            trust: Trust::default(),
            proxy: None,
        })
    }

    /// Lets other authorities vouch for the upstream's certificate.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Reaches the upstream through a proxy, unless it is on this host or `no_proxy` excepts it.
    ///
    /// # Errors
    ///
    /// [`TunnelProxyError`] when the proxy cannot be used.
    pub fn through(mut self, proxy: &str, no_proxy: &str) -> Result<Self, TunnelProxyError> {
        let uri: Uri = self.base.parse().expect("the base was made of a URL");
        let proxy = TunnelProxy::parse(proxy, no_proxy, &uri)?;
        self.proxy = proxy.filter(|_| !uri.host().is_some_and(is_loopback));
        Ok(self)
    }

    /// Returns the host, without port.
    pub fn host(&self) -> String {
        let uri: Uri = self.base.parse().expect("the base was made of a URL");
        uri.host().unwrap_or_default().to_owned()
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) fn proxy(&self) -> Option<&TunnelProxy> {
        self.proxy.as_ref()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the address of `path_and_query`, which starts with a slash; `None` if it is no URL.
    pub(super) fn join(&self, path_and_query: &str) -> Option<Uri> {
        format!("{}{path_and_query}", self.base).parse().ok()
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            base: "https://api.anthropic.com".to_owned(),
            is_tls: true,
            trust: Trust::default(),
            proxy: None,
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_prefix_is_kept() {
        let upstream = Upstream::parse("https://proxy.example/claude/").unwrap();
        assert_eq!(
            upstream.join("/v1/messages?beta=true").unwrap(),
            "https://proxy.example/claude/v1/messages?beta=true"
        );
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for loopback in [
            "http://localhost:1",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
        ] {
            assert_eq!(
                Upstream::parse(loopback).map(|u| u.to_string()),
                Ok(loopback.to_owned())
            );
        }
        for outside in [
            "http://api.anthropic.com",
            "http://127.0.0.1.evil.example",
            "ftp://localhost",
        ] {
            assert_eq!(Upstream::parse(outside), Err(UpstreamError::NotTls));
        }
    }

    #[test]
    fn user_query_and_odd_paths_are_refused() {
        let cases = [
            ("https://user:word@host", UpstreamError::UserInfo),
            ("https://host/?a=b", UpstreamError::Query),
            ("https://host/#f", UpstreamError::Query),
            ("https://host/a/../b", UpstreamError::Path),
            ("https://host/a%2eb", UpstreamError::Path),
            ("host", UpstreamError::NotAbsolute),
            ("", UpstreamError::NotAbsolute),
        ];
        for (text, error) in cases {
            assert_eq!(Upstream::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn upstream_on_this_host_needs_no_proxy() {
        let through = |upstream: &str| {
            let upstream = Upstream::parse(upstream).unwrap();
            upstream.through("http://proxy:1", "").unwrap().proxy
        };
        assert_eq!(through("http://127.0.0.1:8080"), None);
        assert_eq!(through("https://localhost:8080"), None);
        assert!(through("https://api.anthropic.com").is_some());
    }

    #[test]
    fn the_service_itself_is_the_default() {
        assert_eq!(
            Upstream::default(),
            Upstream::parse("https://api.anthropic.com").unwrap()
        );
    }
}
