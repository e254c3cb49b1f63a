//! Which headers pass, in either direction.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::credential::{Credential, CredentialKind};

const REQUEST: [&str; 7] = [
    "accept",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "user-agent",
    "x-app",
    "x-claude-code-session-id",
];
const REQUEST_PREFIXES: [&str; 1] = ["x-stainless-"];
const RESPONSE: [&str; 5] = [
    "cache-control",
    "content-type",
    "request-id",
    "retry-after",
    "x-should-retry",
];
const RESPONSE_PREFIXES: [&str; 1] = ["anthropic-ratelimit-"];

const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Tells the service to take an OAuth token; with any other credential it is an error.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// Returns the headers of the upstream request: the allowed ones, and the one credential.
pub fn outgoing(given: &HeaderMap, credential: &Credential) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if passes(name, &REQUEST, &REQUEST_PREFIXES) && *name != BETA {
            headers.append(name.clone(), value.clone());
        }
    }
    if given.contains_key(CONTENT_TYPE) {
        // As the body was read here; another character set would make it another body there.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(betas) = betas(given, credential.kind()) {
        headers.insert(BETA, betas);
    }
    credential.inject(&mut headers);
    headers
}

/// Returns the headers of the answer: the allowed ones, without the secret.
pub fn incoming(given: &HeaderMap, credential: &Credential) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if !passes(name, &RESPONSE, &RESPONSE_PREFIXES) {
            continue;
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(
            credential.redact(Bytes::copy_from_slice(value.as_bytes())),
        ) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

/// Says whether a body comes in another form than its own, which is not looked into.
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    headers.contains_key(CONTENT_ENCODING)
        || !headers.get_all(TRANSFER_ENCODING).iter().all(is_chunked)
}

/// Says whether a response is a stream of events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

fn passes(name: &HeaderName, names: &[&str], prefixes: &[&str]) -> bool {
    let name = name.as_str();
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn betas(given: &HeaderMap, kind: CredentialKind) -> Option<HeaderValue> {
    let mut betas: Vec<&str> = given
        .get_all(BETA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|beta| !beta.is_empty() && *beta != OAUTH_BETA)
        .collect();
    if kind == CredentialKind::OauthToken {
        betas.push(OAUTH_BETA);
    }
    if betas.is_empty() {
        return None;
    }
    HeaderValue::try_from(betas.join(",")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn credential(kind: CredentialKind) -> Credential {
        Credential::new(kind, "secret").unwrap()
    }

    #[test]
    fn callers_credentials_and_connection_headers_are_dropped() {
        let given = map(&[
            ("authorization", "Bearer token"),
            ("x-api-key", "token"),
            ("cookie", "a=b"),
            ("proxy-authorization", "Basic x"),
            ("connection", "x-app"),
            ("accept-encoding", "gzip"),
            ("host", "evil"),
            ("x-forwarded-for", "1.2.3.4"),
            ("content-encoding", "gzip"),
            ("content-type", "application/json; charset=utf-7"),
            ("x-stainless-os", "Linux"),
            ("anthropic-version", "2023-06-01"),
        ]);
        let expected = map(&[
            ("content-type", "application/json"),
            ("x-stainless-os", "Linux"),
            ("anthropic-version", "2023-06-01"),
            ("x-api-key", "secret"),
        ]);
        assert_eq!(
            outgoing(&given, &credential(CredentialKind::ApiKey)),
            expected
        );
    }

    #[test]
    fn oauth_beta_goes_with_an_oauth_token_only() {
        let given = map(&[("anthropic-beta", "a-1, oauth-2025-04-20,b-2")]);
        assert_eq!(
            outgoing(&given, &credential(CredentialKind::OauthToken)),
            map(&[
                ("anthropic-beta", "a-1,b-2,oauth-2025-04-20"),
                ("authorization", "Bearer secret")
            ])
        );
        assert_eq!(
            outgoing(&given, &credential(CredentialKind::AuthToken)),
            map(&[
                ("anthropic-beta", "a-1,b-2"),
                ("authorization", "Bearer secret")
            ])
        );
    }

    #[test]
    fn answer_holds_no_cookie_and_no_secret() {
        let given = map(&[
            ("set-cookie", "a=b"),
            ("anthropic-organization-id", "org"),
            ("request-id", "for secret"),
            ("anthropic-ratelimit-requests-reset", "soon"),
            ("retry-after", "5"),
        ]);
        let expected = map(&[
            ("request-id", "for ******"),
            ("anthropic-ratelimit-requests-reset", "soon"),
            ("retry-after", "5"),
        ]);
        assert_eq!(
            incoming(&given, &credential(CredentialKind::ApiKey)),
            expected
        );
    }
}
