//! How an agent is started: arguments, environment, standard input.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::marker::{AgentSpec, Protocol};

/// How often Claude Code asks again after a failed request; its own default is 10, about 180 s.
const MAX_RETRIES: &str = "4";

/// A command to start inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    pub argv: Vec<OsString>,
    /// Added to the sandbox's own environment. Holds no credential: the caller adds a placeholder.
    pub env: BTreeMap<String, String>,
    pub stdin: Vec<u8>,
}

/// Returns how to start `program` (its path inside the sandbox) with `brief`.
///
/// `resume` is the id of an earlier session that goes on with the brief as its next message; a
/// [`Protocol::None`] agent has no sessions and just gets the brief.
pub fn launch(spec: &AgentSpec, program: &Path, brief: &str, resume: Option<&str>) -> Launch {
    let mut argv = vec![program.as_os_str().to_owned()];
    argv.extend(spec.command.iter().skip(1).map(OsString::from));
    let env = match spec.protocol {
        Protocol::ClaudeCode => {
            argv.extend(
                claude_code_arguments(spec, resume)
                    .into_iter()
                    .map(OsString::from),
            );
            claude_code_env()
        }
        Protocol::None => BTreeMap::new(),
    };
    Launch {
        argv,
        env,
        stdin: brief.as_bytes().to_vec(),
    }
}

fn claude_code_arguments(spec: &AgentSpec, resume: Option<&str>) -> Vec<String> {
    let mut arguments: Vec<String> = ["-p", "--output-format", "stream-json", "--verbose"]
        .map(str::to_owned)
        .to_vec();
    let mut add =
        |option: &str, value: &str| arguments.extend([option.to_owned(), value.to_owned()]);
    // Keeps the settings, hooks and servers of the repository (an earlier experiment's) out.
    add("--setting-sources", "user");
    if let Some(model) = &spec.model {
        add("--model", model);
    }
    if let Some(turns) = spec.max_turns {
        add("--max-turns", &turns.to_string());
    }
    if !spec.allowed_tools.is_empty() {
        add("--allowedTools", &spec.allowed_tools.join(","));
    }
    if !spec.disallowed_tools.is_empty() {
        add("--disallowedTools", &spec.disallowed_tools.join(","));
    }
    if let Some(session) = resume {
        add("--resume", session);
    }
    if spec.permission_mode == "bypassPermissions" {
        arguments.push("--dangerously-skip-permissions".to_owned());
    } else {
        add("--permission-mode", &spec.permission_mode);
    }
    arguments.push("--strict-mcp-config".to_owned());
    arguments
}

fn claude_code_env() -> BTreeMap<String, String> {
    [
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", MAX_RETRIES),
        ("DISABLE_AUTOUPDATER", "1"),
        // Without it uid 0 may not skip permissions.
        ("IS_SANDBOX", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(protocol: Protocol) -> AgentSpec {
        AgentSpec {
            from_host: false,
            name: "a".to_owned(),
            model: Some("sonnet".to_owned()),
            permission_mode: "bypassPermissions".to_owned(),
            allowed_tools: vec!["Bash(git log:*)".to_owned(), "Edit".to_owned()],
            disallowed_tools: vec!["WebFetch".to_owned()],
            command: vec!["claude".to_owned(), "--debug".to_owned()],
            protocol,
            max_turns: Some(50),
        }
    }

    fn line(launch: &Launch) -> String {
        let words: Vec<_> = launch
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }

    #[test]
    fn claude_code_gets_every_rule_of_the_marker() {
        let launch = launch(
            &spec(Protocol::ClaudeCode),
            Path::new("/opt/agent/claude"),
            "go",
            Some("s1"),
        );
        assert_eq!(
            line(&launch),
            "/opt/agent/claude --debug -p --output-format stream-json --verbose --setting-sources user \
             --model sonnet --max-turns 50 --allowedTools Bash(git log:*),Edit --disallowedTools WebFetch \
             --resume s1 --dangerously-skip-permissions --strict-mcp-config"
        );
        assert_eq!(launch.env["IS_SANDBOX"], "1");
        assert_eq!(launch.stdin, b"go");
    }

    #[test]
    fn another_permission_mode_is_named_and_skips_nothing() {
        let spec = AgentSpec {
            model: None,
            permission_mode: "acceptEdits".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            max_turns: None,
            ..spec(Protocol::ClaudeCode)
        };
        assert_eq!(
            line(&launch(&spec, Path::new("/c"), "", None)),
            "/c --debug -p --output-format stream-json --verbose --setting-sources user \
             --permission-mode acceptEdits --strict-mcp-config"
        );
    }

    #[test]
    fn any_other_program_gets_only_its_own_arguments() {
        let launch = launch(
            &spec(Protocol::None),
            Path::new("/opt/agent/x"),
            "go",
            Some("s1"),
        );
        assert_eq!(line(&launch), "/opt/agent/x --debug");
        assert_eq!(launch.env, BTreeMap::new());
    }
}
