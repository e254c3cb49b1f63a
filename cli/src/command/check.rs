//! `autoclave check`.

use clap::Args;

/// Show what a run would do and enforce, and measure the base
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave check -m sort-speed")]
pub struct CheckArgs {
    /// The marker; needed only where the configuration has more than one
    #[arg(short, long, value_name = "NAME")]
    pub marker: Option<String>,
}
