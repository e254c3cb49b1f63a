//! The commands, one file each.

mod completions;

use clap::Subcommand;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::Format;

/// What the user asks for.
#[derive(Debug, Subcommand)]
pub enum Command {
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Does what the user asks for.
    ///
    /// # Errors
    ///
    /// As the command says.
    pub fn run(self, _format: Format) -> Result<Exit, Failure> {
        match self {
            Self::Completions(args) => completions::run(args),
        }
    }
}
