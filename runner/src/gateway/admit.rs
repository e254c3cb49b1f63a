//! Which request heads are let in.

use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};

use super::limits::{MAX_BODY_BYTES, MAX_HEAD_BYTES};
use super::reply::Refusal;

const MAX_NAME_BYTES: usize = 128;

/// What an admitted request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The question whether anybody is there.
    Probe,
    Messages,
    CountTokens,
    Models,
}

/// Says what a request asks for, or why it is refused.
///
/// # Errors
///
/// The [`Refusal`] to answer with.
pub fn admit(head: &Parts, token: &str) -> Result<Route, Refusal> {
    if head.version != Version::HTTP_11 {
        return Err(Refusal::invalid("only HTTP/1.1 is spoken here"));
    }
    // The server's own bound is on its buffer, and coarser.
    if head_bytes(head) > MAX_HEAD_BYTES {
        return Err(Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "request_too_large",
            "the head is larger than 64 KiB",
        ));
    }
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(Refusal::invalid("the target must be a path"));
    }
    if head.headers.get_all(HOST).iter().count() != 1 {
        return Err(Refusal::invalid("there must be one host header"));
    }
    if head.headers.contains_key(UPGRADE) {
        return Err(Refusal::invalid("upgrades are not allowed"));
    }
    let route = route(&head.method, head.uri.path()).ok_or_else(Refusal::not_found)?;
    if !head.uri.query().is_none_or(is_plain_query) {
        return Err(Refusal::invalid("the query is not plain"));
    }
    admit_length(head, route)?;
    if route != Route::Probe && !holds_token(head, token) {
        let message = "the request does not hold the token of this run";
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            message,
        ));
    }
    Ok(route)
}

fn head_bytes(head: &Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |t| t.as_str().len());
    let headers = head.headers.iter();
    target
        + headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
}

/// Requires a declared length of requests with a body. A request with both framings may reach us
/// with either of them removed, so that chunked bodies are refused altogether.
fn admit_length(head: &Parts, route: Route) -> Result<(), Refusal> {
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::new(
            StatusCode::LENGTH_REQUIRED,
            "invalid_request_error",
            "the body must come with a content length",
        ));
    }
    let declared = body_bytes(head)?;
    match route {
        Route::Probe | Route::Models if declared.unwrap_or(0) > 0 => {
            Err(Refusal::invalid("this request takes no body"))
        }
        Route::Probe | Route::Models => Ok(()),
        Route::Messages | Route::CountTokens => match declared {
            None => Err(Refusal::new(
                StatusCode::LENGTH_REQUIRED,
                "invalid_request_error",
                "the body must come with a content length",
            )),
            Some(bytes) if bytes > MAX_BODY_BYTES => {
                Err(Refusal::too_large("the body is larger than 32 MiB"))
            }
            Some(_) => Ok(()),
        },
    }
}

/// Returns the declared length of the body.
pub fn body_bytes(head: &Parts) -> Result<Option<u64>, Refusal> {
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(None);
    };
    let parsed = length.to_str().ok().and_then(|text| text.parse().ok());
    match (parsed, lengths.next()) {
        (Some(bytes), None) => Ok(Some(bytes)),
        _ => Err(Refusal::invalid("the content length is not one number")),
    }
}

/// Compares whole paths, so that no spelling of dots, slashes or escapes gets further.
fn route(method: &Method, path: &str) -> Option<Route> {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/") => Some(Route::Probe),
        (&Method::POST, "/v1/messages") => Some(Route::Messages),
        (&Method::POST, "/v1/messages/count_tokens") => Some(Route::CountTokens),
        (&Method::GET, "/v1/models") => Some(Route::Models),
        (&Method::GET, path) => {
            let model = path.strip_prefix("/v1/models/")?;
            is_model_name(model).then_some(Route::Models)
        }
        _ => None,
    }
}

fn is_model_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('.')
        && !name.contains("..")
}

fn is_plain_query(query: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.=&".contains(&b);
    query.len() <= MAX_NAME_BYTES && query.bytes().all(is_plain)
}

/// A header that occurs twice holds none: which of them counts is not guessed.
fn holds_token(head: &Parts, token: &str) -> bool {
    let only = |name: HeaderName| {
        let mut values = head.headers.get_all(name).iter();
        let value = values.next().map(HeaderValue::as_bytes);
        value.filter(|_| values.next().is_none())
    };
    let key = only(HeaderName::from_static("x-api-key"));
    let bearer = only(AUTHORIZATION).and_then(|value| {
        let (scheme, rest) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
    });
    [key, bearer]
        .into_iter()
        .flatten()
        .any(|given| is_same(given, token.as_bytes()))
}

/// Compares in a time that depends on the lengths only.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn judged(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Route, u16> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head, "the-token").map_err(|refusal| refusal.status.as_u16())
    }

    const HOST_AND_KEY: [(&str, &str); 2] = [("host", "localhost"), ("x-api-key", "the-token")];

    #[test]
    fn messages_api_is_let_in() {
        let with_body = [HOST_AND_KEY.as_slice(), &[("content-length", "2")]].concat();
        let post = |target| judged("POST", target, &with_body);
        let get = |target| judged("GET", target, &HOST_AND_KEY);
        assert_eq!(post("/v1/messages?beta=true"), Ok(Route::Messages));
        assert_eq!(post("/v1/messages/count_tokens"), Ok(Route::CountTokens));
        assert_eq!(get("/v1/models?limit=100"), Ok(Route::Models));
        assert_eq!(get("/v1/models/claude-opus-4-5"), Ok(Route::Models));
        assert_eq!(judged("HEAD", "/", &HOST_AND_KEY[..1]), Ok(Route::Probe));
    }

    #[test]
    fn everything_else_is_not_found() {
        for target in [
            "/v1/messages/",
            "/v1/messages/batches",
            "/v1//messages",
            "/v1/models/../files",
            "/v1/models/%2e%2e",
            "/v1/models/a%00",
            "/v1/models/a/b",
            "/v1/models/",
            "/v1/files",
            "/v1/organizations/me",
        ] {
            assert_eq!(judged("GET", target, &HOST_AND_KEY), Err(404), "{target}");
            assert_eq!(judged("POST", target, &HOST_AND_KEY), Err(404), "{target}");
        }
        assert_eq!(judged("DELETE", "/v1/messages", &HOST_AND_KEY), Err(404));
    }

    #[test]
    fn token_must_be_the_one_of_this_run() {
        let with = |name, value| judged("GET", "/v1/models", &[("host", "h"), (name, value)]);
        assert_eq!(with("authorization", "Bearer the-token"), Ok(Route::Models));
        assert_eq!(with("x-api-key", "the-token"), Ok(Route::Models));
        assert_eq!(with("authorization", "the-token"), Err(401));
        assert_eq!(with("x-api-key", "the-tokem"), Err(401));
        assert_eq!(with("x-api-key", "the-toke"), Err(401));
        assert_eq!(with("x-api-key", ""), Err(401));
        assert_eq!(with("cookie", "the-token"), Err(401));
        let twice = [HOST_AND_KEY[0], HOST_AND_KEY[1], HOST_AND_KEY[1]];
        assert_eq!(judged("GET", "/v1/models", &twice), Err(401));
    }

    #[test]
    fn odd_framing_is_refused() {
        let post = |name, value| {
            let headers = [HOST_AND_KEY.as_slice(), &[(name, value)]].concat();
            judged("POST", "/v1/messages", &headers)
        };
        assert_eq!(post("transfer-encoding", "chunked"), Err(411));
        assert_eq!(post("accept", "*/*"), Err(411));
        assert_eq!(post("content-length", "33554433"), Err(413));
        assert_eq!(post("content-length", "x"), Err(400));
        assert_eq!(post("host", "other"), Err(400));
        assert_eq!(post("upgrade", "h2c"), Err(400));
        assert_eq!(
            judged("POST", "http://h/v1/messages", &HOST_AND_KEY),
            Err(400)
        );
    }

    #[test]
    fn query_is_plain_and_short() {
        let get = |query: &str| judged("GET", &format!("/v1/models?{query}"), &HOST_AND_KEY);
        assert_eq!(get("after_id=a&limit=3"), Ok(Route::Models));
        assert_eq!(get("a=%2e"), Err(400));
        assert_eq!(get(&"a".repeat(129)), Err(400));
    }
}
