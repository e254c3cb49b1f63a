//! `autoclave exec`: any command in the sandbox.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use e2e::stage::{Backend, Checkout, KEY, Setup, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::toy;

e2e::journeys!(
    each_backend: [
        command_that_writes_more_than_its_disk_does_not_go_on,
        exit_codes_are_those_of_the_command_or_say_that_it_never_ran,
        command_reads_our_input_and_sees_neither_key_nor_network,
        changes_are_committed_to_a_new_branch_only,
        processor_time_of_what_ended_is_all_of_it,
        processor_time_of_what_was_killed_is_counted,
    ],
    each_caller: [changes_of_a_command_are_reported_and_the_checkout_stays],
);

fn stage(setup: Setup) -> Stage {
    Stage::new(setup, toy::MARKER, &toy::FILES)
}

fn changes_of_a_command_are_reported_and_the_checkout_stays(setup: Setup) {
    let stage = stage(setup);
    stage.write("src/old.txt", "old\n");
    stage.commit_all("a file to remove");
    let before = Checkout::of(&stage.repo());
    let script = "echo printed; echo noted >&2
        echo 7 > src/number.txt; echo new > src/new.txt; chmod +x src/new.txt; rm src/old.txt
        ln -s /etc/passwd src/link
        echo mine > tests/guard.sh; echo mine > README
        exit 42";
    let report = stage.outside("home/report.json");
    let ended = stage
        .autoclave(&[
            "exec",
            "--write",
            "src/**",
            "--report",
            report.to_str().unwrap(),
            "--",
            "sh",
            "-c",
            script,
        ])
        .expect(42);
    assert_eq!(ended.stdout, "printed\n");
    ended.says("noted\n");
    ended.says("cannot create tests/guard.sh: Permission denied");
    ended.says("cannot create README: Permission denied");

    let mut report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert!(report["wall_ms"].take().as_u64().unwrap() < 60_000);
    assert!(report["cpu_ms"].take().is_u64(), "{report}");
    assert!(
        !report["dropped"][0]["why"]
            .take()
            .as_str()
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        report,
        json!({
            "exit": 42, "wall_ms": null, "cpu_ms": null, "backend": setup.backend.word(), "level": "sealed", "commit": null,
            "changes": [
                {"path": "src/new.txt", "kind": "write"},
                {"path": "src/number.txt", "kind": "write"},
                {"path": "src/old.txt", "kind": "delete"},
            ],
            "dropped": [{"path": "src/link", "why": null}],
        })
    );
    before.assert_unchanged(&stage.repo());
}

fn exit_codes_are_those_of_the_command_or_say_that_it_never_ran(setup: Setup) {
    let stage = stage(setup);
    let code = |arguments: &[&str]| {
        let all: Vec<&str> = ["exec"].iter().chain(arguments).copied().collect();
        stage.autoclave(&all).code
    };
    assert_eq!(code(&["--", "true"]), Some(0));
    assert_eq!(code(&["--", "sh", "-c", "exit 3"]), Some(3));
    assert_eq!(code(&["--", "sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(code(&["--timeout", "1s", "--", "sleep", "100"]), Some(124));
    assert_eq!(code(&["--", "no-such-program"]), Some(127));
    assert_eq!(code(&["--", "/workspace/src/number.txt"]), Some(126));
    // Only what is named may be written; a marker names what its target does.
    assert_eq!(code(&["--", "touch", "src/new"]), Some(1));
    assert_eq!(
        code(&["--write", "src/**", "--", "touch", "src/new"]),
        Some(0)
    );
    // A folder that is yet to be filled may be named, too.
    assert_eq!(
        code(&["--write", "made/**", "--", "touch", "made/new"]),
        Some(0)
    );
    assert_eq!(code(&["-m", "smaller", "--", "touch", "src/new"]), Some(0));
    assert_eq!(
        code(&["-m", "smaller", "--", "touch", "tests/new"]),
        Some(1)
    );
    // What fails before the command starts is ours.
    assert_eq!(code(&["--write", "../**", "--", "true"]), Some(125));
    assert_eq!(code(&["-m", "larger", "--", "true"]), Some(125));
    fs::remove_dir_all(stage.repo().join(".git")).unwrap();
    assert_eq!(code(&["--", "true"]), Some(125));
}

fn command_reads_our_input_and_sees_neither_key_nor_network(setup: Setup) {
    let stage = stage(setup);
    let script = "cat; env; ls /sys/class/net /run 2>&1; python3 -c \"import socket; print([n for _, n in socket.if_nameindex()])\"";
    let mut run = stage
        .command(&["exec", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin.take().unwrap().write_all(b"our input\n").unwrap();
    let output = run.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.starts_with("our input\n"), "{text}");
    assert!(text.ends_with("['lo']\n"), "{text}");
    assert!(!text.contains(KEY), "{text}");
    assert!(
        !text.contains(stage.outside("").to_str().unwrap()),
        "{text}"
    );
}

fn changes_are_committed_to_a_new_branch_only(setup: Setup) {
    let stage = stage(setup);
    let before = Checkout::of(&stage.repo());
    let head = stage.git(&["rev-parse", "HEAD"]);
    let run = |branch: &str, command: &str| {
        stage.autoclave(&[
            "exec", "--write", "src/**", "--branch", branch, "--", "sh", "-c", command,
        ])
    };
    run("autoclave/made", "echo 5 > src/number.txt").expect(0);
    assert_eq!(stage.git(&["show", "autoclave/made:src/number.txt"]), "5");
    assert_eq!(stage.git(&["rev-parse", "autoclave/made^"]), head);

    // A branch that exists is the user's.
    let again = run("autoclave/made", "echo 6 > src/number.txt").expect(125);
    again.says("the branch `autoclave/made` exists already");
    run("main", "echo 6 > src/number.txt")
        .expect(125)
        .says("`main`");
    assert_eq!(stage.git(&["show", "autoclave/made:src/number.txt"]), "5");
    // Without a change there is nothing to commit.
    run("autoclave/idle", "true").expect(0);
    assert_eq!(stage.git(&["branch", "--list", "autoclave/idle"]), "");
    before.assert_unchanged(&stage.repo());
}

fn command_that_writes_more_than_its_disk_does_not_go_on(setup: Setup) {
    let config = toy::MARKER.replace("BACKEND", "BACKEND, limits: {disk: 50M}");
    let stage = Stage::new(setup, &config, &toy::FILES);
    // In several files: the size of one is limited by itself.
    let write = "for i in 1 2 3 4 5 6; do head -c 20000000 /dev/zero >~/$i || exit 9; sleep 0.6; done; echo done";
    let ended = stage.autoclave(&["exec", "-m", "smaller", "--", "sh", "-c", write]);
    let code = match setup.backend {
        // The file system says that it is full.
        Backend::Process => 9,
        // The watch kills.
        Backend::Container => 137,
    };
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(code), ""),
        "{ended}"
    );
    // The control: less than the limit.
    let less = write.replace(" 3 4 5 6", "");
    let ended = stage.autoclave(&["exec", "-m", "smaller", "--", "sh", "-c", &less]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "done\n"),
        "{ended}"
    );
}

/// A forked child burns 300 ms of processor time and stays; whoever waits for it says so.
const BURN: &str = "import os, time
ready, done = os.pipe()
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os.write(done, b'x')
    time.sleep(1000)
os.read(ready, 1)
print('burnt', flush=True)
";

/// Returns the processor time that a report tells, in milliseconds.
fn cpu_ms(report: &Path) -> u64 {
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    let told = report["cpu_ms"].as_u64();
    told.unwrap_or_else(|| panic!("no processor time in {report}"))
}

fn processor_time_of_what_ended_is_all_of_it(setup: Setup) {
    let stage = stage(setup);
    let report = stage.outside("home/report.json");
    let measure = |script: &str| {
        let path = report.to_str().unwrap();
        let line = [
            "exec", "-m", "smaller", "--report", path, "--", "python3", "-c", script,
        ];
        stage.autoclave(&line).expect(0);
        cpu_ms(&report)
    };
    // The child is still there when the command ends, and has no parent to wait for it.
    let busy = measure(BURN);
    let idle = measure("import time; time.sleep(0.3)");
    let own = measure(&BURN.replace("0.3", "0.0"));
    // Without a cgroup, ticks of 10 ms are counted.
    assert!(busy >= 260, "{busy} ms");
    assert!(idle < 250, "{idle} ms");
    // What the sandbox and the interpreter take is the same both times.
    assert!(busy - own >= 200 && busy - own < 600, "{busy} ms, {own} ms");
}

fn processor_time_of_what_was_killed_is_counted(setup: Setup) {
    let stage = stage(setup);
    let report = stage.outside("home/report.json");
    let path = report.to_str().unwrap();
    let script = format!("{BURN}time.sleep(1000)");
    let mut run = stage
        .command(&[
            "exec", "-m", "smaller", "--report", path, "--", "python3", "-c", &script,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    run.stdout.take().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"burnt\n");
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let killed = cpu_ms(&report);
    assert!((260..2000).contains(&killed), "{killed} ms");
}
