//! What `autoclave why` answers is what the real agent meets, and what the run's output says of it.

use e2e::stage::{Setup, Stage};
use serde_json::Value;

use crate::toy;

e2e::journeys!(
    each_backend: [],
    each_caller: [an_agent_meets_what_why_answers_and_the_output_says_it_in_the_same_words],
);

/// Something that the agent tries: the operation, the path as `why` is asked, and the tool call.
struct Attempt {
    operation: &'static str,
    path: &'static str,
    call: &'static str,
}

/// After nine calls Claude Code adds words of its own behind a result, where the model overlooks it.
const ATTEMPTS: [Attempt; 8] = [
    Attempt {
        operation: "write",
        path: "tests/guard.sh",
        call: "{name: Edit, input: {file_path: /workspace/tests/guard.sh, old_string: 'exit 1', new_string: 'exit 0'}}",
    },
    Attempt {
        operation: "remove",
        path: "tests/guard.sh",
        call: "{name: Bash, input: {command: 'rm -f tests/guard.sh'}}",
    },
    Attempt {
        operation: "create file",
        path: "tests/new.sh",
        call: "{name: Bash, input: {command: 'echo mine > tests/new.sh'}}",
    },
    Attempt {
        operation: "write",
        path: "/usr/mine",
        call: "{name: Bash, input: {command: 'echo mine > /usr/mine'}}",
    },
    Attempt {
        operation: "read",
        path: "answers/1.txt",
        call: "{name: Bash, input: {command: 'cat answers/1.txt'}}",
    },
    Attempt {
        operation: "create file",
        path: "src/Makefile",
        call: "{name: Bash, input: {command: 'echo all: > src/Makefile'}}",
    },
    // In a directory of both kinds the answer depends on who runs it.
    Attempt {
        operation: "create file",
        path: "data/new.txt",
        call: "{name: Write, input: {file_path: /workspace/data/new.txt, content: new}}",
    },
    Attempt {
        operation: "write",
        path: "src/number.txt",
        call: "{name: Bash, input: {command: 'echo 50 > src/number.txt'}}",
    },
];

fn an_agent_meets_what_why_answers_and_the_output_says_it_in_the_same_words(setup: Setup) {
    let mut script =
        "sessions:\n  - - tools: [{name: Read, input: {file_path: /workspace/tests/guard.sh}}]\n"
            .to_owned();
    for Attempt { call, .. } in &ATTEMPTS {
        script.push_str(&format!("    - tools: [{call}]\n"));
    }
    script.push_str("    - text: Tried it all.\n");
    let target = "{mutable: ['src/**', 'data/*.txt'], immutable: ['tests/**'], hidden: [answers/]}";
    let config = toy::MARKER.replace("{mutable: ['src/**'], immutable: ['tests/**']}", target);
    assert!(config.contains(target));
    let config = format!("{config}    loop: {{max_experiments: 1, budget_per_experiment: 2m}}\n");
    let mut files = toy::FILES.to_vec();
    files.extend([
        ("data/a.txt", "1\n"),
        ("data/table.bin", "1\n"),
        ("answers/1.txt", "42\n"),
    ]);
    let stage = Stage::new(setup, &config, &files).with_script(&script);
    let answers: Vec<Value> = ATTEMPTS
        .iter()
        .map(|attempt| answer(&stage, attempt))
        .collect();

    let ended = stage.autoclave(&["run", "-m", "smaller"]);
    let ended = ended.expect(0);

    // What the agent met, after its reading of the file that it edits.
    let results = stage.model().tool_results();
    assert_eq!(results.len(), ATTEMPTS.len() + 1, "{results:?}");
    for ((attempt, answer), result) in ATTEMPTS.iter().zip(&answers).zip(&results[1..]) {
        let Attempt {
            operation, path, ..
        } = attempt;
        let allowed = answer["allowed"] == true;
        assert_eq!(
            allowed, !result.is_error,
            "{operation} {path}: {answer} {result:?}"
        );
    }

    // What the run said of it.
    let refused = |answer: &Value| answer["words"].as_str().unwrap().starts_with("refused by");
    let expected: Vec<String> = ATTEMPTS
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| refused(answer))
        .map(
            |(
                Attempt {
                    operation, path, ..
                },
                answer,
            )| { format!("{operation} {path}: {}", answer["words"].as_str().unwrap()) },
        )
        .collect();
    let denied = stage.events_of("agent_denied");
    let said: Vec<&str> = denied
        .iter()
        .map(|event| event["why"].as_str().unwrap())
        .collect();
    assert_eq!(said, expected);
    for line in &expected {
        let line = format!("  denied  {line}\n");
        assert!(ended.stderr.contains(&line), "{line}: {}", ended.stderr);
    }
    let refusals = if setup.caller.is_root() || setup.uses_containers() {
        4
    } else {
        5
    };
    assert_eq!(expected.len(), refusals, "{expected:#?}");

    // What became of it.
    let outcome = |outcome: &str| -> Vec<&str> {
        let tried = ATTEMPTS.iter().zip(&answers);
        let mut paths: Vec<&str> = tried
            .filter(|(_, answer)| answer["outcome"] == outcome)
            .map(|(attempt, _)| attempt.path)
            .collect();
        paths.sort_unstable();
        paths
    };
    let kept = stage.git(&["diff", "--name-only", "main", "autoclave/smaller"]);
    assert_eq!(kept.lines().collect::<Vec<_>>(), outcome("kept"));
    let built = stage.events_of("candidate_built");
    let dropped = built[0]["dropped"].as_array().unwrap().iter();
    let dropped: Vec<&str> = dropped.map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(dropped, outcome("taken back at the end"));
    assert_eq!(dropped, ["src/Makefile"]);
}

/// Returns what `why` decides about the attempt for the agent.
fn answer(stage: &Stage, attempt: &Attempt) -> Value {
    let why = stage.autoclave(&["why", attempt.path, "-m", "smaller", "--json"]);
    let why = why.expect(0).json();
    let decisions = why["markers"][0]["answers"][0]["decisions"].as_array();
    let mut decisions = decisions.unwrap().iter();
    let decision = decisions.find(|decision| decision["operation"] == attempt.operation);
    decision
        .unwrap_or_else(|| panic!("no `{}` in {why:#}", attempt.operation))
        .clone()
}
