//! `autoclave show`.

use clap::Args;

/// Show one experiment: brief, transcript, patch and measurements
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave show 3 -m sort-speed")]
pub struct ShowArgs {
    /// The experiment
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: u32,

    /// The marker; needed only where the configuration has more than one
    #[arg(short, long, value_name = "NAME")]
    pub marker: Option<String>,
}
