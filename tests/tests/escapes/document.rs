//! docs/escapes.md holds what this suite expects, and each row what it measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::case::Group;
use crate::measured::Measured;
use crate::row::Row;

/// Keeps what was measured, for `tests/escape-table`.
pub fn note(group: &Group, row: Row, measured: &BTreeMap<String, Measured>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("escapes");
    fs::create_dir_all(&folder).unwrap();
    let mut text = String::new();
    for case in group.cases {
        let word = measured.get(case.name).map_or("missing", |m| &m.word);
        text += &format!("{}\t{}\t{}\t{word}\n", group.name, case.name, row.words());
    }
    fs::write(folder.join(format!("{}.{row:?}", group.name)), text).unwrap();
}
