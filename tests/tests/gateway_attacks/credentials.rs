//! Tokens that are wrong, and credentials that a caller brings.

use super::stage::{BODY, Stage, lines};

#[test]
fn request_without_the_token_in_its_place_is_unauthorized() {
    let mut stage = Stage::set(&[]);
    let other = Stage::set(&[]);
    let (length, token) = (BODY.len(), stage.gateway.token().to_owned());
    let half = &token[..token.len() - 1];
    let others = other.gateway.token();
    for headers in [
        String::new(),
        "x-api-key:".to_owned(),
        "x-api-key: autoclave-guess".to_owned(),
        format!("x-api-key: {half}"),
        format!("x-api-key: {token}x"),
        format!("x-api-key: x{token}"),
        format!("x-api-key: \"{token}\""),
        format!("x-api-key: {token},{token}"),
        format!("x-api-key: {}", token.to_uppercase()),
        format!("x-api-key: {others}"),
        format!("x-api-key: Bearer {token}"),
        format!("authorization: {token}"),
        format!("authorization: Basic {token}"),
        format!("authorization: Bearer{token}"),
        format!("authorization: Bearer  {token}"),
        format!("authorization: Bearer {others}"),
        format!("x_api_key: {token}"),
        format!("x-goog-api-key: {token}"),
        format!("api-key: {token}"),
        format!("proxy-authorization: Bearer {token}"),
        format!("cookie: x-api-key={token}"),
        format!("x-api-key: {token}\r\nx-api-key: {token}"),
        format!("x-api-key: {token}\r\nX-Api-Key: autoclave-guess"),
        format!("x-api-key: autoclave-guess\r\nx-api-key: {token}"),
        format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}"),
    ] {
        let post = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: h\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{BODY}"
        );
        // An empty line would end the head.
        let post = post.replacen("h\r\n\r\ncontent", "h\r\ncontent", 1);
        stage.refuses(&headers, post, 401, "authentication_error");
    }
    let in_the_body = format!(r#"{{"model":"m","x-api-key":"{token}"}}"#);
    let post = stage.post(&in_the_body);
    let post = post.replace(&format!("x-api-key: {token}\r\n"), "");
    stage.refuses("in the body", post, 401, "authentication_error");
    stage.end();
}

#[test]
fn credentials_of_the_caller_are_dropped_under_all_names() {
    let mut stage = Stage::set(&[]);
    for header in [
        "authorization: Bearer stolen",
        "Authorization: Basic c3RvbGVu",
        "proxy-authorization: Basic c3RvbGVu",
        "www-authenticate: Basic",
        "cookie: session=stolen",
        "cookie2: stolen",
        "set-cookie: session=stolen",
        "x-api-key2: stolen",
        "x-auth-token: stolen",
        "x-access-token: stolen",
        "x-csrf-token: stolen",
        "x-goog-api-key: stolen",
        "x-amz-security-token: stolen",
        "api-key: stolen",
        "anthropic-api-key: stolen",
        "anthropic-auth-token: stolen",
        "anthropic-client-cert: stolen",
        "ocp-apim-subscription-key: stolen",
        "x-forwarded-authorization: Bearer stolen",
        "x-app-token: stolen",
    ] {
        let (_, seen) = stage.passes(header, stage.post_with(header));
        assert_eq!(lines(&seen), stage.in_order(), "{header}");
    }
    stage.end();
}

#[test]
fn token_passes_in_either_header_and_never_gets_to_the_service() {
    let mut stage = Stage::set(&[]);
    let token = stage.gateway.token().to_owned();
    let key = format!("x-api-key: {token}");
    for header in [
        format!("authorization: Bearer {token}"),
        format!("Authorization: bEaReR {token}"),
        format!("{key}\r\nauthorization: Bearer stolen"),
        format!("authorization: Bearer {token}\r\nx-api-key: stolen"),
    ] {
        let post = stage.post(BODY).replace(&key, &header);
        let (_, seen) = stage.passes(&header, post);
        assert_eq!(lines(&seen), stage.in_order(), "{header}");
    }
    stage.end();
}
