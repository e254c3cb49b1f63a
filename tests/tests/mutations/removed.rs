//! Plays every mutation.

use std::collections::{BTreeMap, BTreeSet};

use crate::copy;
use crate::expected::{differing, expected};
use crate::mutation::{Mutation, Noticed};
use crate::mutations;
use crate::outside::Outside;
use crate::play::{Answers, Player, Proof};
use crate::row::Row;

#[test]
fn each_line_that_enforces_something_is_missed_when_it_is_gone() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "mutations are played as root, and as an ordinary user by root"
    );
    let all = mutations::all();
    let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "two mutations have one name");
    let player = Player {
        binary: copy::build(&all),
        outside: Outside::new(),
    };
    let rows: Vec<Row> = Row::ALL
        .into_iter()
        .filter(|row| !row.is_skipped())
        .collect();
    let mut problems = Vec::new();
    let mut wanted = BTreeMap::new();
    for row in &rows {
        let cases = expected(*row);
        problems.extend(control(&player, *row, &cases));
        wanted.insert(*row, cases);
    }
    assert!(
        problems.is_empty(),
        "with nothing removed:\n{}",
        problems.join("\n")
    );
    for one in &all {
        for row in one.rows.iter().filter(|row| rows.contains(row)) {
            problems.extend(unnoticed(&player, one, *row, &wanted[row]));
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// Says where a row does not answer as expected with nothing removed.
fn control(player: &Player, row: Row, wanted: &Answers) -> Vec<String> {
    let played = player.play(row, &[], Proof::On);
    let mut problems = Vec::new();
    if !played.has_run || !played.refusals.is_empty() {
        problems.push(format!(
            "{}: {} {}",
            row.words(),
            played.refusals,
            played.said
        ));
    }
    for case in differing(wanted, &played.answers) {
        let found = played.answers.get(&case).map_or("nothing", String::as_str);
        problems.push(format!(
            "{}: {case} is `{found}` and not `{}`",
            row.words(),
            wanted[&case]
        ));
    }
    problems
}

/// Says what about a mutation was not noticed as the list says.
fn unnoticed(player: &Player, one: &Mutation, row: Row, wanted: &Answers) -> Vec<String> {
    let at = format!("{} on {}", one.name, row.words());
    let mut problems = Vec::new();
    let alone = player.play(row, &[&one.name], Proof::Off);
    let differs = differing(wanted, &alone.answers);
    if let Noticed::Breaks(message) = one.noticed {
        if alone.has_run || !alone.said.contains(message) {
            problems.push(format!(
                "{at}: something ran, or not `{message}`: {} {differs:?}",
                alone.said
            ));
        }
        return problems;
    }
    if !alone.has_run {
        problems.push(format!("{at}: nothing ran: {}", alone.said));
        return problems;
    }
    match &one.noticed {
        Noticed::By(cases) => {
            let missed: Vec<&String> = cases
                .iter()
                .filter(|case| !differs.contains(case))
                .collect();
            if cases.is_empty() || !missed.is_empty() {
                problems.push(format!(
                    "{at}: not noticed by {missed:?}, but by {differs:?}"
                ));
            }
        }
        Noticed::Together { others, cases, .. } => {
            if !differs.is_empty() {
                problems.push(format!("{at}: is noticed alone, by {differs:?}"));
            }
            let names: Vec<&str> = others.iter().copied().chain([one.name.as_str()]).collect();
            let together = player.play(row, &names, Proof::Off);
            let differs = differing(wanted, &together.answers);
            if !together.has_run
                || cases
                    .iter()
                    .any(|case| !differs.iter().any(|one| one == case))
            {
                problems.push(format!(
                    "{at}: with {others:?} noticed by {differs:?}: {}",
                    together.said
                ));
            }
        }
        Noticed::ByTheProof(_) => {
            if !differs.is_empty() {
                problems.push(format!("{at}: is noticed by cases, too: {differs:?}"));
            }
        }
        Noticed::Breaks(_) => {}
    }
    match one.proof {
        Some(line) if alone.refusals.contains(line) => {
            let stopped = player.play(row, &[&one.name], Proof::On);
            if stopped.has_run {
                problems.push(format!("{at}: runs although the proof says {line}"));
            }
        }
        Some(line) => problems.push(format!(
            "{at}: the proof says not `{line}`: {}",
            alone.refusals
        )),
        None if alone.refusals.is_empty() => {}
        None => problems.push(format!("{at}: the proof says {}", alone.refusals)),
    }
    problems
}
