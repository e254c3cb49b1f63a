//! `autoclave status`.

use clap::Args;

/// Show what each marker has come to
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave status")]
pub struct StatusArgs {
    /// Only this marker
    #[arg(short, long, value_name = "NAME")]
    pub marker: Option<String>,
}
