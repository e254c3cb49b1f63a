//! Events for people: lines that stay, and one line that says what is being waited for.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use autoclave_runner::event::{Event, EventKind, Reporter};
use indicatif::{ProgressBar, ProgressStyle};

use super::style::Style;
use super::view::View;

/// Writes the lines of a run to `progress`, and its table to `result` when the run is over.
pub struct Terminal<P, R> {
    view: View,
    /// `None` once its reader has gone: a broken pipe never stops a run.
    progress: Option<P>,
    result: Option<R>,
    /// Only where standard error is a terminal.
    spinner: Option<ProgressBar>,
}

impl Terminal<std::io::Stderr, std::io::Stdout> {
    /// Returns the reporter of a person's terminal: progress on standard error, with a spinner if
    /// that is a terminal, and the table on standard output.
    pub fn standard() -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_style(
                ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                    .expect("the template is well-formed"),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            view: View::new(Style::for_stderr()),
            progress: Some(std::io::stderr()),
            result: Some(std::io::stdout()),
            spinner,
        }
    }
}

impl<P: Write + Send, R: Write + Send> Terminal<P, R> {
    /// Returns a reporter that writes without colour or spinner.
    #[cfg(test)]
    pub fn plain(progress: P, result: R) -> Self {
        Self {
            view: View::new(Style::Plain),
            progress: Some(progress),
            result: Some(result),
            spinner: None,
        }
    }

    fn print(&mut self, lines: &[String]) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| write_or_close(&mut self.progress, lines)),
            None => write_or_close(&mut self.progress, lines),
        }
    }
}

impl<P: Write + Send, R: Write + Send> Reporter for Terminal<P, R> {
    fn event(&mut self, event: &Event) {
        let lines = self.view.lines(event);
        if !lines.is_empty() {
            self.print(&lines);
        }
        if let (Some(spinner), Some(status)) = (&self.spinner, View::status(event)) {
            spinner.set_message(status);
            spinner.reset_elapsed();
        }
        if let EventKind::RunFinished { .. } = event.kind {
            if let Some(spinner) = self.spinner.take() {
                spinner.finish_and_clear();
            }
            write_or_close(&mut self.result, &self.view.table());
        }
    }
}

/// Writes the lines at once, or forgets a writer that takes no more.
fn write_or_close(out: &mut Option<impl Write>, lines: &[String]) {
    let Some(writer) = out else { return };
    let mut text = lines.join("\n");
    text.push('\n');
    if writer
        .write_all(text.as_bytes())
        .and_then(|()| writer.flush())
        .is_err()
    {
        *out = None;
    }
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
