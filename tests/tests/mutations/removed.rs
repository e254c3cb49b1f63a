//! Plays every mutation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use crate::copy;
use crate::escapes;
use crate::expected::{differing, expected};
use crate::machine::Machine;
use crate::mutation::{Mutation, Noticed};
use crate::mutations;
use crate::outside::Outside;
use crate::play::{Answers, Effort, MUCH, Player, Proof};
use crate::row::Row;
use crate::rules::{self, Denied, List};

/// So many are played at once: much of the time they wait for one another's processes to end.
const AT_ONCE: usize = 3;

/// One thing to play; returns what is wrong.
type Work<'a> = Box<dyn FnOnce(&Player) -> Vec<String> + Send + 'a>;

#[test]
fn each_line_that_enforces_something_is_missed_when_it_is_gone() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "root plays root, and an ordinary user, too"
    );
    let all = mutations::all();
    let names: BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), all.len(), "two mutations have one name");
    let player = Player {
        binary: copy::build(&all),
        outside: Outside::new(),
        machine: Machine::now(),
    };
    let rows = Row::ALL.into_iter().filter(|row| !row.is_skipped());
    let wanted: BTreeMap<Row, Answers> = rows.map(|row| (row, expected(row))).collect();
    let controls = wanted.iter().map(|(row, wanted)| -> (Row, Work<'_>) {
        let control = move |player: &Player| {
            let mut problems = control(player, *row, wanted);
            problems.extend(escapes::control(player, *row));
            problems
        };
        (*row, Box::new(control))
    });
    let problems = play(&player, controls.collect());
    assert!(
        problems.is_empty(),
        "with nothing removed:\n{}",
        problems.join("\n")
    );

    let mut work: Vec<(Row, Work<'_>)> = Vec::new();
    for (row, wanted) in &wanted {
        for list in [List::Everywhere, List::AmongHostProcesses] {
            if !list.rows().contains(row) {
                continue;
            }
            for bit in 0..bits(*row) {
                let play = move |player: &Player| unnoticed_calls(player, bit, *row, wanted);
                work.push((*row, Box::new(play)));
            }
        }
        for one in all.iter().filter(|one| one.rows.contains(row)) {
            let play = move |player: &Player| unnoticed(player, one, *row, wanted);
            work.push((*row, Box::new(play)));
        }
        for one in escapes::ALL.iter().filter(|one| one.row == *row) {
            work.push((
                *row,
                Box::new(move |player| escapes::unnoticed(player, one)),
            ));
        }
    }
    let count = work.len();
    let problems = play(&player, work);
    assert!(
        problems.is_empty(),
        "{} problems in {count} plays:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// Does all of `work`, and first what must be done alone.
fn play(player: &Player, work: Vec<(Row, Work<'_>)>) -> Vec<String> {
    let (alone, others): (Vec<_>, Vec<_>) = work.into_iter().partition(|(row, _)| row.is_alone());
    let mut problems: Vec<String> = alone.into_iter().flat_map(|(_, one)| one(player)).collect();
    let queue = Mutex::new(others);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop();
                    let Some((_, one)) = next else { return };
                    let problems = one(player);
                    found.lock().unwrap().extend(problems);
                }
            });
        }
    });
    problems.extend(found.into_inner().unwrap());
    problems
}

/// Says where a row does not answer as expected with nothing removed.
fn control(player: &Player, row: Row, wanted: &Answers) -> Vec<String> {
    let played = player.play(row, &[], Proof::On, Effort::Much);
    let row = row.words();
    let mut problems = Vec::new();
    if !played.has_run || !played.refusals.is_empty() {
        problems.push(format!("{row}: {} {}", played.refusals, played.said));
    }
    for case in differing(wanted, &played.answers) {
        let found = played.answers.get(&case).map_or("nothing", String::as_str);
        problems.push(format!(
            "{row}: {case} is `{found}` and not `{}`",
            wanted[&case]
        ));
    }
    problems
}

/// How many plays tell all rules about system calls apart that answer on `row`.
fn bits(row: Row) -> u32 {
    let last = rules::denied_on(row).iter().map(code).max().unwrap();
    u32::BITS - last.leading_zeros()
}

/// Never 0: each rule is removed in at least one play, and no other rule in just the same ones.
fn code(rule: &Denied) -> u32 {
    u32::try_from(rule.number).unwrap() + 1
}

/// Removes each rule whose code has `bit`: just their calls, and all of them, must be let through.
fn unnoticed_calls(player: &Player, bit: u32, row: Row, wanted: &Answers) -> Vec<String> {
    let (removed, kept): (Vec<Denied>, Vec<Denied>) = rules::denied_on(row)
        .into_iter()
        .partition(|rule| code(rule) >> bit & 1 == 1);
    let names: Vec<String> = removed.iter().map(Denied::mutation).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let played = player.play(row, &names, Proof::Off, Effort::Little);
    let answer = |rule: &Denied| played.answers.get(&rule.case).map(String::as_str);
    let through = removed
        .iter()
        .filter(|rule| answer(rule) != Some("allowed"));
    let stopped = kept.iter().filter(|rule| {
        let wanted = wanted.get(&rule.case);
        wanted.is_some() && answer(rule) != wanted.map(String::as_str)
    });
    through
        .chain(stopped)
        .map(|rule| {
            let (row, case) = (row.words(), &rule.case);
            format!("{case} on {row} is {:?} without {names:?}", answer(rule))
        })
        .collect()
}

/// Says what about a mutation was not noticed as the list says.
fn unnoticed(player: &Player, one: &Mutation, row: Row, wanted: &Answers) -> Vec<String> {
    let at = format!("{} on {}", one.name, row.words());
    let effort = one.effort();
    let mut wanted = wanted.clone();
    if effort == Effort::Little {
        wanted.retain(|case, _| !MUCH.contains(&case.as_str()));
    }
    let alone = player.play(row, &[&one.name], Proof::Off, effort);
    let differs = differing(&wanted, &alone.answers);
    let mut problems = Vec::new();
    if let Noticed::Breaks(message) = one.noticed {
        let said = format!("{}{}", alone.said, alone.refusals);
        if alone.has_run || !said.contains(message) {
            problems.push(format!("{at}: not `{message}`: {said} {differs:?}"));
        }
        return problems;
    }
    if !alone.has_run {
        return vec![format!("{at}: nothing ran: {}", alone.said)];
    }
    match &one.noticed {
        Noticed::By(cases) => {
            let mut missed = cases.iter().filter(|case| !differs.contains(case));
            if cases.is_empty() || missed.next().is_some() {
                problems.push(format!(
                    "{at}: noticed not by {cases:?}, but by {differs:?}"
                ));
            }
        }
        Noticed::Together { others, cases, .. } => {
            if !differs.is_empty() {
                problems.push(format!("{at}: noticed alone, by {differs:?}"));
            }
            let names: Vec<&str> = others.iter().copied().chain([one.name.as_str()]).collect();
            let together = player.play(row, &names, Proof::Off, effort);
            let differs = differing(&wanted, &together.answers);
            // A case that others of them change, too, says how it must end.
            let is_noticed = |case: &&str| match case.split_once('=') {
                Some((case, word)) => together.answers.get(case).is_some_and(|one| one == word),
                None => differs.iter().any(|one| one == case),
            };
            if !together.has_run || !cases.iter().all(is_noticed) {
                let said = &together.said;
                problems.push(format!(
                    "{at}: with {others:?} noticed by {differs:?}: {said}"
                ));
            }
        }
        Noticed::ByTheProof(_) => {
            if !differs.is_empty() {
                problems.push(format!("{at}: noticed by cases, too: {differs:?}"));
            }
        }
        Noticed::Breaks(_) => {}
    }
    problems.extend(proof_problem(player, one, row, &alone.refusals));
    problems
}

/// Says where the sandbox's own proof does not say what the list says.
fn proof_problem(player: &Player, one: &Mutation, row: Row, refusals: &str) -> Option<String> {
    let at = format!("{} on {}", one.name, row.words());
    let Some(line) = one.proof else {
        return (!refusals.is_empty()).then(|| format!("{at}: the proof says {refusals}"));
    };
    if !refusals.contains(line) {
        return Some(format!(
            "{at}: the proof says not `{line}`, but `{refusals}`"
        ));
    }
    let stopped = player.play(row, &[&one.name], Proof::On, Effort::Little);
    let is_stopped = !stopped.has_run && stopped.said.contains(line);
    (!is_stopped).then(|| format!("{at}: not stopped by `{line}`: {}", stopped.said))
}
