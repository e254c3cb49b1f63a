//! Ledgers of any bytes, opened as a run that goes on opens them: on a file, under its lock.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use autoclave_runner::decide::progress::Progress;
use autoclave_runner::decide::record::Record;
use autoclave_runner::ledger::{self, Ledger, LedgerError, Lock, Opened, results_tsv};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// In memory where the machine has such a place: a ledger is synced to its disk.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a temporary folder can be made")
});

fuzz_target!(|input: &[u8]| {
    let path = FOLDER.path().join("ledger.jsonl");
    if let Some(records) = check(&path, input) {
        fold(records);
    }
    // The power may fail anywhere; one place that follows from the input.
    let sum = input.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    check(&path, &input[..sum % (input.len() + 1)]);
});

/// Opens a ledger of these bytes; returns its records, unless a line is broken.
fn check(path: &Path, bytes: &[u8]) -> Option<Vec<Record>> {
    std::fs::write(path, bytes).expect("a file can be written");
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let lines = bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .count();
    let Opened {
        mut ledger,
        records,
        torn_bytes,
    } = match open(path) {
        Ok(opened) => opened,
        Err(LedgerError::BrokenLine { line, .. }) => {
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
            let now = std::fs::read(path).expect("it is there");
            assert_eq!(now, bytes, "a broken ledger was touched");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(records.len(), lines, "a line is a record");
    assert_eq!(torn_bytes, (bytes.len() - whole) as u64);
    let now = std::fs::read(path).expect("it is there");
    assert_eq!(now, &bytes[..whole], "whole lines stay as they are");

    // What was read can be written down, and is the same then.
    if let Some(last) = records.last() {
        ledger
            .append(last)
            .expect("a record that was read can be written");
        let mut expected = records.clone();
        expected.push(last.clone());
        assert_eq!(ledger::read(path).expect("it is whole"), expected);
    }
    drop(ledger);
    for record in &records {
        let line = serde_json::to_vec(record).expect("a record is JSON");
        let again: Record = serde_json::from_slice(&line).expect("what is written is read");
        assert_eq!(again, *record);
    }
    Some(records)
}

fn open(path: &Path) -> Result<Opened, LedgerError> {
    let lock: PathBuf = path.with_extension("lock");
    Ledger::open(path, Lock::take(&lock).expect("nobody else has it"))
}

/// Folds the records, which may tell any story.
fn fold(records: Vec<Record>) {
    if let Ok(Some(progress)) = Progress::fold(records.into_iter()) {
        let table = results_tsv(&progress);
        assert_eq!(table.lines().count(), 1 + progress.experiments.len());
        let _noise = progress.noise();
        let _counts = (progress.kept(), progress.counted());
    }
}
