//! What a command prints on standard output.

use std::io::{self, Write};

use autoclave_runner::model::Tracked;
use serde_json::{Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// For whom a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Prints `text` as it is. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
///
/// [`Exit::Internal`] when standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Internal, PrintFailed(cause)))
        }
        _ => Ok(()),
    }
}

/// Prints a value as one line of JSON.
///
/// # Errors
///
/// As [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|cause| Failure::new(Exit::Internal, cause))?;
    print(&format!("{text}\n"))
}

/// Returns what is tracked as an object: each number under its name.
pub fn tracks(tracks: &[Tracked]) -> Value {
    let pairs = tracks
        .iter()
        .map(|one| (one.name.clone(), json!(one.value)));
    Value::Object(pairs.collect())
}

/// Tells people something on standard error; what nobody reads is lost.
pub fn note(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

#[derive(Debug, thiserror::Error)]
#[error("could not write to standard output")]
struct PrintFailed(#[source] io::Error);
