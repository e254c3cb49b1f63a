//! `autoclave results`.

use clap::Args;

/// List the experiments of the latest run
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave results -m sort-speed")]
pub struct ResultsArgs {
    /// The marker; needed only where the configuration has more than one
    #[arg(short, long, value_name = "NAME")]
    pub marker: Option<String>,
}
