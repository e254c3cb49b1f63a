//! How a command's failure is told: the error, its causes and what to do, on standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use serde_json::json;

use crate::exit::Exit;
use crate::output::Format;

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
}

impl Failure {
    /// Returns a failure that ends the process with `exit`.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit,
            error: error.into(),
            hint: None,
        }
    }

    /// Adds what the user can do about it: a sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Changes the exit code; an interruption stays one.
    #[must_use]
    pub fn exiting(mut self, exit: Exit) -> Self {
        if self.exit != Exit::Interrupted {
            self.exit = exit;
        }
        self
    }

    /// Returns what went wrong, without causes and hint.
    pub fn message(&self) -> String {
        self.error.to_string()
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints the failure to standard error; what cannot be printed is lost.
    pub fn print(&self, format: Format) {
        let text = match format {
            Format::Text => self.to_string(),
            Format::Json => format!("{}\n", self.to_json()),
        };
        // Nobody is left to tell when standard error itself is gone.
        drop(io::stderr().write_all(text.as_bytes()));
    }

    fn to_json(&self) -> serde_json::Value {
        json!({"error": {
            "code": self.exit.word(),
            "message": self.error.to_string(),
            "hint": self.hint,
            "causes": self.causes().collect::<Vec<_>>(),
        }})
    }

    fn causes(&self) -> impl Iterator<Item = String> {
        let mut cause = self.error.source();
        std::iter::from_fn(move || {
            let this = cause?;
            cause = this.source();
            Some(this.to_string())
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.error)?;
        for cause in self.causes() {
            writeln!(f, "  cause: {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "  hint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not append to ledger `ledger.jsonl`")]
    struct Append(#[source] io::Error);

    fn failure() -> Failure {
        let cause = io::Error::from_raw_os_error(28);
        Failure::new(Exit::RepositoryOrLedger, Append(cause)).hint("Free some space.")
    }

    #[test]
    fn text_tells_error_cause_and_hint() {
        insta::assert_snapshot!(failure(), @r"
        error: could not append to ledger `ledger.jsonl`
          cause: No space left on device (os error 28)
          hint: Free some space.
        ");
    }

    #[test]
    fn json_carries_the_same_in_four_keys() {
        assert_eq!(
            failure().to_json().to_string(),
            r#"{"error":{"code":"repository_or_ledger","message":"could not append to ledger `ledger.jsonl`","hint":"Free some space.","causes":["No space left on device (os error 28)"]}}"#
        );
    }
}
