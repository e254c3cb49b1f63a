//! `autoclave demo`.

use std::path::PathBuf;

use clap::Args;

/// Play a whole run on a toy repository with a scripted agent: no key, no network
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave demo")]
pub struct DemoArgs {
    /// Keep the toy repository in this new folder instead of removing it
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}
