//! A toy repository: a number to make smaller.

use e2e::stage::{Setup, Stage};

/// What the metric reads, what the guard wants, and what is not to be touched.
pub const FILES: [(&str, &str); 3] = [
    ("src/number.txt", "100\n"),
    ("tests/measure.sh", "cat src/number.txt\n"),
    (
        "tests/guard.sh",
        "grep -x '[0-9][0-9]*' src/number.txt || { echo the number is no number; exit 1; }\n",
    ),
];

/// The marker `smaller`; more keys of it may follow.
pub const MARKER: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'sh tests/measure.sh', extract: 'cat', direction: lower}
    sandbox: {backend: BACKEND}
";

/// Returns a stage with the toy, whose marker has `more` keys, where the model plays `script`.
pub fn scripted(setup: Setup, more: &str, script: &str) -> Stage {
    Stage::new(setup, &format!("{MARKER}{more}"), &FILES).with_script(script)
}

/// Returns a stage with the toy, whose agent is the shell script `agent`; no model is asked.
pub fn shelled(setup: Setup, more: &str, agent: &str) -> Stage {
    let config = format!("{MARKER}    agent: {{command: [sh, agent.sh], protocol: none}}\n{more}");
    let mut files = FILES.to_vec();
    files.push(("agent.sh", agent));
    let mut stage = Stage::new(setup, &config, &files);
    stage.set("ANTHROPIC_API_KEY", None);
    stage
}
