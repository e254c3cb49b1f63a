//! The commands around a run, on runs in every state: none, in progress, killed, finished.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::{Child, Output};

use e2e::toy::{MARKER, Toy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// As a terminal does it: everything in the process group gets the signal.
fn signal_group(child: &Child, signal: Signal) {
    kill(Pid::from_raw(-child.id().cast_signed()), signal).unwrap();
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must fail with `code`; returns its error as `--json` tells it.
fn refusal(stage: &Toy, arguments: &[&str], expected: i32) -> Value {
    let output = stage.run(&[arguments, &["--json"]].concat());
    assert_eq!(code(&output), Some(expected), "{arguments:?}: {output:?}");
    let last = stderr(&output).lines().last().unwrap().to_owned();
    serde_json::from_str::<Value>(&last).unwrap()["error"].clone()
}

fn verdicts(results: &Value) -> Vec<String> {
    let experiments = results["experiments"].as_array().unwrap();
    experiments
        .iter()
        .map(|e| match &e["reason"] {
            Value::String(reason) => format!("{}({reason})", e["verdict"].as_str().unwrap()),
            _ => e["verdict"].as_str().unwrap().to_owned(),
        })
        .collect()
}

/// Replaces what differs from run to run, all the way down.
fn redact(value: &mut Value) {
    let is_commit = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match value {
        Value::String(text) if is_commit(text) => *value = json!("COMMIT"),
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "seconds" => *field = json!("SECONDS"),
                    "run" => *field = json!("RUN"),
                    _ => redact(field),
                }
            }
        }
        _ => {}
    }
}

fn redacted(mut value: Value) -> Value {
    redact(&mut value);
    value
}

#[test]
fn without_a_run_every_view_says_so() {
    let stage = Toy::new();
    let status = stage.json(&["status"], 0);
    assert_eq!(status["markers"][0]["state"], "never run");
    for arguments in [&["results"][..], &["show", "1"], &["finalize"]] {
        let error = refusal(&stage, arguments, 3);
        assert_eq!(error["message"], "marker `smaller` has no run yet");
    }
    let cleaned = stage.json(&["clean"], 0);
    assert_eq!(
        cleaned,
        json!({"removed": [], "leftovers": [], "in_use": [], "dry_run": false})
    );
}

#[test]
fn a_marker_is_run_once_at_a_time_and_others_beside_it() {
    let stage = Toy::with(|config| {
        let other = config
            .replace("markers:\n", "")
            .replace("name: smaller", "name: other")
            .replace("halve, raise, lines, think, note", "note")
            .replace("max_experiments: 5", "max_experiments: 1");
        config + &other
    });
    let mut first = stage.waiting_run();
    let message = format!(
        "marker `smaller` is in use by another autoclave, process {}",
        first.id()
    );
    for arguments in [
        &["run", "-m", MARKER][..],
        &["run", "-m", MARKER, "--new"],
        &["finalize", "-m", MARKER],
    ] {
        assert_eq!(refusal(&stage, arguments, 6)["message"], *message);
    }

    // Another marker of the repository, and one of the same name in another repository.
    let other = stage.run(&["run", "-m", "other"]);
    assert_eq!(code(&other), Some(3), "{other:?}");
    let namesake = Toy::new();
    let mut command = namesake.command(&["run", "--experiments", "1"]);
    command.env("AUTOCLAVE_STATE_DIR", stage.state());
    let namesake = command.output().unwrap();
    assert_eq!(code(&namesake), Some(0), "{namesake:?}");

    assert!(first.try_wait().unwrap().is_none(), "it is still at work");
    stage.go();
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let results = stage.json(&["results", "-m", MARKER], 0);
    assert_eq!(
        verdicts(&results),
        [
            "keep",
            "discard(worse)",
            "keep",
            "discard(no_change)",
            "discard(no_gain)"
        ]
    );
    assert_eq!(stage.leftovers().join("\n"), "");
}

#[test]
fn a_run_in_progress_and_a_killed_one_are_seen_as_what_they_are() {
    let stage = Toy::new();
    let mut run = stage.waiting_run();
    let status = stage.json(&["status"], 0)["markers"][0].clone();
    assert_eq!(
        (&status["state"], &status["pid"]),
        (&json!("running"), &json!(run.id()))
    );
    let results = stage.json(&["results"], 0);
    assert_eq!(results["baseline"]["value"], 100.0);
    assert_eq!(results["experiments"], json!([]));
    let shown = stage.json(&["show", "1"], 0);
    assert_eq!(shown["verdict"], Value::Null);
    assert!(
        shown["files"]["brief.md"]
            .as_str()
            .unwrap()
            .starts_with("# Goal")
    );
    let error = refusal(&stage, &["show", "2"], 2);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("has no experiment 2")
    );
    let cleaned = stage.json(&["clean"], 0);
    assert_eq!(
        cleaned,
        json!({"removed": [], "leftovers": [], "in_use": ["smaller"], "dry_run": false})
    );

    signal(&run, Signal::SIGKILL);
    run.wait().unwrap();
    stage.wait_for_death();
    let status = stage.json(&["status"], 0)["markers"][0].clone();
    assert_eq!(
        (&status["state"], &status["pid"]),
        (&json!("unfinished"), &Value::Null)
    );
    assert_eq!(refusal(&stage, &["finalize"], 3)["code"], "nothing_kept");
    let would = stage.json(&["clean", "--dry-run"], 0);
    assert_eq!(would["removed"], json!([]));
    assert_eq!(would["leftovers"].as_array().unwrap().len(), 1);
    assert_ne!(stage.leftovers().join("\n"), "");
    assert_eq!(stage.json(&["clean"], 0)["leftovers"], would["leftovers"]);
    assert_eq!(stage.leftovers().join("\n"), "");

    stage.go();
    let again = stage.run(&["run", "--experiments", "1"]);
    assert_eq!(code(&again), Some(0), "{again:?}");
    assert_eq!(stage.run_folders().len(), 1, "it went on");
    assert_eq!(stage.json(&["status"], 0)["markers"][0]["state"], "ended");

    let would = stage.json(&["clean", "--dry-run"], 0);
    assert_eq!(would["removed"].as_array().unwrap().len(), 1);
    assert_eq!(stage.json(&["clean"], 0)["removed"], would["removed"]);
    assert_eq!(stage.run_folders().len(), 0);
    let pins = stage.git(&["for-each-ref", "refs/autoclave"]);
    assert_eq!(
        pins.lines().count(),
        1,
        "the kept experiment stays pinned: {pins}"
    );
}

#[test]
fn the_first_signal_stops_a_run_that_then_goes_on() {
    for with in [Signal::SIGINT, Signal::SIGTERM] {
        let stage = Toy::new();
        let run = stage.waiting_run();
        signal_group(&run, with);
        let stopped = run.wait_with_output().unwrap();
        assert_eq!(code(&stopped), Some(130), "{stopped:?}");
        assert!(
            stderr(&stopped).contains(
                "error: interrupted\n  hint: `autoclave run` goes on where this stopped.\n"
            ),
            "{stopped:?}"
        );
        assert_eq!(stage.leftovers().join("\n"), "", "{with}");
        let results = stage.json(&["results"], 0);
        assert_eq!(verdicts(&results), ["void(cancelled)"]);

        stage.go();
        let again = stage.run(&["run", "--experiments", "1"]);
        assert_eq!(code(&again), Some(0), "{again:?}");
        let results = stage.json(&["results"], 0);
        assert_eq!(verdicts(&results), ["void(cancelled)", "keep"]);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let stage = Toy::new();
    let run = stage.waiting_run();
    signal_group(&run, Signal::SIGINT);
    signal_group(&run, Signal::SIGTERM);
    let stopped = run.wait_with_output().unwrap();
    assert_eq!(code(&stopped), Some(130), "{stopped:?}");
    stage.wait_for_death();
    stage.go();
    let again = stage.run(&["run", "--experiments", "1"]);
    assert_eq!(code(&again), Some(0), "{again:?}");
    assert_eq!(stage.leftovers().join("\n"), "");
}

#[test]
fn results_and_finalize_have_the_shapes_that_scripts_rely_on() {
    let stage = Toy::with(|config| config.replace("max_experiments: 5", "max_experiments: 3"));
    assert_eq!(code(&stage.run(&["run"])), Some(0));
    let experiment = |n: u32, rest: Value| {
        let mut whole = json!({"n": n, "verdict": "keep", "reason": null, "commit": "COMMIT",
            "value": null, "gain": null, "pairs": 2, "turns": 0, "input_tokens": 0,
            "output_tokens": 0, "cost_usd": 0.0, "seconds": "SECONDS", "denied": 0, "summary": "",
            "remarks": [], "tracks": {}});
        let fields = whole.as_object_mut().unwrap();
        fields.extend(rest.as_object().unwrap().clone());
        whole
    };
    let mut results = redacted(stage.json(&["results"], 0));
    for e in results["experiments"].as_array_mut().unwrap() {
        let gain = e["gain"].as_f64().unwrap();
        e["gain"] = json!((gain * 1e6).round() / 1e6);
    }
    assert_eq!(
        results,
        json!({
            "marker": "smaller", "run": "RUN", "direction": "lower",
            "baseline": {"commit": "COMMIT", "value": 100.0, "tracks": {}},
            "champion": {"commit": "COMMIT", "value": 40.0, "tracks": {}},
            "experiments": [
                experiment(1, json!({"value": 50.0, "gain": 0.5, "summary": "Halve the number"})),
                experiment(2, json!({"verdict": "discard", "reason": "worse", "value": 70.0,
                    "gain": -0.4, "summary": "Raise the number"})),
                experiment(3, json!({"value": 40.0, "gain": 0.2, "summary": "Mend the lines"})),
            ],
        })
    );

    let head = stage.git(&["rev-parse", "HEAD"]);
    // The user's branch has gone on meanwhile.
    stage.git(&["commit", "-q", "--allow-empty", "-m", "elsewhere"]);
    let moved = stage.git(&["rev-parse", "HEAD"]);
    let finalized = stage.json(&["finalize"], 0);
    let branch = finalized["branch"].as_str().unwrap();
    assert_eq!(finalized["base"], *head);
    let mut rounded = redacted(finalized.clone());
    rounded["metric"]["gain"] =
        json!((finalized["metric"]["gain"].as_f64().unwrap() * 1e6).round() / 1e6);
    let interval = finalized["metric"]["interval"].as_array().unwrap();
    for end in interval {
        assert!((end.as_f64().unwrap() - 0.6).abs() < 1e-6, "{interval:?}");
    }
    rounded["metric"]["interval"] = json!("INTERVAL");
    let share = &mut rounded["commits"][1]["share"];
    share["gain"] = json!((share["gain"].as_f64().unwrap() * 1e6).round() / 1e6);
    share["interval"] = json!("INTERVAL");
    assert_eq!(
        rounded,
        json!({
            "branch": "autoclave/smaller-final", "base": "COMMIT", "run": "RUN", "left_out": [],
            "commits": [
                {"commit": "COMMIT", "subject": "Halve the number", "experiments": [1],
                 "share": {"built_on_by": [3]}},
                {"commit": "COMMIT", "subject": "Mend the lines", "experiments": [3],
                 "share": {"gain": 0.2, "interval": "INTERVAL", "p_value": 0.0, "carries": true,
                           "readings": [[50.0, 40.0], [50.0, 40.0]]}},
            ],
            "guards": [{"name": "lines", "passed": true, "detail": "passed"}],
            "tracks": {},
            "metric": {"base": 100.0, "final": 40.0, "gain": 0.6, "interval": "INTERVAL", "pairs": 2,
                       "p_value": 0.0, "readings": [[100.0, 40.0], [100.0, 40.0]]},
        })
    );
    let run = stage.run_folders().remove(0);
    let id = run.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        stage.git(&["log", "--format=%s%n%b", &format!("{head}..{branch}")]),
        format!(
            "Mend the lines\nAutoclave-Metric: size 50kB -> 40kB\nAutoclave-Evidence: +20.00 % over 2 pairs\n\
             Autoclave-Run: {id}\nAutoclave-Experiment: 3\n\n\
             Halve the number\nAutoclave-Metric: size 100kB -> 50kB\nAutoclave-Evidence: +50.00 % over 2 pairs\n\
             Autoclave-Run: {id}\nAutoclave-Experiment: 1"
        )
    );
    let commits = finalized["commits"].as_array().unwrap();
    let short = |n: usize| &commits[n]["commit"].as_str().unwrap()[..10];
    assert_eq!(
        fs::read_to_string(run.join("finalize.md")).unwrap(),
        format!(
            "# Make the number smaller\n\n\
             | | base | this branch | gain | interval (95 %) | pairs |\n|---|---|---|---|---|---|\n\
             | size | 100kB | 40kB | +60.00 % | +60.00 % to +60.00 % | 2 |\n\n\
             Measured afresh in pairs, in sandboxes the agent never touched; the number of pairs was fixed before the first.\n\n\
             ## Commits\n\n- `{}` Halve the number (experiment 1): experiment 3 builds on it\n\
             - `{}` Mend the lines (experiment 3): +20.00 % (+20.00 % to +20.00 %)\n\n\
             ## Guards\n\n- lines: passed\n\n\
             <details><summary>All pairs</summary>\n\n\
             base and `autoclave/smaller-final`:\n\n```\n100 40\n100 40\n```\n\n\
             without and with `{}`:\n\n```\n50 40\n50 40\n```\n\n</details>\n\n\
             Run `{id}`, base `{}`; the kept experiments cost $0.00.\n",
            short(0),
            short(1),
            short(1),
            &head[..10],
        )
    );
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), moved);
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    let error = refusal(&stage, &["finalize"], 6);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("the branch `autoclave/smaller-final` exists already"),
        "{message}"
    );

    let squashed = stage.json(&["finalize", "--squash", "--branch", "all-in-one"], 0);
    assert_eq!(squashed["branch"], "all-in-one");
    assert_eq!(squashed["commits"][0]["experiments"], json!([1, 3]));
    assert_eq!(
        stage.git(&["log", "--format=%s%n%b", &format!("{head}..all-in-one")]),
        format!(
            "Improve smaller (2 experiments)\n- Halve the number\n- Mend the lines\n\nAutoclave-Run: {id}"
        )
    );
    let files = |reference: &str| stage.git(&["rev-parse", &format!("{reference}^{{tree}}")]);
    assert_eq!(files("all-in-one"), files(branch));
}

#[test]
fn winners_that_do_not_fit_together_are_named() {
    let stage = Toy::with(|config| {
        config
            .replace("halve, raise, lines, think, note", "halve, note, lines")
            .replace("max_experiments: 5", "max_experiments: 3")
    });
    assert_eq!(code(&stage.run(&["run"])), Some(0));
    // As if experiment 3 had been built on the base: both changed the same line.
    let run = stage.run_folders().remove(0);
    let results = stage.json(&["results"], 0);
    let commit = results["experiments"][2]["commit"].as_str().unwrap();
    let tree = stage.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    let other = stage.git(&["commit-tree", "-p", "HEAD", "-m", "other", &tree]);
    let ledger = fs::read_to_string(run.join("ledger.jsonl")).unwrap();
    fs::write(run.join("ledger.jsonl"), ledger.replace(commit, &other)).unwrap();
    let error = refusal(&stage, &["finalize"], 6);
    assert_eq!(
        error["message"],
        "experiments 1 and 3 conflict in src/number.txt"
    );
    assert!(error["hint"].as_str().unwrap().contains("refs/autoclave"));
    assert_eq!(
        stage.git(&["branch", "--list", "autoclave/smaller-final"]),
        ""
    );
}

#[test]
fn a_changed_marker_starts_a_new_run_and_says_what_it_leaves() {
    let stage = Toy::new();
    let mut run = stage.waiting_run();
    signal(&run, Signal::SIGKILL);
    run.wait().unwrap();
    stage.go();
    let left = stage.run_folders().remove(0);
    let left = left.file_name().unwrap().to_str().unwrap();

    let config = stage.repo().join(".autoclave/config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("Make the number", "Make it")).unwrap();
    let fresh = stage.run(&["run", "--experiments", "1"]);
    assert_eq!(code(&fresh), Some(0), "{fresh:?}");
    let warning = format!(
        "warning: run {left} was not finished and stays as it is: the marker has changed since"
    );
    assert!(stderr(&fresh).contains(&warning), "{fresh:?}");
    assert_eq!(stage.run_folders().len(), 2);

    // The one that was left can never go on again; the other has ended.
    let cleaned = stage.json(&["clean"], 0);
    assert_eq!(cleaned["removed"].as_array().unwrap().len(), 2);
    assert_eq!(cleaned["removed"][1], left);
}

#[test]
fn an_agent_that_cannot_be_started_ends_the_run_with_a_hint() {
    let stage = Toy::with(|config| config.replace("command: [sh, ", "command: [no-such-program, "));
    let error = refusal(&stage, &["run"], 7);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("the agent's program `no-such-program "),
        "{message}"
    );
    assert_eq!(
        error["causes"],
        json!(["No such file or directory (os error 2)"])
    );
    assert!(error["hint"].as_str().unwrap().contains("agent.command"));
    let results = stage.json(&["results"], 0);
    assert_eq!(verdicts(&results), ["void(infrastructure)"]);
}

#[test]
fn the_folder_of_a_run_holds_what_the_design_names() {
    let stage = Toy::with(|config| config.replace("max_experiments: 5", "max_experiments: 3"));
    let mut command = stage.command(&["run"]);
    command.env("AUTOCLAVE_LOG", "trace");
    command.env("ANTHROPIC_API_KEY", "sk-never-to-be-seen");
    assert_eq!(code(&command.output().unwrap()), Some(0));
    let run = stage.run_folders().remove(0);
    for name in [
        "marker.yaml",
        "plan.json",
        "ledger.jsonl",
        "events.jsonl",
        "runner.log",
        "results.tsv",
        "ideas.md",
        "experiments/0001/agent.jsonl",
        "experiments/0001/brief.md",
        "experiments/0001/metric.txt",
        "experiments/0001/candidate.patch",
        "experiments/0003/guard-lines-0.txt",
    ] {
        let length = fs::metadata(run.join(name))
            .unwrap_or_else(|_| panic!("{name}"))
            .len();
        assert!(length > 0, "{name} is empty");
    }
    let log = fs::read_to_string(run.join("runner.log")).unwrap();
    assert!(
        log.contains("INFO autoclave_runner::campaign::run: next step=MeasureBaseline"),
        "{log}"
    );
    assert!(!log.contains("sk-never-to-be-seen"), "{log}");
    let wrong = stage
        .command(&["run"])
        .env("AUTOCLAVE_LOG", "loud")
        .output()
        .unwrap();
    assert_eq!(code(&wrong), Some(2), "{wrong:?}");
}
