//! Whether the agent is there, and what it needs to work.

use std::time::Duration;

use super::report::{Area, CheckReport};
use crate::agent;
use crate::campaign::error::chain;
use crate::campaign::gate::ModelService;
use crate::campaign::workshop::HostFacts;
use crate::marker::{Marker, Protocol};

/// The release of Claude Code that the tests of this program drive.
const TESTED: &str = "2.1.197";
/// How long the agent's binary may take to tell its version.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn check(
    marker: &Marker,
    service: Result<&&ModelService, &String>,
    host: &HostFacts,
    report: &mut CheckReport,
) {
    if marker.agent.protocol == Protocol::None {
        // Any program will do; it is looked for in the sandbox, where it will run.
        return;
    }
    let command = marker.agent.command.first().map_or("", String::as_str);
    let hint = "install Claude Code (`npm install -g @anthropic-ai/claude-code`), set \
                `agent.command` to its path, or `agent.protocol: none` for another program";
    match agent::locate(command, host.path.as_deref()) {
        Err(error) => report.fail(Area::Agent, "agent", chain(&error), Some(hint)),
        Ok(program) => match agent::version(&program, ANSWERS_WITHIN).await {
            Err(error) => report.fail(Area::Agent, "agent", chain(&error), Some(hint)),
            Ok(version) => {
                let found = format!("{version}, `{}`", program.host.display());
                if version.split_whitespace().next() == Some(TESTED) {
                    report.ok(Area::Agent, "agent", found);
                } else {
                    let detail = format!("{found}; tested is {TESTED}");
                    let hint = "a first run with `--experiments 1` shows whether it works";
                    report.warn(Area::Agent, "agent", detail, Some(hint));
                }
            }
        },
    }
    match service {
        Ok(service) => {
            let place = match &service.credential_file {
                Some(file) => format!("read from `{}`", file.display()),
                None => format!("{} is set", service.credential.kind().variable()),
            };
            let detail = format!("{place}; only the gateway will hold it");
            report.ok(Area::Agent, "credential", detail);
        }
        Err(problem) => {
            let hint = "set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN, or \
                        name a file with AUTOCLAVE_CREDENTIAL_FILE";
            report.fail(Area::Agent, "credential", problem.as_str(), Some(hint));
        }
    }
}
