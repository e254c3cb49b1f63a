//! What is not to be written is not written, and the agent is told by the kernel.

use std::fs;

use e2e::stage::{Checkout, Setup, Stage};

use crate::toy;

e2e::journeys!(
    each_backend: [],
    each_caller: [
        writes_outside_the_mutable_paths_are_denied_and_counted,
        directory_with_both_kinds_lets_the_real_editor_change_only_the_mutable,
    ],
    mixed: [writes_outside_the_mutable_paths_are_denied_and_counted],
);

/// Files that nobody may change even where a glob covers them.
const MANDATORY: [&str; 7] = [
    ".gitignore",
    ".gitattributes",
    ".autoclave/config.yaml",
    ".github/workflows/ci.yml",
    ".claude/settings.json",
    "CLAUDE.md",
    ".mcp.json",
];

fn writes_outside_the_mutable_paths_are_denied_and_counted(setup: Setup) {
    let script = r"
sessions:
  - - tools: [{name: Read, input: {file_path: /workspace/tests/guard.sh}}]
    - tools: [{name: Edit, input: {file_path: /workspace/tests/guard.sh, old_string: 'exit 1', new_string: 'exit 0'}}]
    - tools: [{name: Bash, input: {command: 'echo exit 0 > tests/guard.sh'}}]
    - tools: [{name: Bash, input: {command: 'for f in LIST; do echo mine >> $f; done'}}]
    - tools: [{name: Bash, input: {command: 'echo mine >> CANARY || true; echo mine > /usr/mine'}}]
    - tools: [{name: Bash, input: {command: 'rm -rf .autoclave .github .claude; mv tests gone; echo 50 > src/number.txt'}}]
    - text: Halve the number.
";
    let more = "    loop: {max_experiments: 1, budget_per_experiment: 2m}\n    guard: {command: 'sh tests/guard.sh'}\n";
    let config = format!("{}{more}", toy::MARKER.replace("'src/**'", "'**'"));
    let mut files = toy::FILES.to_vec();
    for path in MANDATORY
        .into_iter()
        .filter(|path| !path.contains("config"))
    {
        files.push((path, "{}\n"));
    }
    let stage = Stage::new(setup, &config, &files);
    let canary = stage.outside("canary");
    fs::write(&canary, "alive\n").unwrap();
    let script = script
        .replace("LIST", &MANDATORY.join(" "))
        .replace("CANARY", canary.to_str().unwrap());
    let stage = stage.with_script(&script);
    let before = Checkout::of(&stage.repo());

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);

    let results: Vec<_> = stage.model().tool_results();
    let refusals = [
        "EACCES",
        "EPERM",
        "EROFS",
        "Permission denied",
        "not permitted",
        "Read-only",
    ];
    for (at, result) in results.iter().enumerate().skip(1) {
        let is_refused = refusals.iter().any(|refusal| result.text.contains(refusal));
        assert!(is_refused, "call {at} was not refused: {result:?}");
    }
    assert_eq!(results.len(), 6);
    assert!(results[1].is_error, "{:?}", results[1]);
    for path in MANDATORY {
        let line = format!("{path}: Permission denied");
        assert!(results[3].text.contains(&line), "{line}: {:?}", results[3]);
    }
    assert_eq!(stage.results("smaller")["experiments"][0]["denied"], 5);
    assert_eq!(stage.events_of("agent_denied").len(), 5);

    // The change that was allowed is all that came out.
    let patch = stage.git(&["diff", "--name-status", "main", "autoclave/smaller"]);
    assert_eq!(patch, "M\tsrc/number.txt");
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive\n");
    assert!(!fs::exists("/usr/mine").unwrap());
    before.assert_unchanged(&stage.repo());
}

fn directory_with_both_kinds_lets_the_real_editor_change_only_the_mutable(setup: Setup) {
    let script = r"
sessions:
  - - tools:
      - {name: Read, input: {file_path: /workspace/src/number.txt}}
      - {name: Read, input: {file_path: /workspace/src/fixed.txt}}
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '100', new_string: '50'}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/fixed.txt, old_string: 'fixed', new_string: 'loose'}}]
    - tools: [{name: Bash, input: {command: 'cat src/number.txt src/fixed.txt; rm -f src/fixed.txt; mv src/number.txt src/fixed.txt; mv src gone'}}]
    - tools: [{name: Write, input: {file_path: /workspace/src/new.txt, content: 'new'}}]
";
    let config = toy::MARKER.replace("['src/**']", "['src/*.txt']");
    let config = config.replace("['tests/**']", "['tests/**', 'src/fixed.txt']");
    let config = format!("{config}    loop: {{max_experiments: 1}}\n");
    let mut files = toy::FILES.to_vec();
    files.push(("src/fixed.txt", "fixed\n"));
    let stage = Stage::new(setup, &config, &files).with_script(script);
    stage.autoclave(&["run", "-m", "smaller"]).expect(0);

    let results = stage.model().tool_results();
    let [_, _, edited, fixed, moved, new] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert!(!edited.is_error, "{edited:?}");
    assert!(fixed.is_error, "{fixed:?}");
    assert!(
        fixed.text.contains("EPERM") || fixed.text.contains("EACCES"),
        "{fixed:?}"
    );
    assert!(
        moved.text.starts_with("Exit code 1\n50\nfixed\n"),
        "{moved:?}"
    );
    assert_eq!(
        moved.text.matches("mv: cannot move").count(),
        2,
        "{moved:?}"
    );
    // Without a second uid the directory itself is closed: files in it are edited in place.
    assert_eq!(new.is_error, !setup.caller.is_root(), "{new:?}");
    let changed = stage.git(&["diff", "--name-status", "main", "autoclave/smaller"]);
    let new = if setup.caller.is_root() {
        "A\tsrc/new.txt\n"
    } else {
        ""
    };
    assert_eq!(changed, format!("{new}M\tsrc/number.txt"));
}
