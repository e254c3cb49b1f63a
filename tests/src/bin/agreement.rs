//! Compares model and kernel on one row: `agreement ROW SEEDS STATE PROBER SECRET`, where ROW is
//! `sealed`, `copied`, `landlock`, or the address of an engine, whose image AUTOCLAVE_TEST_IMAGE
//! names, and SEEDS are numbers and ranges: `0..10,28`.

#![expect(clippy::print_stdout, reason = "the numbers are the result")]

use std::error::Error;
use std::path::Path;

use e2e::agreement::{Row, compare};
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [row, seeds, state, prober, secret] = words.as_slice() else {
        return Err("usage: agreement ROW SEEDS STATE PROBER SECRET".into());
    };
    let row = match row.as_str() {
        "sealed" => Row::Sealed,
        "copied" => Row::Copied,
        "landlock" => Row::Landlock,
        engine => Row::Container {
            engine: engine.to_owned(),
            image: std::env::var("AUTOCLAVE_TEST_IMAGE")?,
        },
    };
    let mut worlds: Vec<u64> = Vec::new();
    for part in seeds.split(',') {
        match part.split_once("..") {
            Some((first, end)) => worlds.extend(first.parse::<u64>()?..end.parse::<u64>()?),
            None => worlds.push(part.parse()?),
        }
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let places = [state, prober, secret].map(Path::new);
    let compared = compare(&row, &worlds, (places[0], places[1], places[2]));
    let comparison = runtime.block_on(compared)?;
    println!(
        "{} pairs in the worlds {seeds}, of which {} are allowed; {} changes followed to their end",
        comparison.pairs, comparison.allowed, comparison.fates
    );
    match comparison.disagreements.as_slice() {
        [] => Ok(()),
        some => {
            for disagreement in some.iter().take(40) {
                println!("{disagreement}");
            }
            Err(format!("{} disagreements", some.len()).into())
        }
    }
}
