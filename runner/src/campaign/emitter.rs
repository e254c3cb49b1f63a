//! The one ordered stream of events: to `events.jsonl` and to the reporter.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use super::CampaignError;
use crate::decide::progress::Progress;
use crate::decide::record::ExperimentRecord;
use crate::event::{Event, EventKind, Executions, Reporter};
use crate::model::ExperimentNumber;

/// Numbers events, writes them down, and shows them.
pub struct Emitter<'r> {
    file: Option<File>,
    reporter: &'r mut dyn Reporter,
    seq: u64,
    /// The experiments whose verdict the events tell.
    told: BTreeSet<ExperimentNumber>,
}

impl<'r> Emitter<'r> {
    /// Appends to the events at `path`, going on with their numbers.
    ///
    /// # Errors
    ///
    /// [`CampaignError::Folder`] when the file cannot be opened or read.
    pub fn append(path: &Path, reporter: &'r mut dyn Reporter) -> Result<Self, CampaignError> {
        let folder_error = |cause| CampaignError::Folder {
            path: path.to_owned(),
            cause,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(folder_error)?;
        let mut told = BTreeSet::new();
        let (mut seq, mut whole) = (0, 0);
        let mut line = Vec::new();
        let mut reader = BufReader::new(&mut file);
        while reader.read_until(b'\n', &mut line).map_err(folder_error)? > 0 {
            // A power cut leaves lines in part, and blocks that were never written: NUL.
            if !line.ends_with(b"\n") || line.contains(&0) {
                break;
            }
            seq += 1;
            whole += line.len() as u64;
            if let Ok(Event {
                kind: EventKind::Decided { experiment, .. },
                ..
            }) = serde_json::from_slice(&line)
            {
                told.insert(experiment);
            }
            line.clear();
        }
        // What a killed run began to write is no event.
        file.set_len(whole).map_err(folder_error)?;
        Ok(Self {
            file: Some(file),
            reporter,
            seq,
            told,
        })
    }

    /// Shows events without writing them down, for work outside a run.
    pub fn unrecorded(reporter: &'r mut dyn Reporter) -> Self {
        Self {
            file: None,
            reporter,
            seq: 0,
            told: BTreeSet::new(),
        }
    }

    /// Emits one event. A failure to write it down is logged: the ledger is the truth, not this.
    pub fn emit(&mut self, kind: EventKind) {
        self.seq += 1;
        let at_ms = super::clock::now_ms();
        let event = Event {
            v: 1,
            seq: self.seq,
            at_ms,
            kind,
        };
        if let Some(file) = &mut self.file {
            let line = serde_json::to_vec(&event).map_err(std::io::Error::from);
            let written = line.and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            if let Err(cause) = written {
                tracing::error!(%cause, "could not write an event");
                self.file = None;
            }
        }
        self.reporter.event(&event);
    }

    /// Tells the verdicts that are in the ledger and not among the events: those that a killed run
    /// had decided and not yet told.
    pub fn catch_up(&mut self, progress: &Progress) {
        for experiment in &progress.experiments {
            if !self.told.contains(&experiment.n) {
                self.emit(decided(experiment.clone(), None));
            }
        }
    }

    pub fn warn(&mut self, message: impl Into<String>) {
        self.emit(EventKind::Warning {
            message: message.into(),
        });
    }
}

/// Returns the event that tells a verdict; `executions` is what it took in sandboxes.
pub fn decided(record: ExperimentRecord, executions: Option<Executions>) -> EventKind {
    EventKind::Decided {
        experiment: record.n,
        verdict: record.verdict,
        commit: record.commit,
        value: record.value,
        gain: record.gain,
        pairs: record.pairs,
        measuring_seconds: record.measuring_seconds,
        cost_usd: record.usage.cost_usd,
        seconds: record.seconds,
        summary: record.summary,
        detail: record.detail,
        remarks: record.remarks,
        tracks: record.tracks,
        executions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::record::Record;
    use crate::decide::samples::{baseline, experiment, kept, opened, started};
    use crate::model::{DiscardReason, Verdict};

    struct Heard(Vec<Event>);

    impl Reporter for Heard {
        fn event(&mut self, event: &Event) {
            self.0.push(event.clone());
        }
    }

    #[test]
    fn a_torn_event_is_dropped_and_verdicts_that_were_not_told_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let second = experiment(2, Verdict::Discard(DiscardReason::Worse));
        let mut heard = Heard(Vec::new());
        Emitter::append(&path, &mut heard)
            .unwrap()
            .emit(decided(kept(1), None));
        let first_line = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&first_line[..], b"{\"v\":1,\"se"].concat()).unwrap();

        let records = [
            opened(),
            baseline(),
            started(1, 'b'),
            Record::ExperimentDecided(kept(1)),
            started(2, '1'),
            Record::ExperimentDecided(second.clone()),
        ];
        let progress = Progress::fold(records.into_iter()).unwrap().unwrap();
        let mut heard = Heard(Vec::new());
        Emitter::append(&path, &mut heard)
            .unwrap()
            .catch_up(&progress);
        assert_eq!(heard.0.len(), 1);
        assert_eq!(
            (heard.0[0].seq, &heard.0[0].kind),
            (2, &decided(second, None))
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], heard.0[0]);
    }
}
