//! A run that is killed between any two changes to the disk goes on as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use e2e::durable::{Ended, Followed};
use e2e::engine::{Engine, IMAGE};
use e2e::stage::{Setup, autoclave};
use e2e::toy::{MARKER, Toy, control_groups};
use serde_json::Value;

/// Two keeps, one of them reworked: every kind of step, and the branch both made and moved.
fn stage() -> Toy {
    Toy::with(two_keeps)
}

#[expect(clippy::needless_pass_by_value, reason = "what a toy hands over")]
fn two_keeps(config: String) -> String {
    config.replace("halve, raise, lines, think, note", "halve, lines")
}

const RUN: [&str; 5] = ["run", "-m", MARKER, "--experiments", "2"];

/// Follows one run. `is_last` is told each step, without what no two runs have in common.
fn follow(stage: &Toy, mut is_last: impl FnMut(&str) -> bool) -> Ended {
    Followed::start(&autoclave(), stage.root(), |command| {
        let mut command = stage.dressed(command, &RUN);
        // The agent has no use for it; but so a gateway is started.
        command.env("ANTHROPIC_API_KEY", "sk-test");
        command
    })
    .until(|step| is_last(&plain(step)))
}

/// Returns a step with ids, numbers of snapshots and names of objects replaced.
fn plain(step: &str) -> String {
    let (verb, path) = step.split_once(' ').unwrap();
    if path.contains("gateway") {
        return format!("{verb} the gateway's");
    }
    if path.starts_with("state") {
        return format!("{verb} in the state directory");
    }
    if path.contains(".git/objects/") {
        return format!("{verb} a git object");
    }
    let is_run = |part: &&str| part.len() > 20 && part.contains(MARKER);
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| if is_run(&part) { "RUN" } else { part })
        .collect();
    format!("{verb} {}", parts.join("/"))
}

/// What a run leaves behind for good, comparable between runs.
#[derive(Debug, PartialEq)]
struct Outcome {
    ledger: Vec<Value>,
    /// Name and `src` of each ref that is autoclave's.
    refs: Vec<(String, String)>,
    /// The verdicts that the events tell, in order.
    told: Vec<(u64, String)>,
    results: Vec<String>,
}

fn outcome(stage: &Toy) -> Outcome {
    let run = stage.run_folders().remove(0);
    let id = run.file_name().unwrap().to_str().unwrap();
    let refs = stage.git(&["for-each-ref", "--format=%(refname)"]);
    let refs = refs
        .lines()
        .filter(|name| name.contains(id) || name.contains("heads/autoclave"))
        .map(|name| {
            let tree = stage.git(&["rev-parse", &format!("{name}:src")]);
            (name.replace(id, "RUN"), tree)
        })
        .collect();
    let mut told = Vec::new();
    for (line, seq) in fs::read_to_string(run.join("events.jsonl"))
        .unwrap()
        .lines()
        .zip(1..)
    {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["seq"], seq);
        if event["event"] == "decided" {
            told.push((
                event["experiment"].as_u64().unwrap(),
                event["verdict"].to_string(),
            ));
        }
    }
    let results = fs::read_to_string(run.join("results.tsv")).unwrap();
    Outcome {
        ledger: stage.ledger(&run),
        refs,
        told,
        results: results
            .lines()
            .map(|line| {
                let mut cells: Vec<&str> = line.split('\t').collect();
                cells.remove(1);
                cells.join("\t")
            })
            .collect(),
    }
}

/// Kills a run before the `occurrence`-th time (from 1) that it makes `step`, runs again, and
/// compares what is there in the end. Returns what is not as it should be.
fn kill_and_go_on(step: &str, occurrence: u32, undisturbed: &Outcome) -> Vec<String> {
    let stage = stage();
    if let Err(ended) = killed(&stage, step, occurrence) {
        return vec![format!("it was never made: {ended:?}")];
    }
    stage.wait_for_death();
    let labels: Vec<String> = fs::read_dir(stage.state())
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "lock")
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut problems = go_on(&stage, undisturbed);
    let groups = labels.iter().flat_map(|label| control_groups(label));
    problems.extend(groups.map(|group| format!("cgroup {}", group.display())));
    problems
}

/// Follows a run and kills it before the `occurrence`-th time (from 1) that it makes `step`.
fn killed(stage: &Toy, step: &str, occurrence: u32) -> Result<(), Ended> {
    let mut seen = 0;
    let ended = follow(stage, |next| {
        seen += u32::from(next == step);
        next == step && seen == occurrence
    });
    if ended == Ended::Killed {
        Ok(())
    } else {
        Err(ended)
    }
}

/// Runs again; returns what is not as without any trouble.
fn go_on(stage: &Toy, undisturbed: &Outcome) -> Vec<String> {
    let again = stage.run(&RUN);
    let mut problems = Vec::new();
    if again.status.code() != Some(0) {
        problems.push(format!("the next run ended with {again:?}"));
    } else if outcome(stage) != *undisturbed {
        problems.push(format!("it came to {:#?}", outcome(stage)));
    }
    problems.extend(stage.leftovers());
    problems
}

#[test]
fn a_run_killed_before_any_step_goes_on_to_the_same_end() {
    let reference = stage();
    let mut steps: BTreeMap<String, u32> = BTreeMap::new();
    let ended = follow(&reference, |step| {
        *steps.entry(step.to_owned()).or_default() += 1;
        false
    });
    assert_eq!(ended, Ended::Exited(0));
    assert_eq!(reference.leftovers().join("\n"), "");
    let undisturbed = outcome(&reference);
    let verdicts = ["\"keep\"", "\"keep\""].map(String::from);
    assert_eq!(
        undisturbed.told,
        [1, 2].into_iter().zip(verdicts).collect::<Vec<_>>()
    );
    let last_line = "write repo/.autoclave/runs/RUN/ledger.jsonl";
    assert_eq!(
        steps[last_line], 7,
        "opened, baseline, 2 x (started, decided), closed"
    );

    let middle = |step: &str| steps[step] / 2;
    let run = |step: &str, file: &str| format!("{step} repo/.autoclave/runs/RUN/{file}");
    let git = |step: &str, name: &str| format!("{step} repo/.git/refs/{name}");
    let mut points = vec![
        ("write repo/.autoclave/runs/.gitignore".to_owned(), 1),
        ("write repo/.autoclave/runs/smaller.lock".to_owned(), 1),
        ("make in the state directory".to_owned(), 1),
        (
            "write in the state directory".to_owned(),
            middle("write in the state directory"),
        ),
        (
            "make in the state directory".to_owned(),
            middle("make in the state directory"),
        ),
        (
            "remove in the state directory".to_owned(),
            middle("remove in the state directory"),
        ),
        ("make the gateway's".to_owned(), 1),
        ("create the gateway's".to_owned(), 1),
        (run("write", "plan.json"), 1),
        (run("write", "experiments/0001/agent.jsonl"), 1),
        (run("write", "experiments/0001/candidate.patch"), 1),
        (run("write", "experiments/0002/guard-lines-0.txt"), 1),
        (run("write", "experiments/0002/metric.txt"), 1),
        (run("write", "results.tsv"), 2),
        (
            run("write", "events.jsonl"),
            middle(&run("write", "events.jsonl")),
        ),
        (
            run("write", "events.jsonl"),
            steps[&run("write", "events.jsonl")],
        ),
        (
            "write a git object".to_owned(),
            middle("write a git object"),
        ),
        (git("write", "autoclave/RUN/0001.lock"), 1),
        (git("remove", "autoclave/RUN/0001.lock"), 1),
        (git("rename to", "autoclave/RUN/0002"), 1),
        (git("write", "heads/autoclave/smaller.lock"), 1),
        (git("rename to", "heads/autoclave/smaller"), 1),
    ];
    // Every line of the ledger, once it is written; the first and a verdict also just before.
    points.extend((1..=7).map(|time| (run("sync", "ledger.jsonl"), time)));
    points.extend([1, 4].map(|time| (run("write", "ledger.jsonl"), time)));
    let points = Mutex::new(points);
    let next = || points.lock().unwrap().pop();
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((step, time)) = next() {
                    for problem in kill_and_go_on(&step, time, &undisturbed) {
                        let at = format!("killed before `{step}`, time {time}: {problem}");
                        problems.lock().unwrap().push(at);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

e2e::journeys!(container, Container, Container, Tester: [a_run_in_containers_is_killed_and_goes_on_and_nothing_is_left_on_the_engine]);

fn a_run_in_containers_is_killed_and_goes_on_and_nothing_is_left_on_the_engine(_: Setup) {
    let engine = Engine::start();
    let theirs = engine.docker(&["create", "--name", "theirs", IMAGE, "true"]);
    let stage = || {
        let regex = |config: String| config.replace("extract: 'cat'", "extract: 'regex:([0-9]+)'");
        Toy::in_containers(engine.host(), IMAGE, |config| two_keeps(regex(config)))
    };
    let reference = stage();
    let ended = follow(&reference, |_| false);
    assert_eq!(ended, Ended::Exited(0));
    let undisturbed = outcome(&reference);
    let verdicts = ["\"keep\"", "\"keep\""].map(String::from);
    assert_eq!(
        undisturbed.told,
        [1, 2].into_iter().zip(verdicts).collect::<Vec<_>>()
    );
    let run = |step: &str, file: &str| format!("{step} repo/.autoclave/runs/RUN/{file}");
    let mut problems = Vec::new();
    for (step, time) in [
        // The archive of the base, on its way to the engine; then its manifest.
        ("create in the state directory".to_owned(), 1),
        // What the agent says while it works.
        (run("write", "experiments/0001/agent.jsonl"), 1),
        // After a pair of measurements, and before and after its verdict is written.
        (run("create", "experiments/0001/metric.txt"), 1),
        (run("write", "ledger.jsonl"), 4),
        // Between a verdict and its branch.
        (run("sync", "ledger.jsonl"), 4),
        (
            "write repo/.git/refs/heads/autoclave/smaller.lock".to_owned(),
            1,
        ),
    ] {
        let stage = stage();
        if let Err(ended) = killed(&stage, &step, time) {
            problems.push(format!("`{step}` was never made: {ended:?}"));
            continue;
        }
        let found = go_on(&stage, &undisturbed);
        let left = engine.ours();
        let left = left.iter().map(|id| format!("{id} on the engine"));
        let at = |problem| format!("killed before `{step}`, time {time}: {problem}");
        problems.extend(found.into_iter().chain(left).map(at));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    engine.docker(&["container", "inspect", &theirs]);
}
