//! Readers of a run's events.

mod json;
mod style;
mod terminal;
mod view;
pub mod words;

use autoclave_runner::event::Reporter;

use crate::output::Format;

/// Returns the reporter for whom a command prints: JSON lines on standard output for programs,
/// the terminal view for people.
pub fn standard(format: Format) -> Box<dyn Reporter> {
    match format {
        Format::Json => Box::new(json::Json::new(std::io::stdout())),
        Format::Text => Box::new(terminal::Terminal::standard()),
    }
}
