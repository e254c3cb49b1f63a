//! What a harness may print, and what is refused by name.

use std::fs;
use std::process::Stdio;

use e2e::stage::{Setup, Stage};

use crate::toy;

e2e::journeys!(
    each_backend: [
        numbers_are_read_as_written_or_refused_by_name,
        candidate_without_a_number_is_discarded_by_name,
        flood_of_bytes_that_are_no_text_is_read_in_flat_memory,
        command_that_cannot_be_run_is_found_by_check,
    ],
    each_caller: [],
);

fn numbers_are_read_as_written_or_refused_by_name(setup: Setup) {
    let stage = toy::shelled(setup, "", "true\n");
    for (printed, value) in [
        ("1.2e-05", "0.000012 on the base"),
        ("3.5E+2\r", "350 on the base"),
        (" -0.7 ", "-0.7 on the base"),
    ] {
        stage.write("src/number.txt", printed);
        stage.git(&["commit", "-qam", printed]);
        let check = stage.autoclave(&["check", "--json"]).expect(0).json();
        let metric = check["checks"].as_array().unwrap();
        let metric = metric
            .iter()
            .find(|check| check["name"] == "metric")
            .unwrap();
        let detail = metric["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{value}, ")), "{detail}");
    }
    for (printed, why) in [
        ("1,234", "`1,234` has a comma"),
        ("inf", "`inf` is not a finite number"),
        ("NaN", "`NaN` is not a finite number"),
        ("1e999", "`1e999` is not a finite number"),
        ("12 34", "printed more than one number: `12` and `34`"),
        ("12 ms", "`ms` follows it"),
        ("fast", "`fast` is not a number"),
        ("", "printed nothing where a number was expected"),
    ] {
        stage.write("src/number.txt", printed);
        stage.git(&["commit", "-qam", "odd"]);
        let run = stage
            .autoclave(&["run", "-m", "smaller", "--new"])
            .expect(4);
        run.says(why);
    }
}

fn candidate_without_a_number_is_discarded_by_name(setup: Setup) {
    let more = "    loop: {max_experiments: 2}\n";
    // The second experiment starts from the same champion as the first.
    let agent = "grep -q 'no_metric' && echo 1,234 > src/number.txt || echo inf > src/number.txt\n";
    let stage = toy::shelled(setup, more, agent);
    stage
        .autoclave(&["run", "-m", "smaller", "--json"])
        .expect(3);
    assert_eq!(
        stage.verdicts("smaller"),
        ["discard no_metric", "discard no_metric"]
    );
    let details: Vec<String> = stage
        .events_of("decided")
        .iter()
        .map(|event| event["detail"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(details[0], "`inf` is not a finite number");
    assert!(details[1].starts_with("`1,234` has a comma"), "{details:?}");
    assert_eq!(stage.events_of("pair_measured").len(), 0);
}

fn flood_of_bytes_that_are_no_text_is_read_in_flat_memory(setup: Setup) {
    let config = toy::MARKER.replace("extract: 'cat'", "extract: 'regex:ms=([0-9]+)'");
    let config = format!("{config}    agent: {{command: ['true'], protocol: none}}\n");
    let mut files = toy::FILES.to_vec();
    files[1].1 = "head -c 200000000 /dev/zero | tr '\\0' '\\377'; echo; echo ms=7\n";
    let stage = Stage::new(setup, &config, &files);
    let mut check = stage
        .command(&["check", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    while check.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", check.id()));
        let status = status.unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(peak) = peak.and_then(|peak| peak.trim().strip_suffix(" kB")) {
            peak_kib = peak.parse::<u64>().unwrap();
        }
    }
    let output = check.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("7 on the base"), "{text}");
    assert!((1024..100 * 1024).contains(&peak_kib), "{peak_kib} KiB");
}

fn command_that_cannot_be_run_is_found_by_check(setup: Setup) {
    let stage = toy::shelled(setup, "", "true\n");
    let config = fs::read_to_string(stage.repo().join(".autoclave/config.yaml")).unwrap();
    for (right, wrong) in [
        (
            "metric: {command: 'sh tests/measure.sh'",
            "metric: {command: 'no-such-harness'",
        ),
        ("extract: 'cat'", "extract: 'no-such-filter'"),
        (
            "agent: {",
            "guard: {command: 'no-such-guard'}\n    agent: {",
        ),
    ] {
        assert!(config.contains(right), "{config}");
        stage.write(".autoclave/config.yaml", config.replace(right, wrong));
        let check = stage.autoclave(&["check", "--json"]).expect(4).json();
        assert_eq!(check["ok"], false);
        let text = check.to_string();
        assert!(
            text.contains("127: a command in it was not found in the sandbox"),
            "{text}"
        );
    }
}
