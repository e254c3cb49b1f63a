//! Whole configuration files, right and wrong.

mod edges;

use std::collections::BTreeMap;
use std::time::Duration;

use autoclave_policies::Limits;
use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("sample.yaml");
const OLDER: &str = include_str!("older.yaml");
const BROKEN: &str = include_str!("broken.yaml");

fn ours(text: &str) -> Result<ConfigFile, autoclave_policies::Problems> {
    parse_config(text, "config.yaml", Dialect::Autoclave, &policy_file)
}

/// The one policy file of the checkout.
fn policy_file(path: &str) -> std::io::Result<String> {
    match path {
        ".autoclave/p.yaml" => Ok("extends: strict\n".to_owned()),
        ".autoclave/bad.yaml" => Ok("extends: strict\nread: [/srv]\n".to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn number(number: f64) -> Option<Metric> {
    Metric::try_from(number).ok()
}

fn sample() -> Marker {
    Marker {
        name: "sort-speed".to_owned(),
        description: "Make sorting faster".to_owned(),
        status: Status::Active,
        target: Target {
            mutable: texts(&["src/**/*.py"]),
            immutable: texts(&["tests/**"]),
            hidden: Vec::new(),
            scratch: texts(&["target/", "**/__pycache__/"]),
        },
        prepare: None,
        metric: MetricSpec {
            command: "python3 bench.py".to_owned(),
            harness: None,
            extract: Extract::Filter("grep -oP 'ms=\\K[0-9.]+'".to_owned()),
            name: Some("ms".to_owned()),
            unit: Some("ms".to_owned()),
            direction: Direction::Lower,
            baseline: number(120.0),
            build: None,
            timeout: Duration::from_secs(300),
            min_effect: 0.0,
            design_effect: 0.03,
            alpha: 0.02,
            max_pairs: 60,
            target: number(40.0),
        },
        guards: vec![GuardSpec {
            name: "guard".to_owned(),
            command: "python3 -m pytest -q".to_owned(),
            extract: Some(Extract::Filter("grep -oP '\\d+(?= passed)'".to_owned())),
            threshold: number(12.0),
            direction: Direction::Higher,
            strictness: Strictness::Hard,
            tests: Counting::Auto,
            hidden: false,
            liveness: false,
            rework_attempts: 2,
            timeout: Duration::from_secs(600),
        }],
        line_guards: Vec::new(),
        golden: None,
        track: Vec::new(),
        limits: LoopLimits {
            budget_per_experiment: Duration::from_secs(1500),
            max_experiments: 10,
            max_cost_usd: Some(Cost::from_microdollars(20_000_000)),
            stop_after_no_gain: 15,
            refine_after: 3,
            pivot_after: 5,
            pivots_before_outside: 2,
            pivots_before_stop: 3,
        },
        agent: AgentSpec {
            from_host: false,
            name: "default".to_owned(),
            model: Some("sonnet".to_owned()),
            permission_mode: "bypassPermissions".to_owned(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            command: texts(&["claude"]),
            protocol: Protocol::ClaudeCode,
            max_turns: Some(50),
        },
        sandbox: SandboxSpec {
            image: "autoclave/claude-code:2.1.197".into(),
            measure: None,
            backend: BackendChoice::Auto,
            policy: policy_file::default_policy(),
            read: texts(&["~/.rustup", "~/.cargo/registry"]),
            env: BTreeMap::from([("RUST_BACKTRACE".to_owned(), "1".to_owned())]),
            limits: Limits {
                memory_bytes: 8_589_934_592,
                cpus: 2.0,
                pids: 512,
                disk_bytes: 10_737_418_240,
            },
            allow_degraded: Vec::new(),
        },
    }
}

#[test]
fn the_documented_sample_is_read_whole() {
    let file = ours(SAMPLE).unwrap();
    assert_eq!(file.markers, [sample()]);
    assert_eq!(file.warnings, []);
}

#[test]
fn measurements_have_a_backend_that_is_named() {
    let with = |measure: &str| {
        let text = format!(
            "markers: [{{name: a, target: {{mutable: [src/]}}, metric: {{command: c, extract: e, \
             direction: lower}}, sandbox: {{backend: container, measure: {measure}}}}}]"
        );
        ours(&text)
    };
    let mut agents = with("process").unwrap().markers.remove(0).sandbox;
    let mut measured = agents.clone();
    agents.keep_agents();
    measured.keep_measurements();
    let backends = [&agents, &measured].map(|spec| (spec.backend, spec.measure));
    assert_eq!(
        backends,
        [
            (BackendChoice::Container, None),
            (BackendChoice::Process, None)
        ]
    );
    // Nobody knows beforehand what `auto` becomes: it would part nothing.
    let problems = with("auto").unwrap_err();
    assert_eq!(problems.problems[0].key, "markers[0].sandbox.measure");
}

#[test]
fn what_is_left_out_takes_its_default() {
    let text = "markers: [{name: a, target: {mutable: [src/]}, \
                metric: {command: c, extract: metric-lines, name: ms, direction: higher}}]";
    let expected = Marker {
        name: "a".to_owned(),
        description: String::new(),
        target: Target {
            mutable: texts(&["src/"]),
            immutable: Vec::new(),
            hidden: Vec::new(),
            scratch: Vec::new(),
        },
        metric: MetricSpec {
            command: "c".to_owned(),
            harness: None,
            extract: Extract::MetricLines {
                name: "ms".to_owned(),
            },
            unit: None,
            direction: Direction::Higher,
            baseline: None,
            target: None,
            ..sample().metric
        },
        guards: Vec::new(),
        limits: LoopLimits {
            max_cost_usd: None,
            ..sample().limits
        },
        agent: AgentSpec {
            model: None,
            max_turns: None,
            from_host: false,
            ..sample().agent
        },
        sandbox: SandboxSpec {
            image: "autoclave/claude-code:2.1.197".into(),
            measure: None,
            read: Vec::new(),
            env: BTreeMap::new(),
            ..sample().sandbox
        },
        ..sample()
    };
    assert_eq!(ours(text).unwrap().markers, [expected]);
}

#[test]
fn files_of_the_older_tool_run_with_warnings_that_name_what_is_ignored() {
    let file = parse_config(OLDER, "config.yaml", Dialect::Autoresearch, &policy_file).unwrap();
    assert_eq!(file.markers[0].agent.model.as_deref(), Some("opus"));
    assert_eq!(file.markers[0].guards[0].threshold, number(12.0));
    assert_eq!(file.markers[1].status, Status::Paused);
    let warnings: Vec<(usize, &str)> = file
        .warnings
        .iter()
        .map(|warning| (warning.line, warning.message.as_str()))
        .collect();
    let expected = [
        (1, "unknown key `version`"),
        (14, "`timeout` is ignored"),
        (32, "the status `completed` is taken for `paused`"),
        (38, "unknown key `schedule`"),
    ];
    assert_eq!(warnings, expected);
    assert!(ours(OLDER).is_err());
}

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_a_hint() {
    insta::assert_snapshot!(ours(BROKEN).unwrap_err().to_string());
}

#[test]
fn a_mutable_glob_that_matches_nothing_is_found_at_its_place() {
    let file = ours(SAMPLE).unwrap();
    let problems = file
        .check_against_tree("sort-speed", &|_| false)
        .unwrap_err();
    let places: Vec<_> = problems
        .problems
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert_eq!(places, [(6, 17)]);
    assert_eq!(
        file.check_against_tree("sort-speed", &|glob| glob == "src/**/*.py"),
        Ok(())
    );
}

#[test]
fn the_place_of_each_rule_is_known() {
    let target = "target: {mutable: [a], immutable: [a, b], hidden: [c], scratch: [d]}";
    let text = format!(
        "markers:\n  - name: one\n    {target}\n    metric: {{command: c, extract: e, direction: lower}}\n    \
         sandbox: {{read: [/srv/tools]}}\n"
    );
    let places = ours(&text).unwrap().places_of("one");
    let found = [
        places.find("target.mutable", |text| text == "a"),
        places.find("target.immutable", |text| text == "a"),
        places.find("target.scratch", |text| text == "d"),
        places.find("sandbox.read", |text| text == "/srv/tools"),
    ];
    let expected = ["3:24", "3:40", "3:70", "5:22"].map(|at| Some(format!("config.yaml:{at}")));
    assert_eq!(found, expected);
    assert_eq!(places.find("target.mutable", |text| text == "b"), None);
    assert_eq!(
        ours(&text)
            .unwrap()
            .places_of("two")
            .find("target.mutable", |text| text == "a"),
        None
    );
}

#[test]
fn several_guards_are_named_in_order() {
    let guards = "guards: [{command: a}, {command: b, name: unit tests}, {command: c}]";
    let text = SAMPLE.replace("    loop:", &format!("    {guards}\n    loop:"));
    let problem = &ours(&text).unwrap_err().problems[0];
    assert_eq!(problem.message, "both `guard` and `guards` are given");
    let text = text.replace("    guard:", "    unguarded:");
    let problems = ours(&text).unwrap_err().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    let minimal = format!(
        "markers:\n- {{name: a, target: {{mutable: [a]}}, metric: {{command: c, extract: e, direction: lower}}, {guards}}}"
    );
    let file = ours(&minimal).unwrap();
    let names: Vec<&str> = file.markers[0]
        .guards
        .iter()
        .map(|guard| guard.name.as_str())
        .collect();
    assert_eq!(names, ["guard", "unit tests", "guard-3"]);
}

#[test]
fn guards_of_every_kind_are_read() {
    let text = "markers: [{name: a, target: {mutable: [src/]}, \
        metric: {command: c, extract: e, direction: lower}, track: [p99, rss], guards: [\
        {name: lint, command: l, extract: cat, kind: soft, direction: lower, threshold: 5, tolerance: 2}, \
        {name: memory, metric: rss, kind: soft, direction: lower, tolerance: 2%}, \
        {name: size, metric: bytes, threshold: 9}, \
        {name: holdout, command: h, hidden: true, tests: pytest}, \
        {name: last, command: l, tests: off, rework_attempts: 1}]}]";
    let marker = &ours(text).unwrap().markers[0];
    assert_eq!(marker.track, ["p99", "rss"]);
    let soft = |tolerance| Strictness::Soft { tolerance };
    let command = |name: &str, command: &str| GuardSpec {
        name: name.to_owned(),
        command: command.to_owned(),
        extract: None,
        threshold: None,
        ..sample().guards.remove(0)
    };
    let expected = [
        GuardSpec {
            extract: Some(Extract::Filter("cat".to_owned())),
            threshold: number(5.0),
            direction: Direction::Lower,
            strictness: soft(Tolerance::Amount(2.0)),
            rework_attempts: 0,
            ..command("lint", "l")
        },
        GuardSpec {
            hidden: true,
            tests: Counting::Only(TestFormat::Pytest),
            rework_attempts: 0,
            ..command("holdout", "h")
        },
        GuardSpec {
            tests: Counting::Off,
            rework_attempts: 1,
            ..command("last", "l")
        },
    ];
    assert_eq!(marker.guards, expected);
    let memory = LineGuard {
        name: "memory".to_owned(),
        line: "rss".to_owned(),
        threshold: None,
        direction: Direction::Lower,
        strictness: soft(Tolerance::Share(0.02)),
    };
    let size = LineGuard {
        name: "size".to_owned(),
        line: "bytes".to_owned(),
        threshold: number(9.0),
        direction: Direction::Higher,
        strictness: Strictness::Hard,
    };
    assert_eq!(marker.line_guards, [memory, size]);
    assert_eq!(
        marker.lines().collect::<Vec<_>>(),
        ["rss", "bytes", "p99", "rss"]
    );
}

#[test]
fn guards_that_mean_nothing_are_refused_at_their_place() {
    let refused = |guard: &str| {
        let text = format!(
            "markers:\n- {{name: a, target: {{mutable: [a]}}, metric: {{command: c, extract: e, \
             direction: lower}},\n   track: [x, x],\n   guard: {guard}}}"
        );
        let mut problems = ours(&text).unwrap_err().problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let told = problems.iter().skip(1).map(|problem| {
            let hint = problem.hint.as_deref().unwrap_or("-");
            format!(
                "{}:{}: {} ({hint})\n",
                problem.line, problem.column, problem.message
            )
        });
        let first = &problems[0];
        assert_eq!(
            (first.line, first.column, first.message.as_str()),
            (3, 15, "`x` is tracked twice")
        );
        told.collect::<String>()
    };
    let mut told = String::new();
    for guard in [
        "{}",
        "{command: g, kind: soft}",
        "{command: g, kind: soft, extract: e, rework_attempts: 1}",
        "{command: g, extract: e, tolerance: 2%}",
        "{command: g, extract: e, kind: soft, tolerance: -1}",
        "{command: g, extract: e, kind: soft, tolerance: 200%}",
        "{command: g, extract: e, kind: soft, tolerance: lots}",
        "{command: g, extract: e, kind: softly}",
        "{command: g, tests: pytset}",
        "{command: g, hidden: maybe}",
        "{command: g, metric: rss, extract: e, hidden: true}",
        "{metric: ''}",
        "{metric: 'a b'}",
    ] {
        told.push_str(&format!("{guard}\n{}", refused(guard)));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn settings_that_the_sample_leaves_out_are_read() {
    let text = "markers: [{name: a, target: {mutable: [src/], hidden: [h]}, \
        prepare: {command: make, timeout: 1h}, \
        metric: {command: c, extract: 'regex:(.*)', direction: lower, build: b}, \
        guards: [{name: ms, command: g, extract: metric-lines, direction: lower}], \
        loop: {refine_after: 4, pivot_after: 6, pivots_before_outside: 0, pivots_before_stop: 9}, agent: {protocol: none}, \
        sandbox: {policy: .autoclave/p.yaml, allow_degraded: [landlock]}}]";
    let marker = &ours(text).unwrap().markers[0];
    assert_eq!(marker.target.hidden, ["h"]);
    let timeout = Duration::from_secs(3600);
    let command = "make".to_owned();
    assert_eq!(marker.prepare, Some(Step { command, timeout }));
    assert_eq!(marker.metric.extract, Extract::Regex("(.*)".to_owned()));
    assert_eq!(marker.metric.build.as_deref(), Some("b"));
    let name = "ms".to_owned();
    assert_eq!(
        marker.guards[0].extract,
        Some(Extract::MetricLines { name })
    );
    assert_eq!(marker.guards[0].direction, Direction::Lower);
    assert_eq!(
        (marker.limits.refine_after, marker.limits.pivot_after),
        (4, 6)
    );
    assert_eq!(marker.agent.protocol, Protocol::None);
    assert_eq!(marker.sandbox.policy.name, ".autoclave/p.yaml");
    assert_eq!(marker.sandbox.allow_degraded, ["landlock"]);
}

#[test]
fn the_template_takes_any_text_as_it_is() {
    let facts = TemplateFacts {
        name: "speed".to_owned(),
        mutable: texts(&["src/**", "a \"b\\c", "@GUARD@"]),
        immutable: texts(&["tests/**"]),
        scratch: Vec::new(),
        prepare: None,
        metric: "echo '@EXTRACT@' # \u{7}".to_owned(),
        extract: "regex:(\\d+)".to_owned(),
        build: None,
        guard: Some("cargo test".to_owned()),
        policy: "strict".to_owned(),
    };
    let file = ours(&template(&facts)).unwrap();
    let marker = &file.markers[0];
    assert_eq!(marker.target.mutable, facts.mutable);
    assert_eq!(marker.metric.command, facts.metric);
    assert_eq!(marker.metric.extract, Extract::Regex("(\\d+)".to_owned()));
    assert_eq!(marker.guards[0].command, "cargo test");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _file = ours(&text);
    }

    #[test]
    fn no_value_in_place_of_another_makes_it_panic(
        line in 0_usize..50,
        value in "[-a-z0-9:{}\\[\\],&*!|>'\"#%~ .]{0,12}",
    ) {
        let mut lines: Vec<String> = SAMPLE.lines().map(str::to_owned).collect();
        let line = line % lines.len();
        if let Some((key, _)) = lines[line].split_once(':') {
            lines[line] = format!("{key}: {value}");
        }
        for dialect in [Dialect::Autoclave, Dialect::Autoresearch] {
            let _file = parse_config(&lines.join("\n"), "config.yaml", dialect, &policy_file);
        }
    }
}

#[test]
fn what_proves_itself_is_read() {
    let text = "markers: [{name: a, target: {mutable: [src/]}, \
        metric: {command: c, harness: {input: i, check: j}, extract: e, direction: lower}, \
        golden: {command: g, inputs: [tests/*.in], generate: r, timeout: 5s}, \
        guard: {command: t, liveness: true}}]";
    let marker = &ours(text).unwrap().markers[0];
    let harness = MetricHarness {
        input: Some("i".to_owned()),
        check: "j".to_owned(),
    };
    assert_eq!(marker.metric.harness, Some(harness));
    let golden = Golden {
        command: "g".to_owned(),
        inputs: texts(&["tests/*.in"]),
        generate: Some(Generate {
            command: "r".to_owned(),
            count: 8,
        }),
        timeout: Duration::from_secs(5),
    };
    assert_eq!(marker.golden, Some(golden));
    assert!(marker.guards[0].liveness);
}

#[test]
fn proofs_that_mean_nothing_are_refused_at_their_place() {
    let refused = |metric: &str, marker: &str| {
        let text = format!(
            "markers:\n- {{name: a, target: {{mutable: [a]}}, metric: {{command: c, extract: e, \
             direction: lower{metric}}}\n{marker}}}"
        );
        let problems = ours(&text).unwrap_err();
        let told = problems.problems.iter();
        told.map(|p| format!("{}:{} {}: {}", p.line, p.column, p.key, p.message))
            .collect::<Vec<_>>()
    };
    let told = [
        refused(", harness: {input: i}", ""),
        refused("", "   , golden: {command: c}"),
        refused("", "   , golden: {command: c, inputs: []}"),
        refused("", "   , golden: {command: c, inputs: [../a], count: 3}"),
        refused("", "   , golden: {inputs: [a], count: 0}"),
        refused("", "   , guard: {metric: rss, liveness: true}"),
    ];
    insta::assert_debug_snapshot!(told);
}
