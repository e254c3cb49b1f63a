//! One gateway for several runs: nothing of one is another's.

use std::fs;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::stage::{SECRET, status};
use crate::gateway::{
    Credential, CredentialKind, Lease, Prices, SOCKET_NAME, SharedGateway, SharedOptions,
    TimeLimits, Upstream,
};
use crate::model::Cost;

/// Costs more than a cent at anybody's prices, so that it is refused before anybody is asked.
const DEAR: &str = r#"{"model":"claude-haiku-4-5","max_tokens":60000,"messages":[]}"#;
fn cent() -> Cost {
    Cost::from_microdollars(10_000)
}

async fn start(folder: &Path, max_cost: Option<Cost>) -> SharedGateway {
    SharedGateway::start(SharedOptions {
        credential: Credential::new(CredentialKind::ApiKey, SECRET).unwrap(),
        // Nobody answers there.
        upstream: Upstream::parse("http://127.0.0.1:1").unwrap(),
        folder: folder.to_owned(),
        max_cost,
        prices: Prices::default(),
        limits: TimeLimits::default(),
    })
    .await
    .unwrap()
}

fn token(lease: &Lease) -> String {
    lease.sandbox_env()["ANTHROPIC_API_KEY"].clone()
}

/// Asks on the socket of `lease` with `token`; returns the whole answer.
async fn ask(lease: &Lease, token: &str) -> String {
    let socket = lease.folder().join(SOCKET_NAME);
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {token}\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{DEAR}",
        DEAR.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // A refused caller may find the connection reset; what came before counts.
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        answer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn runs_have_sockets_tokens_budgets_and_audit_lines_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let served = folder.path().join("served");
    fs::create_dir(&served).unwrap();
    // Left by a gateway that was killed.
    let left = served.join("0123456789abcdef0123456789abcdef");
    fs::create_dir(&left).unwrap();
    let gateway = start(&served, None).await;
    assert!(!left.exists());
    let audits = ["poor", "rich"].map(|name| folder.path().join(name));
    let control = gateway.control().to_owned();
    let poor = Lease::open(&control, Some(cent()), &audits[0])
        .await
        .unwrap();
    let rich = Lease::open(&control, None, &audits[1]).await.unwrap();
    assert_ne!(token(&poor), token(&rich));
    assert!(!format!("{:?}", rich.sandbox_env()).contains(SECRET));

    let refused = ask(&poor, &token(&poor)).await;
    assert!(refused.contains("budget_exceeded"), "{refused}");
    assert!(poor.metered().await.unwrap().budget_exceeded);
    assert_eq!(rich.metered().await.unwrap().requests, 0);

    assert_eq!(status(&ask(&rich, &token(&poor)).await), 401);
    assert_eq!(rich.metered().await.unwrap().requests, 1);
    assert_eq!(poor.metered().await.unwrap().requests, 1);

    let of_poor = poor.folder();
    poor.close().await.unwrap();
    let audited = fs::read_to_string(&audits[0]).unwrap();
    assert!(audited.contains("budget_exceeded"), "{audited}");
    assert_eq!(audited.lines().count(), 1);
    // The other run goes on.
    assert_eq!(status(&ask(&rich, "wrong").await), 401);
    assert!(!of_poor.exists());

    gateway.stop().await;
    let gone = rich.metered().await.unwrap_err();
    assert!(
        gone.to_string().contains("does not serve this run"),
        "{gone}"
    );
    rich.close().await.unwrap();
    assert_eq!(fs::read_to_string(&audits[1]).unwrap().lines().count(), 2);
    assert_eq!(fs::read_dir(&served).unwrap().count(), 0);
}

#[tokio::test]
async fn no_run_may_cost_more_than_the_gateway_allows() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path(), Some(cent())).await;
    for asked in [None, Some(Cost::from_microdollars(1_000_000_000))] {
        let audit = folder.path().join("audit");
        let lease = Lease::open(gateway.control(), asked, &audit).await.unwrap();
        let refused = ask(&lease, &token(&lease)).await;
        assert!(refused.contains("budget_exceeded"), "{asked:?}: {refused}");
        lease.close().await.unwrap();
    }
    gateway.stop().await;
}
