//! The append-only file that is the truth of a run.

mod lock;
mod results;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::decide::record::Record;

pub use lock::{Holder, Lock, LockError};
pub use results::results_tsv;

/// A run's ledger, open for appending by the holder of its marker's lock; unlocked when dropped.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    _lock: Lock,
}

/// A ledger as it was found.
#[derive(Debug)]
pub struct Opened {
    pub ledger: Ledger,
    /// All records, in order.
    pub records: Vec<Record>,
    /// Bytes of a last line that was never finished; they are cut off. 0 after an orderly end.
    pub torn_bytes: u64,
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("ledger `{}`, line {line}, is broken", path.display())]
    BrokenLine {
        path: PathBuf,
        /// From 1.
        line: usize,
        #[source]
        cause: serde_json::Error,
    },
    #[error("could not write down a record for ledger `{}`", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    #[error("could not {action} ledger `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl Ledger {
    /// Creates the ledger with its first record; both are on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the file exists or cannot be written.
    pub fn create(path: &Path, lock: Lock, first: &Record) -> Result<Self, LedgerError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(failed("create", path))?;
        let mut ledger = Self {
            path: path.to_owned(),
            file,
            _lock: lock,
        };
        ledger.append(first)?;
        // A new file's name is durable only once its directory is; see fsync(2).
        directory_of(path)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("create", path))?;
        Ok(ledger)
    }

    /// Opens a ledger, reads it, and cuts off a last line that was never finished.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when it is missing, or a finished line is not a record.
    pub fn open(path: &Path, lock: Lock) -> Result<Opened, LedgerError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read", path))?;
        let (records, whole) = parse(path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64)
                .and_then(|()| file.sync_all())
                .map_err(failed("repair", path))?;
        }
        Ok(Opened {
            ledger: Self {
                path: path.to_owned(),
                file,
                _lock: lock,
            },
            records,
            torn_bytes: (bytes.len() - whole) as u64,
        })
    }

    /// Appends one record; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the record could not be read back, or the file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), LedgerError> {
        let unwritable = |cause| LedgerError::Unwritable {
            path: self.path.clone(),
            cause,
        };
        let mut line = serde_json::to_vec(record).map_err(unwritable)?;
        // JSON has no infinity: such a number would be written, and break the ledger for good.
        serde_json::from_slice::<Record>(&line).map_err(unwritable)?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(failed("append to", &self.path))
    }
}

/// Reads the records of a ledger without locking or repairing it, for readers of a live run.
///
/// # Errors
///
/// [`LedgerError`] when it cannot be read or a finished line is not a record.
pub fn read(path: &Path) -> Result<Vec<Record>, LedgerError> {
    let bytes = std::fs::read(path).map_err(failed("read", path))?;
    parse(path, &bytes).map(|(records, _whole)| records)
}

/// Returns the records of the finished lines, and how many bytes these lines are.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Record>, usize), LedgerError> {
    let whole = finished(bytes);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    // What follows a hole in the middle was decided: then the hole is a broken line like any other.
    let behind = bytes[whole..].split_inclusive(|byte| *byte == b'\n');
    let is_record =
        |line: &[u8]| line.ends_with(b"\n") && serde_json::from_slice::<Record>(line).is_ok();
    let is_hole = behind.clone().any(is_record);
    let records = lines
        .chain(behind.take(usize::from(is_hole)))
        .zip(1..)
        .map(|(text, line)| {
            serde_json::from_slice(text).map_err(|cause| LedgerError::BrokenLine {
                path: path.to_owned(),
                line,
                cause,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((records, whole))
}

/// Returns how many bytes of a file of lines are finished ones.
///
/// A power cut leaves a last line in part, or blocks whose room was reserved and whose content was
/// never written: these read as NUL, which no line of JSON holds.
fn finished(bytes: &[u8]) -> usize {
    let hole = bytes.iter().position(|byte| *byte == 0);
    let written = &bytes[..hole.unwrap_or(bytes.len())];
    let newline = written.iter().rposition(|byte| *byte == b'\n');
    newline.map_or(0, |newline| newline + 1)
}

fn directory_of(path: &Path) -> io::Result<File> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LedgerError + use<> {
    let path = path.to_owned();
    move |cause| LedgerError::Io {
        action,
        path,
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{baseline, kept, opened, records};

    fn lock(path: &Path) -> Lock {
        Lock::take(&path.with_extension("lock")).unwrap()
    }

    fn ledger_of(records: &[Record], path: &Path) {
        let mut ledger = Ledger::create(path, lock(path), &records[0]).unwrap();
        for record in &records[1..] {
            ledger.append(record).unwrap();
        }
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        ledger_of(&records(), &path);
        let found = Ledger::open(&path, lock(&path)).unwrap();
        assert_eq!(found.records, records());
        assert_eq!(found.torn_bytes, 0);
        assert_eq!(read(&path).unwrap(), records());
    }

    #[test]
    fn every_prefix_opens_as_a_prefix_of_the_records_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        ledger_of(&records(), &path);
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..=bytes.len() {
            let prefix = &bytes[..length];
            std::fs::write(&path, prefix).unwrap();
            let lines = prefix.split_inclusive(|b| *b == b'\n');
            let whole = lines.filter(|line| line.ends_with(b"\n")).count();
            let mut found = Ledger::open(&path, lock(&path)).unwrap();
            assert_eq!(found.records, records()[..whole], "{length}");
            assert_eq!(
                std::fs::metadata(&path).unwrap().len() + found.torn_bytes,
                length as u64
            );
            if found.torn_bytes > 0 && whole > 0 {
                found.ledger.append(&records()[whole]).unwrap();
                assert_eq!(read(&path).unwrap(), records()[..=whole]);
            }
        }
    }

    #[test]
    fn blocks_that_were_never_written_are_cut_off_behind_every_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        ledger_of(&records(), &path);
        let bytes = std::fs::read(&path).unwrap();
        // A hole as short as a byte, and one with the end of a line behind it.
        for hole in [&b"\0"[..], &[0; 4096], b"\0\0\0}\n", b"{\"record\":\0\0\n"] {
            for length in 0..=bytes.len() {
                let text = [&bytes[..length], hole].concat();
                std::fs::write(&path, &text).unwrap();
                let whole = bytes[..length].split(|b| *b == b'\n').count() - 1;
                assert_eq!(read(&path).unwrap(), records()[..whole], "{length}");
                // Opening syncs, which takes its time.
                if length > 0 && bytes[length - 1] != b'\n' {
                    continue;
                }
                let mut found = Ledger::open(&path, lock(&path)).unwrap();
                assert_eq!(found.records, records()[..whole], "{length}");
                if (1..records().len()).contains(&whole) {
                    found.ledger.append(&records()[whole]).unwrap();
                    assert_eq!(read(&path).unwrap(), records()[..=whole]);
                }
            }
        }
    }

    #[test]
    fn a_hole_before_a_record_is_a_broken_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let [first, second] = [opened(), baseline()].map(|r| serde_json::to_string(&r).unwrap());
        let text = format!("{first}\n\0\0\0\0\n{second}\n");
        std::fs::write(&path, &text).unwrap();
        assert!(matches!(
            Ledger::open(&path, lock(&path)),
            Err(LedgerError::BrokenLine { line: 2, .. })
        ));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "left as it is"
        );
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let line = serde_json::to_string(&opened()).unwrap();
        std::fs::write(&path, format!("{line}\n{{\"record\"\n{line}\n")).unwrap();
        assert!(matches!(
            Ledger::open(&path, lock(&path)),
            Err(LedgerError::BrokenLine { line: 2, .. })
        ));
    }

    #[test]
    fn an_existing_ledger_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        ledger_of(&[opened(), baseline()], &path);
        assert!(matches!(
            Ledger::create(&path, lock(&path), &opened()),
            Err(LedgerError::Io {
                action: "create",
                ..
            })
        ));
        assert_eq!(read(&path).unwrap(), [opened(), baseline()]);
    }

    #[test]
    fn a_record_that_could_not_be_read_back_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::create(&path, lock(&path), &opened()).unwrap();
        let mut experiment = kept(1);
        experiment.seconds = f64::NAN;
        assert!(matches!(
            ledger.append(&Record::ExperimentDecided(experiment)),
            Err(LedgerError::Unwritable { .. })
        ));
        assert_eq!(read(&path).unwrap(), [opened()]);
    }
}
