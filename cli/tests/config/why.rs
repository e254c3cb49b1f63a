//! What `autoclave why` answers, and what `autoclave check --explain` prints.

use serde_json::{Value, json};

use crate::repository::{Repository, Said};

const MANUAL: &str = include_str!("../../../docs/why.md");

/// Makes the repository of the manual.
fn of_the_manual() -> Repository {
    let (_, after) = MANUAL.split_once("```yaml\n").unwrap();
    with_config(after.split("```").next().unwrap())
}

fn with_config(config: &str) -> Repository {
    let repository = Repository::with_config(config);
    for path in [
        "data/a.txt",
        "data/table.bin",
        "answers/1.txt",
        "data/b.txt",
    ] {
        repository.write(path, "1\n");
    }
    repository.commit();
    repository
}

/// Returns the target of a configuration, and what else it needs.
fn config(target: &str) -> String {
    format!(
        "markers:\n  - name: one\n    target: {target}\n    metric: {{command: 'sh tests/measure.sh', \
         extract: cat, direction: lower}}\n    sandbox: {{backend: process}}\n"
    )
}

fn why(repository: &Repository, asked: &str) -> Value {
    let said = repository.run(&["why", asked, "--json"]);
    assert_eq!(said.code, 0, "{asked}: {}", said.stderr);
    said.json()
}

/// Returns the words about one operation of the only marker's first backend.
fn words(answered: &Value, operation: &str) -> String {
    let mut decisions = answered["markers"][0]["answers"][0]["decisions"]
        .as_array()
        .unwrap()
        .iter();
    let decision = decisions.find(|decision| decision["operation"] == operation);
    let decision = decision.unwrap_or_else(|| panic!("no `{operation}` in {answered:#}"));
    decision["words"].as_str().unwrap().to_owned()
}

fn cure(answered: &Value) -> Value {
    answered["markers"][0]["answers"][0]["cure"].clone()
}

#[test]
fn the_manual_shows_what_is_really_printed() {
    let repository = of_the_manual();
    repository.write("here/.keep", "");
    let home = repository.home();
    let base = why(&repository, ".")["markers"][0]["base"].clone();
    let mut shown = 0;
    for block in MANUAL.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (command, expected) = block.split_once('\n').unwrap();
        let asked = command.strip_prefix("$ autoclave why ").unwrap();
        let said = repository.run(&["why", asked]);
        assert_eq!(said.code, 0, "{command}: {}", said.stderr);
        let printed = said
            .stdout
            .replace(&base.as_str().unwrap()[..10], "0123456789");
        let printed = printed.replace(home.to_str().unwrap(), "/home/me");
        assert_eq!(printed, expected, "{command}");
        shown += 1;
    }
    assert_eq!(shown, 6);
}

#[test]
fn what_is_written_to_get_the_opposite_gives_it() {
    let allowed = "allowed, kept: ";
    let refused = "refused by ownership: ";
    // A target, a path, what is said, how to change it, and what is said then.
    for (target, path, before, change, then, after) in [
        (
            "{mutable: [src/**], immutable: [data/**]}",
            "data/a.txt",
            refused,
            json!({"aim": "allow", "change": "take `data/**` out of `target.immutable`, or narrow it, and let a glob of `target.mutable` cover `data/a.txt`"}),
            "{mutable: [src/**, data/*.txt], immutable: [data/*.bin]}",
            allowed,
        ),
        (
            "{mutable: [src/**]}",
            "data/a.txt",
            refused,
            json!({"aim": "allow", "change": "let a glob of `target.mutable` cover `data/a.txt`, or one of `target.scratch` where changes are to be thrown away"}),
            "{mutable: [src/**, data/*.txt]}",
            allowed,
        ),
        (
            "{mutable: ['**']}",
            "tests/measure.sh",
            refused,
            json!({"aim": "allow", "change": "name `tests/measure.sh` itself in `target.mutable`: a glob with wildcards does not do"}),
            "{mutable: ['**', tests/measure.sh]}",
            allowed,
        ),
        (
            "{mutable: [src/**], scratch: [data/]}",
            "data/a.txt",
            "allowed, thrown away: ",
            json!({"aim": "keep", "change": "let a glob of `target.mutable` cover `data/a.txt`: it wins over `target.scratch`"}),
            "{mutable: [src/**, data/*.txt], scratch: [data/]}",
            allowed,
        ),
        (
            "{mutable: [src/**]}",
            "src/number.txt",
            allowed,
            json!({"aim": "deny", "change": "list `src/number.txt` in `target.immutable`"}),
            "{mutable: [src/**], immutable: [src/number.txt]}",
            refused,
        ),
        (
            "{mutable: [src/**, data/*.txt], hidden: [data/a.txt]}",
            "data/a.txt",
            "not possible: ",
            json!({"aim": "allow", "change": "take `data/a.txt` out of `target.hidden`, or narrow it"}),
            "{mutable: [src/**, data/*.txt]}",
            allowed,
        ),
    ] {
        let repository = with_config(&config(target));
        let answered = why(&repository, path);
        let said = words(&answered, "write");
        assert!(said.starts_with(before), "{target}: {said}");
        assert_eq!(cure(&answered), change, "{target}");
        repository.write(".autoclave/config.yaml", &config(then));
        repository.commit();
        let said = words(&why(&repository, path), "write");
        assert!(said.starts_with(after), "{then}: {said}");
    }
}

#[test]
fn a_path_of_the_machine_is_opened_by_the_marker_and_closed_by_a_policy() {
    let repository = with_config(&config("{mutable: [src/**]}"));
    repository.script("tools/tool", "#!/bin/sh\n");
    let tool = repository.home().join("tools/tool").display().to_string();
    let answered = why(&repository, "~/tools/tool");
    assert_eq!(
        words(&answered, "read"),
        "refused by the mount namespace: policy `default` does not show it"
    );
    let change = format!("add `{tool}` or a folder above it to `sandbox.read`");
    assert_eq!(cure(&answered)["change"], change);

    let with = |sandbox: &str| {
        let text = config("{mutable: [src/**]}").replace("{backend: process", sandbox);
        repository.write(".autoclave/config.yaml", &text);
        words(&why(&repository, "~/tools/tool"), "read")
    };
    let folder = repository.home().join("tools").display().to_string();
    assert_eq!(
        with("{backend: process, read: [~/tools]"),
        format!("allowed: `{folder}` of `sandbox.read` (.autoclave/config.yaml:5:40)")
    );
    repository.write(
        ".autoclave/policy.yaml",
        "extends: default\ndeny: [~/tools]\n",
    );
    assert_eq!(
        with("{backend: process, policy: .autoclave/policy.yaml"),
        "refused by the mount namespace: `~/tools` of `deny` in policy `.autoclave/policy.yaml`"
    );
}

#[test]
fn every_marker_answers_and_one_that_cannot_says_why() {
    let two = config("{mutable: [src/**]}")
        + &config("{mutable: [data/*.txt]}")
            .replace("markers:\n", "")
            .replace("name: one", "name: two")
        + &config("{mutable: [src/**]}")
            .replace("markers:\n", "")
            .replace("name: one", "name: three")
            .replace("backend: process", "backend: container");
    let repository = with_config(&two);
    let ask = |more: &[&str]| {
        let mut command = repository.command();
        command.env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
        command.args(["why", "src/number.txt", "--json"]).args(more);
        Said::of(&command.output().unwrap())
    };
    let said = ask(&[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let answered = said.json();
    let told: Vec<_> = answered["markers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|why| {
            let write = &why["answers"][0]["decisions"][1];
            (why["marker"].as_str().unwrap(), write["allowed"] == true)
        })
        .collect();
    assert_eq!(told, [("one", true), ("two", false)]);
    assert_eq!(answered["failed"][0]["marker"], "three");
    assert_eq!(ask(&["-m", "three"]).code, 5);
    assert_eq!(ask(&["-m", "four"]).code, 2);
}

#[test]
fn a_user_without_a_second_uid_hears_of_files_in_place() {
    let repository = with_config(&config("{mutable: ['data/*.txt']}"));
    let mut command = repository.command_as_user();
    command.args(["why", "data/new.txt", "--json"]);
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let in_place = "in `data/` files can be edited in place, and none created, removed or renamed";
    assert_eq!(
        words(&said.json(), "create file"),
        format!("refused by Landlock: {in_place}")
    );
}

#[test]
fn a_word_that_could_be_both_is_said_to_be_taken_for_a_host() {
    let repository = with_config(&config("{mutable: [src/**]}"));
    let note = "(taken for a host; --path asks about a file of that name)";
    let host = repository.run(&["why", "new.sh"]);
    assert!(host.stdout.contains(note), "{}", host.stdout);
    let path = repository.run(&["why", "--path", "new.sh"]);
    assert!(
        path.stdout.starts_with("new.sh: not in the base commit "),
        "{}",
        path.stdout
    );
    let said = repository.run(&["why", "https://"]);
    assert_eq!(said.code, 2);
    assert!(
        said.stderr.starts_with("error: `https://` names no host\n"),
        "{}",
        said.stderr
    );
}

#[test]
fn the_plan_is_printed_for_people_and_for_programs_and_nothing_is_run() {
    let repository = of_the_manual();
    // Whatever would be run fails.
    repository.write("tests/measure.sh", "exit 1\n");
    repository.commit();
    let said = repository.run(&["check", "--explain"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for row in [
        "  mutable    `src/**`, `data/*.txt`\n",
        "  harness    tests/measure.sh\n",
        "  writable   new names in data/, data/a.txt, data/b.txt, src/\n",
        "  absent     answers/1.txt\n",
        "  limits     memory 8G, cpus 2, processes and threads 512, disk 10G\n",
    ] {
        assert!(said.stdout.contains(row), "{row}: {}", said.stdout);
    }
    assert!(
        said.stdout.lines().all(|line| line.chars().count() <= 100),
        "{}",
        said.stdout
    );
    let json = repository.run(&["check", "--explain", "--json"]).json();
    assert_eq!(
        json["backends"][0]["plan"]["grants"][3],
        json!({"tree": {"path": "src", "created": false}})
    );
    assert_eq!(json["hidden"], json!(["answers/1.txt"]));
}
