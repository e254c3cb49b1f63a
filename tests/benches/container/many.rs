//! Several containers at once, beside the same one after the other.

use std::time::{Duration, Instant};

use e2e::containers::{Outcome, Stage};

const COUNT: usize = 8;

/// Times both in turn and prints them.
pub fn compare(stage: &Stage, rounds: usize) -> Outcome<()> {
    let (mut in_line, mut at_once) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        stage.runtime.block_on(async {
            for _ in 0..COUNT {
                stage.run_true().await?;
            }
            stage.take_out().await
        })?;
        in_line.push(start.elapsed());
        let start = Instant::now();
        stage.runtime.block_on(async {
            let all = (0..COUNT).map(|_| stage.run_true());
            futures::future::try_join_all(all).await?;
            stage.take_out().await
        })?;
        at_once.push(start.elapsed());
    }
    println!("{COUNT} sandboxes, all of them removed, {rounds} interleaved rounds\n");
    println!(
        "{:<24}{:>11}{:>12}{:>8}",
        "", "median ms", "each ms", "ratio"
    );
    let [in_line, at_once] = [in_line, at_once].map(median);
    for (name, time) in [("one after the other", in_line), ("all at once", at_once)] {
        let each = time / COUNT as f64;
        println!("{name:<24}{time:>11.0}{each:>12.1}{:>8.2}", time / in_line);
    }
    println!();
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2);
    middle.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
