//! docs/escapes.md holds what this suite expects of each row; each row's test says what it measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::case::{Case, Control, Group, Outcome};
use crate::measured::Measured;
use crate::row::{LANDLOCK, Row};
use crate::{environment, filesystem, filter, kernel, limits, network, processes};

/// In the order of the page.
pub const GROUPS: &[Group] = &[
    filesystem::GROUP,
    limits::GROUP,
    network::GROUP,
    processes::GROUP,
    kernel::GROUP,
    environment::GROUP,
    filter::GROUP,
];

/// Keeps what was measured as cells of the table, for `tests/escape-table`.
pub fn note(group: &Group, row: Row, measured: &BTreeMap<String, Measured>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("escapes");
    fs::create_dir_all(&folder).unwrap();
    let position = GROUPS.iter().position(|known| known.name == group.name);
    let position = position.expect("a group that is played is in the document");
    let mut text = String::new();
    for (number, case) in group.cases.iter().enumerate() {
        let cell = match (measured.get(case.name), case.expected_on(row)) {
            (_, Outcome::EndsAll(_)) => cell(case.expected_on(row)),
            (None, _) => "missing",
            (Some(measured), Outcome::Denied(_)) => &measured.word,
            (Some(measured), _) if !measured.got_through() => &measured.word,
            (Some(_), outcome) => cell(outcome),
        };
        let why = match case.expected_on(row) {
            Outcome::Open(why) if measured.get(case.name).is_some_and(Measured::got_through) => why,
            _ => "",
        };
        let (column, row) = (row as usize, row.words());
        let (name, case) = (group.name, case.name);
        text += &format!("{position}\t{number}\t{column}\t{name}\t{case}\t{row}\t{cell}\t{why}\n");
    }
    fs::write(folder.join(format!("{}.{row:?}", group.name)), text).unwrap();
}

/// Returns what the table says of an outcome.
fn cell(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Denied(errnos) => errnos,
        Outcome::Harmless(_) => "harmless",
        Outcome::EndsAll(_) => "ends all",
        Outcome::Open(_) => "**open**",
    }
}

#[test]
fn the_document_tells_what_is_played() {
    let tables: Vec<String> = GROUPS.iter().map(table).chain([lists()]).collect();
    let told = tables.join("\n");
    let text = page("docs/escapes.md");
    assert!(
        text.contains(&told),
        "docs/escapes.md should hold:\n\n{told}"
    );
}

#[test]
fn what_is_played_elsewhere_is_there() {
    let text = page("docs/escapes.md");
    let (_, elsewhere) = text.split_once("## Elsewhere").unwrap();
    let named: Vec<&str> = elsewhere.split('`').skip(1).step_by(2).collect();
    let is_path = |word: &str| word.contains('/');
    assert!(
        named
            .iter()
            .any(|word| !is_path(word) && word.contains('_'))
    );
    for (at, word) in named.iter().enumerate() {
        if is_path(word) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(word);
            assert!(path.exists(), "{word}");
        } else if word.contains('_') {
            // A test; the file that it is in follows.
            assert!(
                page(named[at + 1]).contains(&format!("fn {word}(")),
                "{word}"
            );
        }
    }
}

#[test]
fn what_is_open_is_told_in_the_security_page() {
    let page = page("SECURITY.md").replace('\n', " ");
    for case in cases() {
        for row in Row::ALL {
            if let Outcome::Open(why) = case.expected_on(row) {
                let (topic, _) = why.split_once(": ").unwrap();
                let told = format!("**{topic}");
                assert!(page.contains(&told), "{}: {told}", case.name);
            }
        }
    }
}

#[test]
fn nothing_but_memory_and_what_is_shown_is_open_where_there_are_namespaces() {
    for case in cases() {
        for row in Row::ALL.into_iter().filter(|row| !LANDLOCK.contains(row)) {
            if let Outcome::Open(why) = case.expected_on(row) {
                let is_memory = row == Row::SealedAsUser && why.starts_with("Memory");
                let is_shown = why.starts_with("What the agent may read");
                assert!(is_memory || is_shown, "{} on {}", case.name, row.words());
            }
        }
    }
}

#[test]
fn every_attack_of_the_program_is_a_case_and_no_two_cases_have_one_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes/programs");
    let mut written = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        let names = source.lines().filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix("{\"")?.split_once("\", ")?;
            rest.strip_suffix("},").map(|_| name.to_owned())
        });
        written.extend(names);
    }
    let beside = crate::dropped::ATTACKS.iter().map(|attack| attack.1);
    let played: BTreeSet<String> = cases()
        .flat_map(|case| match case.control {
            Control::Instead(attack, ..) => vec![case.attack, attack],
            // Its argument begins with the attack that it plays there.
            _ if case.attack == "in_own_network" => {
                vec![case.attack, case.argument.split(' ').next().unwrap()]
            }
            _ => vec![case.attack],
        })
        .chain(beside)
        .chain(["create_many", "is_root"])
        .map(str::to_owned)
        .collect();
    let odd: Vec<&String> = played.symmetric_difference(&written).collect();
    assert_eq!(odd, Vec::<&String>::new());

    for group in GROUPS {
        let names: BTreeSet<&str> = group.cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), group.cases.len(), "{}", group.name);
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().flat_map(|group| group.cases)
}

fn table(group: &Group) -> String {
    let rows = Row::ALL.map(Row::words).join(" | ");
    let mut text = format!("### {}\n\n| attack | {rows} |\n", group.name);
    text += &format!("|---|{}\n", "---|".repeat(Row::ALL.len()));
    for case in group.cases {
        let cells = case.expected.map(cell).join(" | ");
        text += &format!("| {} | {cells} |\n", case.name);
    }
    text
}

/// Returns what is open and what is harmless, with the reasons, and the controls of another kind.
fn lists() -> String {
    let mut open: Vec<(&str, Vec<String>)> = Vec::new();
    let mut harmless = Vec::new();
    let mut apart = Vec::new();
    let mut controls = String::new();
    for case in cases() {
        for row in Row::ALL {
            let (list, why, word) = match case.expected_on(row) {
                Outcome::Denied(_) => continue,
                Outcome::EndsAll(test) => (&mut apart, test, case.name.to_owned()),
                Outcome::Harmless(why) => (&mut harmless, why, case.name.to_owned()),
                Outcome::Open(why) => (&mut open, why, format!("{} ({})", case.name, row.words())),
            };
            match list.iter_mut().find(|(known, _)| *known == why) {
                Some((_, words)) if words.contains(&word) => {}
                Some((_, words)) => words.push(word),
                None => list.push((why, vec![word])),
            }
        }
        if let Control::Instead(_, _, why) = case.control {
            controls += &format!("- {}: {why}.\n", case.name);
        }
    }
    let lines = |list: Vec<(&str, Vec<String>)>| {
        let line = |(why, words): (&str, Vec<String>)| format!("- {why}: {}.\n", words.join("; "));
        list.into_iter().map(line).collect::<String>()
    };
    format!(
        "### Open\n\n{}\n### Harmless\n\n{}\n### Played apart, because it ends all\n\n{}\n### Controls of another kind\n\n{controls}",
        lines(open),
        lines(harmless),
        lines(apart)
    )
}

fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(path).unwrap()
}
