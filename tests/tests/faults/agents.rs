//! Agents that do not end, print without end, fill what they can, or leave others behind.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use e2e::stage::{Setup, processes_with};
use serde_json::Value;

use crate::scene::{RUN, Scene};

e2e::journeys!(process_and_docker: [
    agents_that_misbehave_get_their_verdict_and_the_next_experiment_is_clean,
]);
e2e::journeys!(process_of_ordinary_user, Process, Process, OrdinaryUser: [
    agents_that_misbehave_get_their_verdict_and_the_next_experiment_is_clean,
]);

/// What agents do, one after another, and what becomes of it. `MARK` is in the arguments of all
/// that could be left behind.
const CASES: [(&str, &str); 7] = [
    (
        "trap '' TERM INT HUP QUIT; while :; do sleep MARK1; done",
        "discard timed_out",
    ),
    ("yes the same line MARK2", "discard timed_out"),
    ("tr '\\0' x </dev/zero", "discard timed_out"),
    ("f() { f | f & }; f; sleep MARK3", "discard timed_out"),
    // All places that can be written to, until nothing fits.
    (
        "for place in src /tmp \"$HOME\"; do dd if=/dev/zero of=$place/big bs=64k 2>/dev/null; \
         done; rm -f src/big; echo 50 >src/number.txt",
        "keep",
    ),
    (
        "(setsid sleep MARK4 &) ; setsid sh -c 'trap \"\" TERM; sleep MARK5 & sleep MARK6' & \
         echo 40 >src/number.txt; exit 0",
        "keep",
    ),
    // What is there of all that went before would make it another number, or fail.
    (
        "ls /tmp \"$HOME\" | grep big && exit 1; test $(ls src | wc -l) = 1 || exit 1; \
         echo 30 >src/number.txt",
        "keep",
    ),
];

fn agents_that_misbehave_get_their_verdict_and_the_next_experiment_is_clean(setup: Setup) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("100{next}.{}", std::process::id());
    let mut agent = "case $tried in\n".to_owned();
    for (number, (does, _)) in CASES.iter().enumerate() {
        let does = does.replace("MARK", &mark);
        agent.push_str(&format!("{number}) {does};;\n"));
    }
    agent.push_str("esac\n");
    let scene = Scene::with(setup, &agent, |config| {
        config
            .replace(
                "max_experiments: 2",
                &format!("max_experiments: {}", CASES.len()),
            )
            .replace("budget_per_experiment: 2m", "budget_per_experiment: 4s")
            .replace(
                "read: [",
                "limits: {disk: 48M, memory: 512M, pids: 64}, read: [",
            )
    });
    scene.stage.autoclave(&RUN).expect(0);
    assert_eq!(
        scene.stage.verdicts("smaller"),
        CASES.map(|(_, verdict)| verdict)
    );
    let left = processes_with(&mark);
    assert!(left.is_empty(), "{left:?}");
    scene.assert_clean();
    assert_eq!(scene.stage.results("smaller")["champion"]["value"], 30.0);

    // What was printed without end fills no disk: neither the copy of it nor what is told of it.
    let run = scene.runs().remove(0);
    let most = |name: &str, mib: u64| {
        let size = fs::metadata(run.join(name)).unwrap().len();
        assert!(size <= mib << 20, "{name}: {size} bytes");
    };
    for number in 1..=CASES.len() {
        most(&format!("experiments/{number:04}/agent.jsonl"), 65);
    }
    most("events.jsonl", 16);
    let warned = |words: &str| {
        let is = |event: &&Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["event"] == "warning" && message.contains(words)
        };
        scene.events().iter().filter(is).count()
    };
    assert_eq!(warned("and more are not told"), 1);
}
