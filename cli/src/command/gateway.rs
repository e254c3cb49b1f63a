//! `autoclave gateway`.

use std::path::PathBuf;

use autoclave_runner::gateway::{Gateway, GatewayOptions};
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{project, runtime};

/// Serve the model's API on a unix socket, keeping the credential out of sandboxes
#[derive(Debug, Args)]
#[command(after_help = "Example: ANTHROPIC_API_KEY=... autoclave gateway --socket /tmp/gateway")]
pub struct GatewayArgs {
    /// Make the socket in this folder; a private temporary one by default
    #[arg(long, value_name = "DIR")]
    socket: Option<PathBuf>,
}

/// Serves until interrupted.
///
/// # Errors
///
/// [`Exit::Usage`] without a credential, [`Exit::UsageLimitOrInfrastructure`] when the socket
/// cannot be made.
pub fn run(args: GatewayArgs, format: Format) -> Result<Exit, Failure> {
    let service = project::model_service()?.ok_or_else(|| {
        Failure::new(Exit::Usage, "there is no credential")
            .hint("Set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN.")
    })?;
    let folder = match args.socket {
        Some(folder) => folder,
        None => project::host_facts()?.state.join("gateway"),
    };
    std::fs::create_dir_all(&folder).map_err(|cause| {
        Failure::new(
            Exit::Usage,
            format!("could not create `{}`: {cause}", folder.display()),
        )
    })?;
    let options = GatewayOptions {
        credential: service.credential,
        upstream: service.upstream,
        audit: folder.join("audit.jsonl"),
        folder,
        max_cost: None,
        allow_server_tools: false,
    };
    runtime::block_on(async |cancel| {
        let gateway = Gateway::start(options)
            .await
            .map_err(|error| Failure::new(Exit::UsageLimitOrInfrastructure, error))?;
        let (socket, token) = (
            gateway.socket().display().to_string(),
            gateway.token().to_owned(),
        );
        match format {
            Format::Json => output::print_json(&json!({"socket": socket, "token": token}))?,
            Format::Text => output::print(&format!(
                "Serving. Start clients with\n  ANTHROPIC_UNIX_SOCKET={socket}\n  \
                 ANTHROPIC_BASE_URL=http://localhost\n  ANTHROPIC_API_KEY={token}\n"
            ))?,
        }
        cancel.cancelled().await;
        gateway.stop().await;
        Ok(Exit::Done)
    })
}
