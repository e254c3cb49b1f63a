//! `autoclave init`.

use clap::Args;

/// Write a commented configuration to start from
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave init")]
pub struct InitArgs {
    /// Overwrite a configuration that is there
    #[arg(long)]
    pub force: bool,
}
