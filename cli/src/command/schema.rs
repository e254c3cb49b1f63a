//! `autoclave schema`.

use autoclave_runner::marker::SCHEMA;
use clap::Args;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output;

/// Print the JSON Schema of the configuration, for editors
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave schema > .autoclave/schema.json")]
pub struct SchemaArgs {}

/// Prints the schema.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn run(_args: &SchemaArgs) -> Result<Exit, Failure> {
    output::print(SCHEMA)?;
    Ok(Exit::Done)
}
