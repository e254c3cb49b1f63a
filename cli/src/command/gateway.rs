//! `autoclave gateway`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoclave_runner::gateway::{
    AuditTo, Gateway, GatewayError, GatewayOptions, SOCKET_IN_SANDBOX, SharedGateway,
    SharedOptions, TimeLimits,
};
use autoclave_runner::model::Cost;
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{project, runtime, service};

/// Serve the model's API on a unix socket, keeping the credential out of sandboxes
#[derive(Debug, Args)]
#[command(
    after_help = "Example: AUTOCLAVE_CREDENTIAL_FILE=~/.keys/anthropic autoclave gateway --max-cost-usd 5"
)]
pub struct GatewayArgs {
    /// Make the socket in this folder, which others must not reach; a private one by default
    #[arg(long, value_name = "DIR")]
    socket: Option<PathBuf>,
    /// Append one JSON line a request to this file, outside of the socket's folder
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Refuse requests that may cost more than what is left of this
    #[arg(long, value_name = "N", value_parser = dollars)]
    max_cost_usd: Option<Cost>,
    /// Serve the runs of others, each with a socket, a token, a budget and an audit file of its own:
    /// AUTOCLAVE_GATEWAY names the control socket to them
    #[arg(long, conflicts_with = "audit")]
    runs: bool,
    /// Wait at most this many seconds for anything: a request, its body, the service's next byte
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    patience_s: Option<u32>,
    /// Read the credential from this file, instead of the one AUTOCLAVE_CREDENTIAL_FILE names
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
}

/// Serves until interrupted.
///
/// # Errors
///
/// [`Exit::Usage`] without a credential or with a folder that others can reach,
/// [`Exit::UsageLimitOrInfrastructure`] when the socket or the audit file cannot be made.
pub fn run(args: GatewayArgs, format: Format) -> Result<Exit, Failure> {
    let service = service::own(args.credential_file.as_deref())?.ok_or_else(|| {
        Failure::new(Exit::Usage, "there is no credential").hint(
            "Set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN, or name a file \
             with --credential-file.",
        )
    })?;
    let limits = match args.patience_s {
        Some(most) => TimeLimits::default().at_most(Duration::from_secs(most.into())),
        None => TimeLimits::default(),
    };
    if args.runs {
        let upstream = service.upstream.to_string();
        let options = SharedOptions {
            credential: service.credential,
            upstream: service.upstream,
            folder: folder(args.socket)?,
            max_cost: args.max_cost_usd,
            prices: service.prices,
            limits,
        };
        return serve_runs(options, &upstream, format);
    }
    let (folder, audit) = places(args.socket, args.audit)?;
    let upstream = service.upstream.to_string();
    let options = GatewayOptions {
        credential: service.credential,
        upstream: service.upstream,
        audit: AuditTo::File(audit.clone()),
        folder: folder.clone(),
        max_cost: args.max_cost_usd,
        prices: service.prices,
        allow_server_tools: false,
        limits,
    };
    runtime::block_on(async |cancel| {
        let gateway = Gateway::start(options).await.map_err(not_started)?;
        let socket = gateway.socket().display().to_string();
        let (here, inside) = (gateway.client_env(&socket), gateway.sandbox_env());
        match format {
            Format::Json => output::print_json(&json!({
                "socket": socket, "token": gateway.token(), "upstream": upstream, "audit": audit,
                "env": here, "container_env": inside,
            }))?,
            Format::Text => output::print(&format!(
                "Serving {upstream} until Ctrl-C or SIGTERM; audit file: {}\n\n\
                 Clients on this host need\n{}\n\
                 A container without a network\n{}",
                audit.display(),
                assignments(&here),
                container(&folder, &inside),
            ))?,
        }
        cancel.cancelled().await;
        let metered = gateway.metered();
        gateway.stop().await;
        let cost = metered.usage.cost_usd;
        match format {
            Format::Json => output::print_json(&json!({
                "requests": metered.requests, "input_tokens": metered.usage.input_tokens,
                "output_tokens": metered.usage.output_tokens, "cost_usd": cost,
            }))?,
            Format::Text => output::print(&format!(
                "Stopped after {} requests and {:.4} dollars at list prices.\n",
                metered.requests,
                cost.dollars()
            ))?,
        }
        Ok(Exit::Done)
    })
}

/// Serves the runs of others until interrupted.
fn serve_runs(options: SharedOptions, upstream: &str, format: Format) -> Result<Exit, Failure> {
    runtime::block_on(async |cancel| {
        let gateway = SharedGateway::start(options).await.map_err(not_started)?;
        let control = gateway.control().display().to_string();
        match format {
            Format::Json => {
                output::print_json(&json!({"control": control, "upstream": upstream}))?;
            }
            Format::Text => output::print(&format!(
                "Serving {upstream} to runs until Ctrl-C or SIGTERM. They need\n  \
                 AUTOCLAVE_GATEWAY={control}\n"
            ))?,
        }
        cancel.cancelled().await;
        gateway.stop().await;
        Ok(Exit::Done)
    })
}

fn not_started(error: GatewayError) -> Failure {
    let hint = match &error {
        GatewayError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
            Some("Another gateway serves there: stop it, or name another folder with --socket.")
        }
        GatewayError::Audit { .. } => Some("--audit names another file."),
        GatewayError::Listen { .. } | GatewayError::Shared { .. } | GatewayError::Tls(_) => None,
    };
    let failure = Failure::new(Exit::UsageLimitOrInfrastructure, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn assignments(env: &BTreeMap<String, String>) -> String {
    env.iter()
        .map(|(name, value)| format!("  {name}={value}\n"))
        .collect()
}

fn container(folder: &Path, env: &BTreeMap<String, String>) -> String {
    let inside = Path::new(SOCKET_IN_SANDBOX)
        .parent()
        .unwrap_or(Path::new("/"));
    let variables: String = env
        .iter()
        .map(|(name, value)| format!("    -e {name}={value} \\\n"))
        .collect();
    format!(
        "  docker run --network none -v {}:{}:ro \\\n{variables}    IMAGE COMMAND\n",
        folder.display(),
        inside.display()
    )
}

fn dollars(text: &str) -> Result<Cost, String> {
    let amount: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    let cost = Cost::from(amount);
    if amount.is_finite() && cost > Cost::ZERO {
        Ok(cost)
    } else {
        Err("it must be a number of dollars above 0".to_owned())
    }
}

/// Returns the socket's folder, made if need be, and the audit file, which must not lie in it:
/// sandboxes see the folder.
fn places(socket: Option<PathBuf>, audit: Option<PathBuf>) -> Result<(PathBuf, PathBuf), Failure> {
    let folder = folder(socket)?;
    let audit = match audit {
        Some(audit) => audit,
        None => project::host_facts()?.state.join("gateway-audit.jsonl"),
    };
    let absolute = std::path::absolute(&audit).map_err(|cause| Failure::new(Exit::Usage, cause))?;
    let place = absolute.parent().unwrap_or(Path::new("/"));
    let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
    if place.starts_with(&folder) {
        let message = format!(
            "the audit file `{}` lies in the socket's folder",
            audit.display()
        );
        return Err(Failure::new(Exit::Usage, message)
            .hint("What uses the gateway sees that folder; name another place with --audit."));
    }
    Ok((folder, absolute))
}

/// Returns the socket's folder, made if need be.
fn folder(socket: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let socket = match socket {
        Some(socket) => socket,
        None => project::host_facts()?.state.join("gateway"),
    };
    private_folder(&socket)
}

/// Makes a folder, or finds it, that only its owner can change and nobody else can reach.
fn private_folder(path: &Path) -> Result<PathBuf, Failure> {
    let failure =
        |problem: &str| Failure::new(Exit::Usage, format!("`{}` {problem}", path.display()));
    if !path.exists() {
        let builder = &mut DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.map_err(|cause| failure(&format!("cannot be made: {cause}")))?;
        let parent = path.parent().map(fs::canonicalize).and_then(Result::ok);
        if parent.is_some_and(|parent| is_closed(&parent)) {
            // Closed by what is above it already; so another uid can be let in by a mount.
            fs::set_permissions(path, Permissions::from_mode(0o755))
                .map_err(|cause| failure(&format!("cannot be opened for a mount: {cause}")))?;
        }
    }
    let found = |cause| failure(&format!("cannot be looked at: {cause}"));
    let folder = fs::canonicalize(path).map_err(found)?;
    let metadata = fs::metadata(&folder).map_err(found)?;
    if !metadata.is_dir() {
        return Err(failure("is not a folder"));
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(failure("can be changed by others")
            .hint("The socket's folder must belong to this user alone: chmod 700 it."));
    }
    if !is_closed(&folder) {
        return Err(failure("can be reached by others")
            .hint("chmod 700 the folder, or put it into one that only you can enter."));
    }
    Ok(folder)
}

/// Says whether only this user (and root) gets to `folder`: one on the way to it keeps others out.
fn is_closed(folder: &Path) -> bool {
    let ours = nix::unistd::geteuid().as_raw();
    folder.ancestors().any(|step| {
        fs::metadata(step)
            .is_ok_and(|step| (step.uid() == ours || step.uid() == 0) && step.mode() & 0o011 == 0)
    })
}
