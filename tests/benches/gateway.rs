//! What a gateway takes to pass requests on, and that it keeps nothing of them.
//!
//! `cargo build --release -p autoclave && cargo bench -p e2e --bench gateway`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and one that cannot go on has failed"
)]

use std::time::Instant;

use e2e::gateway_process::{GatewayProcess, wait_until};
use e2e::model_server::ModelServer;
use e2e::soak::{AT_A_TIME, Audited, ROUND, script, soak};

/// Rounds of the first soak, and how many soaks follow it.
const ROUNDS: usize = 2_000 / ROUND;
const SOAKS: usize = 5;

fn main() {
    let asked = std::env::args().find_map(|word| word.parse().ok());
    let soaks = asked.unwrap_or(SOAKS);
    let model = ModelServer::start(script(ROUNDS * soaks)).unwrap();
    let gateway = GatewayProcess::start(&model.url(), &["--max-cost-usd", "1000000"]);
    let (socket, token) = (gateway.socket(), gateway.token().to_owned());
    let before = gateway.descriptors();
    println!("{AT_A_TIME} at a time; {before} descriptors before the first request");
    println!("requests | requests/s | memory MiB");
    println!("---------|------------|-----------");
    for number in 0..soaks {
        let start = Instant::now();
        soak(&socket, &token, number * ROUNDS..(number + 1) * ROUNDS);
        println!(
            "{:8} | {:10.0} | {:10.1}",
            (number + 1) * ROUNDS * ROUND,
            (ROUNDS * ROUND) as f64 / start.elapsed().as_secs_f64(),
            gateway.memory_kib() as f64 / 1024.0
        );
    }
    let rounds = ROUNDS * soaks;
    let audited = Audited::of(&gateway.audited(ROUND * rounds), rounds);
    assert_eq!(audited, Audited::after(rounds));
    drop(model);
    wait_until(|| gateway.descriptors() == before, "closed descriptors");
    println!("{audited}; {before} descriptors again");
    gateway.terminate();
}
