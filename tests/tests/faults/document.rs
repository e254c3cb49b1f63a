//! The table of docs/faults.md names what is tested here, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_fault_of_the_document_has_its_test_and_every_test_its_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(folder.join("tests/faults")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["main", "scene", "document"].contains(&&*file) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for line in text.lines() {
            let name = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split_once('('));
            if let Some((name, arguments)) = name
                && (before == "#[test]" || arguments.contains(": Setup)"))
                && !arguments.contains("->")
            {
                tests.insert(format!("{file}::{name}"));
            }
            before = line;
        }
    }
    let text = fs::read_to_string(folder.join("../docs/faults.md")).unwrap();
    let named: BTreeSet<String> = text
        .split('`')
        .filter(|word| word.contains("::") && !word.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, tests);
}
