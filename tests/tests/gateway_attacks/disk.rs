//! A disk that is full in the middle of it.

use std::process::Command;

use e2e::gateway_process::{GatewayProcess, wait_until};
use e2e::hostile_service::HostileService;
use e2e::stage::autoclave;
use serde_json::Value;

use super::stage::BODY;

/// Bytes that a file may have, as long as the disk is full.
const ROOM: u64 = 20 << 10;
const CALLERS: usize = 16;

/// A file that may not grow fails in the way that one on a full disk does, in the middle of a line
/// too, and needs no mount: what follows is started with that limit, and without the signal for it.
const LIMITED: &str = r#"trap '' XFSZ; exec "$0" "$@""#;

#[test]
fn nothing_passes_that_is_not_written_down_and_no_line_is_lost_or_torn() {
    let service = HostileService::start();
    let mut command = Command::new("sh");
    command.args(["-c", LIMITED]).arg(autoclave());
    let gateway = GatewayProcess::start_through(&service.url(), &[], command);
    let pid = gateway.pid().to_string();
    let limit = |bytes: &str| {
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={bytes}:")])
            .status()
            .unwrap();
        assert!(status.success());
    };
    limit(&ROOM.to_string());

    let post = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        gateway.token(),
        BODY.len()
    );
    // Asks until it is refused, as many at a time as there are callers.
    let until_refused = || {
        let mut passed = 0;
        loop {
            let reply = gateway.send(post.as_bytes());
            match (reply.status(), reply.kind().as_deref()) {
                (200, None) => passed += 1,
                (503, Some("audit_failed")) => return passed,
                _ => panic!("{reply:?}"),
            }
        }
    };
    let passed: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(until_refused)).collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum()
    });
    assert!(passed > CALLERS, "the disk was not full from the beginning");
    assert_eq!(service.seen().len(), passed);
    let size = || {
        std::fs::metadata(gateway.path("audit.jsonl"))
            .unwrap()
            .len()
    };
    assert_eq!(size(), ROOM, "it is filled to the last byte");
    // Nothing passes now, whatever is asked.
    assert_eq!(
        gateway.send(post.as_bytes()).kind().as_deref(),
        Some("audit_failed")
    );
    assert_eq!(service.seen(), [""; 0]);

    limit("unlimited");
    wait_until(
        || gateway.send(post.as_bytes()).status() == 200,
        "room on the disk",
    );
    let refused = CALLERS + 1;
    let lines = gateway.audited(passed + refused + 1);
    let with = |status: u16| lines.iter().filter(|line| line["status"] == status).count();
    assert_eq!(
        (with(200), with(503), lines.len()),
        (passed + 1, refused, passed + refused + 1)
    );
    // In the order in which they ended.
    let ends: Vec<i64> = lines
        .iter()
        .map(|line| line["at_ms"].as_i64().unwrap() + line["ms"].as_i64().unwrap())
        .collect();
    assert!(ends.is_sorted_by(|a, b| *a <= *b + 5), "{ends:?}");
    let last: &Value = lines.last().unwrap();
    assert_eq!(last["status"], 200);
    assert_eq!(service.seen().len(), 1);
    gateway.terminate();
}
