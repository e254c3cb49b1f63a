//! How often rules keep luck, and how often they miss a gain: simulated sessions of 100 experiments.
//!
//! `cargo bench -p e2e --bench judge` prints the table of docs/benchmarks.md; `-- 50` plays fewer
//! sessions. `-- --svg` prints docs/media/evidence.svg instead. The same figures on every machine.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use e2e::judging::{picture, table};

/// Sessions of each rule in each world, for each set of candidates.
const SESSIONS: u32 = 400;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if arguments.iter().any(|argument| argument == "--svg") {
        print!("{}", picture::svg());
        return;
    }
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let sessions = asked.unwrap_or(SESSIONS);
    println!("{sessions} sessions of 100 experiments each; noise of one reading 3 to 5 %\n");
    print!("{}", table::table(sessions));
}
