//! A number to make smaller, by an agent that first tries what it may not.

use e2e::stage::{Backend, Caller, Setup, Stage};

const MARKER: &str = "markers:
  - name: smaller
    description: Make the number smaller
    target: {mutable: ['src/**'], immutable: ['tests/**']}
    metric: {command: 'sh tests/measure.sh', extract: 'cat', direction: lower}
    loop: {max_experiments: 1, budget_per_experiment: 2m}
    sandbox: {backend: process, allow_degraded: ALLOWED}
";
const FILES: [(&str, &str); 2] = [
    ("src/number.txt", "100\n"),
    ("tests/measure.sh", "cat src/number.txt\n"),
];

/// Changes the number, and writes down there what it was refused. What it leaves running is marked
/// by its argument.
const AGENT: &str = "
for file in tests/measure.sh /etc/passwd CANARY; do
    (echo mine >> $file) 2>> src/refused.txt && echo $file was written
done
cat /etc/shadow CANARY
env
sleep MARK &
echo 50 > src/number.txt
";

/// What the agent wants to write to beside the repository.
pub const CANARY: &str = "canary";

/// What becomes of levels below `sealed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    Nothing,
    Landlock,
}

impl Accepts {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "[]",
            Self::Landlock => "[landlock]",
        }
    }
}

/// Returns a stage of processes with the toy, where the real agent plays `script`.
pub fn scripted(caller: Caller, accepts: Accepts, script: &str) -> Stage {
    Stage::new(setup(caller), &config(accepts), &FILES).with_script(script)
}

/// Returns the same with a shell script as the agent, which leaves a `sleep` of `mark` running.
pub fn shelled(caller: Caller, accepts: Accepts, mark: &str) -> Stage {
    let config = config(accepts) + "    agent: {command: [sh, agent.sh], protocol: none}\n";
    // Where the canary is can only be said once there is a stage.
    let mut files = FILES.to_vec();
    files.push(("agent.sh", ""));
    let mut stage = Stage::new(setup(caller), &config, &files);
    stage.set("ANTHROPIC_API_KEY", None);
    let canary = stage.outside(CANARY);
    std::fs::write(&canary, "alive\n").unwrap();
    let agent = AGENT.replace("CANARY", canary.to_str().unwrap());
    stage.write("agent.sh", agent.replace("MARK", mark));
    stage.commit_all("an agent");
    stage
}

/// Asserts that a run of [`shelled`] kept the improvement, and refused all else.
#[track_caller]
pub fn assert_contained(stage: &Stage) {
    assert_eq!(stage.verdicts("smaller"), ["keep"]);
    let show = |path: &str| stage.git(&["show", &format!("autoclave/smaller:{path}")]);
    assert_eq!(show("src/number.txt"), "50");
    assert_eq!(show("tests/measure.sh"), "cat src/number.txt");
    let refused = show("src/refused.txt");
    assert_eq!(refused.lines().count(), 3, "{refused}");
    let canary = std::fs::read_to_string(stage.outside(CANARY)).unwrap();
    assert_eq!(canary, "alive\n");
}

/// Returns the level that the latest run was at, as its first event tells.
pub fn level(stage: &Stage) -> String {
    let told = stage.events_of("run_started").remove(0);
    told["level"].as_str().unwrap().to_owned()
}

fn setup(caller: Caller) -> Setup {
    Setup {
        backend: Backend::Process,
        measured_in: Backend::Process,
        caller,
    }
}

fn config(accepts: Accepts) -> String {
    MARKER.replace("ALLOWED", accepts.word())
}
