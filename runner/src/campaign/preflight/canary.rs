//! Attempts that must fail, really made in a sandbox, and one that must succeed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use autoclave_policies::Grant;
use tokio_util::sync::CancellationToken;

use super::report::{Area, CheckReport};
use crate::campaign::CampaignError;
use crate::campaign::bench::Role;
use crate::campaign::capture::Capture;
use crate::campaign::clock;
use crate::campaign::workshop::{Base, HostFacts, Workshop};
use crate::sandbox::WORKSPACE;

/// Makes one attempt for each pair of arguments, and says how it ended.
const SCRIPT: &str = r#"
while [ $# -gt 1 ]; do
  case $1 in
    write) ( : >> "$2" ) 2>/dev/null ;;
    create) ( : > "$2/.autoclave-canary" ) 2>/dev/null ;;
    read) ( cat -- "$2" ) >/dev/null 2>&1 ;;
  esac
  [ $? -eq 0 ] && echo done || echo denied
  shift 2
done
"#;

/// One attempt: what is done, and to which path.
type Attempt = (&'static str, String);

/// Tries what must be denied to the commands of `role`, and that they can write what they may.
///
/// # Errors
///
/// Those of the sandbox, which proves further layers before every command.
pub(super) async fn check(
    workshop: &Workshop,
    (role, base): (Role, &Base),
    host: &HostFacts,
    report: &mut CheckReport,
    cancel: &CancellationToken,
) -> Result<(), CampaignError> {
    let secret = Secret::new(host)?;
    let mut forbidden: Vec<Attempt> = vec![
        ("create", "/".to_owned()),
        ("create", "/usr".to_owned()),
        ("write", "/etc/passwd".to_owned()),
        ("read", secret.0.display().to_string()),
    ];
    let harness = workshop
        .harness
        .iter()
        .find(|path| !workshop.is_mutable(path));
    forbidden.extend(harness.map(|path| ("write", format!("{WORKSPACE}/{path}"))));
    let allowed = allowed(workshop, role);
    let attempts: Vec<Attempt> = forbidden.iter().chain(&allowed).cloned().collect();
    let ends = make(workshop, (role, base), &attempts, cancel).await?;
    drop(secret);
    let said = |(what, path): &Attempt| match path.strip_prefix(WORKSPACE) {
        Some(within) => format!("{what} {}", within.trim_start_matches('/')),
        None if *what == "read" => "read a file of this machine".to_owned(),
        None => format!("{what} {path}"),
    };
    let end_of = |attempt: &Attempt| {
        let position = attempts.iter().position(|other| other == attempt);
        position.and_then(|at| ends.get(at).map(String::as_str))
    };
    let open: Vec<String> = forbidden
        .iter()
        .filter(|attempt| end_of(attempt) != Some("denied"))
        .map(said)
        .collect();
    let closed: Vec<String> = allowed
        .iter()
        .filter(|attempt| end_of(attempt) != Some("done"))
        .map(said)
        .collect();
    let name = workshop.benches.named("canaries", role);
    if !open.is_empty() {
        let detail = format!("not denied in the sandbox: {}", open.join(", "));
        let hint = "do not run anything here; report it with the output of this command";
        report.fail(Area::Sandbox, &name, detail, Some(hint));
    } else if !closed.is_empty() {
        let detail = format!("not allowed in the sandbox: {}", closed.join(", "));
        report.fail(Area::Sandbox, &name, detail, None);
    } else {
        let denied: Vec<String> = forbidden.iter().map(said).collect();
        let done: Vec<String> = allowed.iter().map(said).collect();
        let done = match done.first() {
            Some(done) => format!("; allowed: {done}"),
            None => String::new(),
        };
        let detail = format!("tried and denied: {}, connect out{done}", denied.join(", "));
        report.ok(Area::Sandbox, &name, detail);
    }
    Ok(())
}

/// Returns an attempt that must succeed, where the plan grants anything that exists.
fn allowed(workshop: &Workshop, role: Role) -> Vec<Attempt> {
    let grants = &workshop.bench(role).plan.grants;
    let attempt = grants.iter().find_map(|grant| match grant {
        Grant::Tree { path, .. } => Some(("create", format!("{WORKSPACE}/{path}"))),
        Grant::File { path } => Some(("write", format!("{WORKSPACE}/{path}"))),
        Grant::Open { .. } => None,
    });
    attempt.into_iter().collect()
}

/// Makes the attempts in one sandbox; returns how each ended, as far as they came.
async fn make(
    workshop: &Workshop,
    (role, base): (Role, &Base),
    attempts: &[Attempt],
    cancel: &CancellationToken,
) -> Result<Vec<String>, CampaignError> {
    let mut output = Capture::new(64 << 10);
    let mut command = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        SCRIPT.to_owned(),
        "sh".to_owned(),
    ];
    for (what, path) in attempts {
        command.extend([(*what).to_owned(), path.clone()]);
    }
    let timeout = Duration::from_secs(60);
    let finished = workshop
        .run_words(
            (role, base.visible.of(role)),
            command,
            timeout,
            cancel,
            &mut output,
        )
        .await?;
    drop(finished);
    let text = String::from_utf8_lossy(output.stdout.bytes()).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

/// A file of the host that no sandbox may read; removed in the end.
struct Secret(PathBuf);

impl Secret {
    fn new(host: &HostFacts) -> Result<Self, CampaignError> {
        let path = host.state.join(format!("canary-{:x}", clock::dice()));
        // Readable for everybody, so that only the sandbox can be what keeps it from being read.
        fs::write(&path, "host\n").map_err(|cause| CampaignError::Folder {
            path: path.clone(),
            cause,
        })?;
        Ok(Self(path))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_file(&self.0) {
            tracing::warn!(%cause, file = %self.0.display(), "could not remove");
        }
    }
}
