//! `autoclave gateway`.

use std::path::PathBuf;

use clap::Args;

/// Serve the model's API on a unix socket, keeping the credential out of sandboxes
#[derive(Debug, Args)]
#[command(after_help = "Example: ANTHROPIC_API_KEY=... autoclave gateway --socket /tmp/gateway")]
pub struct GatewayArgs {
    /// Make the socket in this folder; a private temporary one by default
    #[arg(long, value_name = "DIR")]
    pub socket: Option<PathBuf>,
}
