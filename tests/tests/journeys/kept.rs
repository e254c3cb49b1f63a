//! What is better is kept, what is worse is not, and the key is seen by nobody.

use std::fs;
use std::path::Path;

use e2e::stage::{Checkout, KEY, Setup, Stage, descendants, processes_with, tree};
use nix::unistd::geteuid;

use crate::toy;

e2e::journeys!(
    each_backend: [key_is_seen_by_nobody_but_the_gateway],
    each_caller: [improvement_is_kept_regression_discarded_and_finalized],
    mixed: [
        improvement_is_kept_regression_discarded_and_finalized,
        key_is_seen_by_nobody_but_the_gateway,
    ],
);

const MORE: &str = "    guard: {command: 'sh tests/guard.sh', rework_attempts: 0}
    loop: {max_experiments: 2, budget_per_experiment: 2m}
    agent: {model: sonnet}
";

const BETTER_THEN_WORSE: &str = r"
sessions:
  - - tools: [{name: Read, input: {file_path: /workspace/src/number.txt}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '100', new_string: '50'}}]
    - text: Halve the number.
  - - tools: [{name: Read, input: {file_path: /workspace/src/number.txt}}]
    - tools: [{name: Edit, input: {file_path: /workspace/src/number.txt, old_string: '50', new_string: '70'}}]
    - text: Raise the number.
";

fn improvement_is_kept_regression_discarded_and_finalized(setup: Setup) {
    let stage = toy::scripted(setup, MORE, BETTER_THEN_WORSE);
    let repo = stage.repo();
    stage.write("src/number.txt", "dirty\n");
    stage.write("untracked", "mine\n");
    let before = Checkout::of(&repo);

    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(0);

    assert_eq!(stage.verdicts("smaller"), ["keep", "discard worse"]);
    let results = stage.results("smaller");
    assert_eq!(results["baseline"]["value"], 100.0);
    assert_eq!(results["champion"]["value"], 50.0);
    assert_eq!(results["experiments"][0]["denied"], 0);
    // Every attempt is pinned, the discarded one too.
    for experiment in results["experiments"].as_array().unwrap() {
        let commit = experiment["commit"].as_str().unwrap();
        let pins = stage.git(&["for-each-ref", "--points-at", commit, "refs/autoclave"]);
        assert!(!pins.is_empty(), "{experiment}");
    }
    assert_eq!(
        stage.git(&["rev-parse", "autoclave/smaller"]),
        results["champion"]["commit"].as_str().unwrap()
    );

    let records: Vec<_> = stage
        .ledger()
        .iter()
        .map(|line| line["record"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        records,
        [
            "run_opened",
            "baseline_measured",
            "experiment_started",
            "experiment_decided",
            "experiment_started",
            "experiment_decided",
            "run_closed",
        ]
    );

    let finalized = stage
        .autoclave(&[
            "finalize",
            "-m",
            "smaller",
            "--branch",
            "autoclave/final",
            "--json",
        ])
        .expect(0)
        .json();
    assert_eq!(finalized["metric"]["base"], 100.0);
    assert_eq!(finalized["metric"]["final"], 50.0);
    assert_eq!(finalized["branch"], "autoclave/final");
    assert_eq!(stage.git(&["show", "autoclave/final:src/number.txt"]), "50");
    assert_eq!(
        stage.git(&["log", "--format=%s", "main..autoclave/final"]),
        "Halve the number."
    );
    before.assert_unchanged(&repo);
    assert_eq!(leftovers(&stage), Vec::<String>::new());
}

/// The pattern matches the key and not itself; the control is a file where it must be found.
const SEARCH: &str = r#"
sessions:
  - - tools: [{name: Bash, input: {command: 'env; cat /proc/*/environ /proc/*/cmdline /proc/*/cgroup /proc/self/mountinfo | tr "\0" "\n"'}}]
    - tools: [{name: Bash, input: {command: 'printf sk-test-never-to-be-seen-%s inside > /tmp/control; grep -rlsa sk-test-never-to-be-seen-insid[e] /workspace /home /tmp /run /etc /var /dev/shm /root /opt; echo searched'}}]
    - tools: [{name: Bash, input: {command: 'find / -xdev -type s 2>&1; echo sockets listed'}}]
    - tools: [{name: Bash, input: {command: 'echo 50 > /workspace/src/number.txt'}}]
    - text: Halve the number.
"#;

fn key_is_seen_by_nobody_but_the_gateway(setup: Setup) {
    let more = MORE.replace("max_experiments: 2", "max_experiments: 1");
    let stage = toy::scripted(setup, &more, SEARCH);
    let mut seen = Watched::default();
    let run = stage
        .watch(&["run", "-m", "smaller", "--json"], |run, _| {
            seen.look(&stage, run);
        })
        .expect(0);
    assert_eq!(stage.verdicts("smaller"), ["keep"]);

    // From inside: the agent's tools find the placeholder, and nowhere the key.
    let told = stage.told();
    assert!(told.contains("ANTHROPIC_API_KEY="), "{told}");
    assert!(told.contains("\n/tmp/control\nsearched\n"), "{told}");
    assert!(told.contains("sockets listed"), "{told}");
    assert!(!told.contains(KEY), "{told}");

    // From outside, while it ran: only our own process holds the key, as the user gave it.
    assert!(seen.agents > 0, "the watch never saw the agent");
    assert_eq!(seen.holders, Vec::<String>::new());

    // And what was written down or printed does not hold it.
    assert!(!run.to_string().contains(KEY), "{run}");
    stage.autoclave(&["finalize", "-m", "smaller"]).expect(0);
    assert_eq!(
        files_with_key(stage.outside("").as_path()),
        Vec::<String>::new()
    );
}

/// What was seen of a run from outside, at each of its events.
#[derive(Default)]
struct Watched {
    /// How often a process of the agent was seen.
    agents: u32,
    /// Who or what held the key.
    holders: Vec<String>,
}

impl Watched {
    /// Looks at the descendants of `run` and at all files of the stage.
    fn look(&mut self, stage: &Stage, run: u32) {
        let own = stage.outside("bin/autoclave").display().to_string();
        // An engine starts what is in containers; it is no child of ours.
        let contained = ["/docker/", "/libpod-"]
            .into_iter()
            .flat_map(processes_with);
        for process in descendants(run).into_iter().chain(contained) {
            // A fork of ours, until it becomes another program, is ourselves.
            if process.arguments.starts_with(&own) {
                continue;
            }
            let is_agent = process.arguments.contains("--output-format stream-json");
            // An ordinary tester cannot read the environment of the sandbox's processes.
            let is_legible = !geteuid().is_root() || !process.environment.is_empty();
            self.agents += u32::from(is_agent && is_legible);
            let environment = String::from_utf8_lossy(&process.environment);
            let holds = [&process.arguments, &*environment, &process.cgroups]
                .into_iter()
                .any(|text| text.contains(KEY));
            if holds {
                self.holders.push(format!("{process:?}"));
            }
        }
        self.holders.extend(files_with_key(&stage.outside("")));
    }
}

/// Returns the files under `root` that hold the key; what vanishes meanwhile holds nothing.
fn files_with_key(root: &Path) -> Vec<String> {
    let grep = std::process::Command::new("grep")
        .args(["-rlsaF", "--exclude-dir=bin", KEY])
        .arg(root)
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&grep.stdout);
    found.lines().map(str::to_owned).collect()
}

/// Returns what the state directory still holds, beside its name on engines and the file by which
/// measurements take turns.
fn leftovers(stage: &Stage) -> Vec<String> {
    let state = stage.outside("state");
    if !fs::exists(&state).unwrap() {
        return Vec::new();
    }
    let files = tree(&state);
    files
        .keys()
        .filter(|path| {
            !["engine-name", "measuring"]
                .map(Path::new)
                .contains(&path.as_path())
        })
        .map(|path| path.display().to_string())
        .collect()
}
