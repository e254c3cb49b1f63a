//! `autoclave run`.

use clap::Args;

/// Work on a marker until its budget is used up
///
/// An unfinished run of the marker is resumed.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave run -m sort-speed --experiments 20")]
pub struct RunArgs {
    /// The marker to work on
    #[arg(short, long, value_name = "NAME")]
    pub marker: String,

    /// Count at most this many experiments, instead of what the marker says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub experiments: Option<u32>,

    /// Start from this commit, branch or tag instead of HEAD
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,

    /// Start afresh, even where an unfinished run could be resumed
    #[arg(long)]
    pub new: bool,
}
