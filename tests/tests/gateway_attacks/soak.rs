//! Ten thousand requests, 64 at a time.

use e2e::gateway_process::{GatewayProcess, wait_until};
use e2e::model_server::ModelServer;
use e2e::soak::{Audited, ROUND, script, soak};
use serde_json::Value;

use super::runs::Run;

/// 2,000 requests, after which nothing is larger than it will be.
const FIRST: usize = 2_000 / ROUND;
const ALL: usize = 10_000 / ROUND;
/// What 8,000 more requests may add: less than half a kilobyte each. A body, an answer or a
/// connection that is kept is 4 KiB and more; 8,000 of them would be 32 MiB.
const MAX_GROWTH_KIB: u64 = 4 << 10;
const BUDGET: [&str; 2] = ["--max-cost-usd", "1000000"];

#[test]
fn ten_thousand_requests_leave_nothing_behind() {
    let model = ModelServer::start(script(ALL)).unwrap();
    let gateway = GatewayProcess::start(&model.url(), &BUDGET);
    let (socket, token) = (gateway.socket(), gateway.token().to_owned());
    let descriptors = gateway.descriptors();
    soak(&socket, &token, 0..FIRST);
    let first = gateway.memory_kib();
    soak(&socket, &token, FIRST..ALL);
    let lines = gateway.audited(ROUND * ALL);
    let grown = grown(&gateway, first);
    let audited = Audited::of(&lines, ALL);
    assert_eq!(audited, Audited::after(ALL));
    ended(&gateway, model, descriptors);
    let last = gateway.terminate().unwrap();
    assert_eq!(last["requests"], ROUND * ALL);
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB more");
}

#[test]
fn runs_side_by_side_leave_nothing_behind() {
    const RUNS: usize = 4;
    let model = ModelServer::start(script(ALL)).unwrap();
    let arguments = ["--runs", BUDGET[0], BUDGET[1]];
    let gateway = GatewayProcess::start(&model.url(), &arguments);
    let descriptors = gateway.descriptors();
    let after_one = |rounds: std::ops::Range<usize>| {
        let mut run = Run::open(&gateway);
        let (socket, token) = (run.socket.clone(), run.token.clone());
        let count = rounds.len();
        let lines: Vec<Value> = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let lines = (0..ROUND * count).map(|_| run.audited());
                lines.collect()
            });
            soak(&socket, &token, rounds);
            reading.join().unwrap()
        });
        assert_eq!(run.close(), [Value::Null; 0], "one line a request");
        assert_eq!(Audited::of(&lines, count), Audited::after(count));
    };
    let after_all = |rounds: std::ops::Range<usize>| {
        let each = rounds.len() / RUNS;
        std::thread::scope(|scope| {
            for run in 0..RUNS {
                let start = rounds.start + run * each;
                let after_one = &after_one;
                scope.spawn(move || after_one(start..start + each));
            }
        });
    };
    after_all(0..FIRST);
    let first = gateway.memory_kib();
    after_all(FIRST..ALL);
    let grown = grown(&gateway, first);
    ended(&gateway, model, descriptors);
    gateway.terminate();
    // Four gateways, each with buffers of its own, which the second half opens anew.
    assert!(grown < 2 * MAX_GROWTH_KIB, "{grown} KiB more");
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs it alone")]
fn grown(gateway: &GatewayProcess, first: u64) -> u64 {
    let last = gateway.memory_kib();
    eprintln!("memory after 2,000 requests: {first} KiB, after 10,000: {last} KiB");
    last.saturating_sub(first)
}

/// Connections that wait for further requests end with the service at the latest.
fn ended(gateway: &GatewayProcess, model: ModelServer, before: usize) {
    drop(model);
    wait_until(|| gateway.descriptors() == before, "closed descriptors");
}
