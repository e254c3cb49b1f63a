//! `autoclave finalize`.

use clap::Args;

/// Make a clean branch of what was kept, and measure it again
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave finalize -m sort-speed --branch faster-sort")]
pub struct FinalizeArgs {
    /// The marker whose kept experiments are wanted
    #[arg(short, long, value_name = "NAME")]
    pub marker: String,

    /// The branch to make; it must not exist
    #[arg(long, value_name = "B")]
    pub branch: Option<String>,

    /// Make one commit of everything
    #[arg(long)]
    pub squash: bool,
}
