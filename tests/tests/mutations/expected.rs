//! What each case says where nothing is removed.

use std::collections::BTreeMap;

use crate::play::Answers;
use crate::row::Row;

/// A column for each row; `-` where a case says nothing of a layer there.
const TABLE: &str = include_str!("expected.txt");
/// What becomes of each changed path.
const CHANGES: &str = include_str!("changes.txt");

/// Returns the cases of `row`, and how they end.
pub fn expected(row: Row) -> Answers {
    let changes = CHANGES
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, became)| (path.to_owned(), became.to_owned()));
    if row == Row::Changes {
        return changes.collect();
    }
    let mut lines = TABLE.lines();
    let mut columns = lines.next().unwrap().split_whitespace().skip(1);
    let column = columns.position(|column| column == row.words());
    let column = column.unwrap_or_else(|| panic!("expected.txt has no column {}", row.words()));
    let mut found = BTreeMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let case = words.next().unwrap();
        let word = words
            .nth(column)
            .unwrap_or_else(|| panic!("{case} on {}", row.words()));
        if word != "-" {
            found.insert(case.to_owned(), word.to_owned());
        }
    }
    found.extend(crate::rules::denied_on(row).into_iter().map(|rule| {
        let errno = nix::errno::Errno::from_raw(rule.errno);
        (rule.case, format!("{errno:?}"))
    }));
    found
}

/// Returns the cases of `wanted` that `found` answers otherwise.
pub fn differing(wanted: &Answers, found: &Answers) -> Vec<String> {
    let other = wanted
        .iter()
        .filter(|(case, word)| found.get(*case) != Some(*word));
    other.map(|(case, _)| case.clone()).collect()
}
