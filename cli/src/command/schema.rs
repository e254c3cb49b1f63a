//! `autoclave schema`.

use clap::Args;

/// Print the JSON Schema of the configuration, for editors
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave schema > .autoclave/schema.json")]
pub struct SchemaArgs {}
