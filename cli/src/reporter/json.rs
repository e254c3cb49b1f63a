//! Events as JSON lines, for programs.

use std::io::Write;

use autoclave_runner::event::{Event, Reporter};

/// Writes one event a line, each at once.
pub struct Json<W> {
    /// `None` once its reader has gone: a broken pipe never stops a run.
    out: Option<W>,
}

impl<W: Write + Send> Json<W> {
    pub fn new(out: W) -> Self {
        Self { out: Some(out) }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, event: &Event) {
        let Some(out) = &mut self.out else { return };
        let mut line = serde_json::to_vec(event).expect("an event has text keys only");
        line.push(b'\n');
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoclave_runner::event::EventKind;

    fn warning(seq: u64) -> Event {
        Event {
            v: 1,
            seq,
            at_ms: 1_000,
            kind: EventKind::Warning {
                message: "two\nlines \u{1b}[31m".into(),
            },
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let mut out = Vec::new();
        let mut reporter = Json::new(&mut out);
        reporter.event(&warning(1));
        reporter.event(&warning(2));
        let text = String::from_utf8(out).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            r#"{"v":1,"seq":1,"at_ms":1000,"event":"warning","message":"two\nlines \u001b[31m"}"#
        );
        assert_eq!(text.lines().count(), 2);
    }

    /// Takes one line, then is a broken pipe; counts how often it was asked.
    struct Broken<'a>(&'a mut u32);

    impl Write for Broken<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            *self.0 += 1;
            match *self.0 {
                1 => Ok(bytes.len()),
                _ => Err(std::io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn broken_pipe_is_written_to_once_and_never_again() {
        let mut writes = 0;
        let mut reporter = Json::new(Broken(&mut writes));
        for seq in 1..=4 {
            reporter.event(&warning(seq));
        }
        assert_eq!(writes, 2);
    }
}
