//! What one container costs beside `docker run`, several at once, and with many files.
//!
//! `cargo bench -p e2e --bench container [-- ROUNDS]`, see docs/benchmarks.md. Prints tables of times
//! and ratios; asserts nothing about time, but that what was done to 50,000 files is what is seen.
#![expect(clippy::print_stdout, reason = "the tables are the result")]

#[path = "container/large.rs"]
mod large;
#[path = "container/many.rs"]
mod many;
#[path = "container/one.rs"]
mod one;

use e2e::containers::{Outcome, Spans, Stage, causes, named};

const ROUNDS: usize = 20;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let (spans, _collecting) = Spans::collected();
    let mut is_any = false;
    for (name, address) in named() {
        let stage = match Stage::new(&address) {
            Ok(stage) => stage,
            Err(error) => {
                println!("{name}: not here: {}\n", causes(&*error));
                continue;
            }
        };
        is_any = true;
        println!("{}\n", stage.what_it_is());
        one::compare(&stage, &spans, rounds.unwrap_or(ROUNDS))?;
        many::compare(&stage, rounds.unwrap_or(ROUNDS).div_ceil(4))?;
        large::follow(&stage, &spans)?;
        stage.close();
    }
    if is_any {
        Ok(())
    } else {
        Err(
            "no engine answered: set AUTOCLAVE_TEST_ENGINE, AUTOCLAVE_TEST_PODMAN or DOCKER_HOST"
                .into(),
        )
    }
}
