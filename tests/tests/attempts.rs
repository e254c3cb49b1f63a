//! What becomes of attempts: none is lost, a discarded one leaves nothing on disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use autoclave_runner::campaign::{self, HostFacts, RunOutcome, RunRequest};
use autoclave_runner::decide::progress::ExperimentRecord;
use autoclave_runner::event::{Event, EventKind, Reporter};
use autoclave_runner::marker::{Dialect, RulePlaces, parse_config};
use autoclave_runner::model::{DiscardReason, Verdict};
use autoclave_runner::repo::Repo;
use autoclave_runner::sandbox::container::EngineChoice;

/// A repository and a place for runs of it.
struct Lab {
    folder: tempfile::TempDir,
}

/// What a run was seen to do.
struct Seen {
    outcome: RunOutcome,
    warnings: Vec<String>,
    /// What lay in the state directory whenever an experiment started.
    on_disk: Vec<BTreeSet<String>>,
}

impl Seen {
    fn experiments(&self) -> &[ExperimentRecord] {
        &self.outcome.progress.experiments
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.experiments().iter().map(|e| e.verdict).collect()
    }
}

struct Watcher {
    state: PathBuf,
    warnings: Vec<String>,
    on_disk: Vec<BTreeSet<String>>,
}

impl Reporter for Watcher {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ExperimentStarted { .. } => {
                self.on_disk.push(beneath(&self.state));
            }
            EventKind::Warning { message } => self.warnings.push(message.clone()),
            _ => {}
        }
    }
}

/// Returns what lies in the folders of `state`, by name.
fn beneath(state: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(state).unwrap().map(|e| e.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|path| fs::read_dir(path).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Returns a name that no other run on this machine has: cgroups are named after it.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("smaller-{}-{next}", std::process::id())
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir_in("/var/tmp").unwrap(),
        };
        fs::create_dir(lab.repo()).unwrap();
        lab.git(&["init", "-q", "-b", "main"]);
        lab.write("src/number.txt", b"100\n");
        lab.write("tests/measure.sh", b"cat src/number.txt\n");
        lab.write("tests/guard.sh", b"exit 0\n");
        lab
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn write(&self, path: impl AsRef<OsStr>, bytes: &[u8]) {
        let path = self.repo().join(Path::new(path.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(["-c", "protocol.file.allow=always"])
            .args(["-c", "core.quotepath=false"])
            .args(arguments)
            .current_dir(self.repo())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Commits everything and runs experiments with `agent`, a script for `sh`.
    fn run(&self, agent: &str, experiments: u32, budget: &str) -> Seen {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
        let config = format!(
            "markers:
  - name: {}
    description: Make the number smaller
    target: {{mutable: ['src/**'], hidden: ['secret/**'], scratch: ['target/']}}
    metric: {{command: 'sh tests/measure.sh', extract: 'regex:([0-9]+)', direction: lower}}
    guard: {{command: 'sh tests/guard.sh', rework_attempts: 0}}
    loop: {{max_experiments: {experiments}, budget_per_experiment: {budget}}}
    agent: {{command: [sh, -c, {}], protocol: none}}
    sandbox:
      env: {{GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: safe.directory, GIT_CONFIG_VALUE_0: /workspace}}
",
            name(),
            serde_json::to_string(agent).unwrap()
        );
        let mut config = parse_config(&config, "config.yaml", Dialect::Autoclave, &|_| {
            Ok(String::new())
        })
        .unwrap();
        let state = self.folder.path().join("state");
        let mut watcher = Watcher {
            state: state.clone(),
            warnings: Vec::new(),
            on_disk: Vec::new(),
        };
        let request = RunRequest {
            warnings: Vec::new(),
            places: RulePlaces::default(),
            marker: config.markers.remove(0),
            experiments: None,
            base: None,
            fresh: true,
            service: None,
            host: HostFacts {
                without: Vec::new(),
                engine: EngineChoice::at("unix:///nonexistent"),
                home: None,
                path: Some("/usr/local/bin:/usr/bin:/bin".into()),
                state: state.clone(),
            },
            cancel: tokio_util::sync::CancellationToken::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let repo = Repo::discover(&self.repo()).unwrap();
        let outcome = runtime
            .block_on(campaign::run(repo, request, &mut watcher))
            .unwrap();
        assert_eq!(beneath(&state), BTreeSet::new(), "after the run's end");
        Seen {
            outcome,
            warnings: watcher.warnings,
            on_disk: watcher.on_disk,
        }
    }

    /// Asserts that the only experiment was discarded and its change pinned and written down.
    fn assert_pinned(&self, seen: &Seen, reason: DiscardReason) {
        assert_eq!(seen.verdicts(), [Verdict::Discard(reason)]);
        let commit = seen.experiments()[0].commit.as_ref().expect("a candidate");
        let run = &seen.outcome.run;
        let pin = format!("refs/autoclave/{run}/0001");
        assert_eq!(self.git(&["rev-parse", &pin]), commit.as_str());
        assert_eq!(self.git(&["show", &format!("{pin}:src/number.txt")]), "1");
        let patch = Repo::discover(&self.repo())
            .unwrap()
            .runs_dir()
            .join(run.as_str())
            .join("experiments/0001/candidate.patch");
        let patch = fs::read_to_string(patch).unwrap();
        assert!(patch.contains("\n-100\n+1\n"), "{patch}");
    }
}

#[test]
fn what_an_agent_did_until_its_time_was_up_is_pinned() {
    let lab = Lab::new();
    let seen = lab.run("echo 1 > src/number.txt; sleep 1000", 1, "1s");
    lab.assert_pinned(&seen, DiscardReason::TimedOut);
}

#[test]
fn what_a_failing_agent_did_is_pinned() {
    let lab = Lab::new();
    let seen = lab.run("echo 1 > src/number.txt; exit 3", 1, "1m");
    lab.assert_pinned(&seen, DiscardReason::AgentFailed);
}

#[test]
fn an_agent_that_did_nothing_leaves_no_candidate() {
    let lab = Lab::new();
    let seen = lab.run("exit 3", 1, "1m");
    assert_eq!(
        seen.verdicts(),
        [Verdict::Discard(DiscardReason::AgentFailed)]
    );
    assert_eq!(seen.experiments()[0].commit, None);
    assert_eq!(lab.git(&["for-each-ref", "refs/autoclave/*/0*"]), "");
}

#[test]
fn a_discard_leaves_nothing_on_disk() {
    let lab = Lab::new();
    lab.write("secret/answer", b"42\n");
    let agent = "read n < src/number.txt; echo $((n + 1)) > src/number.txt; \
                 mkdir -p target src/new; echo x > target/x; echo x > src/new/x";
    let seen = lab.run(agent, 4, "1m");
    let worse = Verdict::Discard(DiscardReason::Worse);
    assert_eq!(seen.verdicts(), [worse; 4]);
    let layers = |names: &BTreeSet<String>| -> Vec<String> {
        let layers = names.iter().filter(|name| name.starts_with("layer"));
        layers.cloned().collect()
    };
    // The base without and with its hidden files.
    assert_eq!(layers(&seen.on_disk[0]).len(), 2, "{:?}", seen.on_disk);
    for names in &seen.on_disk {
        assert_eq!(layers(names), layers(&seen.on_disk[0]));
    }
    assert_eq!(seen.on_disk[2].len(), seen.on_disk[3].len());
}

#[test]
fn champions_do_not_pile_up() {
    let lab = Lab::new();
    // Each agent starts from one clean commit of its champion.
    let agent = "set -e; test $(git rev-list --all --count) = 1; git diff --exit-code HEAD; \
                 test -z \"$(git status --porcelain)\"; \
                 read n < src/number.txt; echo $((n / 2)) > src/number.txt";
    let seen = lab.run(agent, 5, "1m");
    assert_eq!(seen.verdicts(), [Verdict::Keep; 5]);
    let counts: Vec<usize> = seen.on_disk.iter().map(BTreeSet::len).collect();
    // The base, and from the first keep on what the agent sees and what is measured.
    assert_eq!(counts[1..], [counts[1]; 4], "{:?}", seen.on_disk);
    let commit = seen.experiments()[4].commit.clone().unwrap();
    let number = format!("{commit}:src/number.txt");
    assert_eq!(lab.git(&["show", &number]), "3");
}

#[test]
fn a_repository_full_of_oddities_goes_through_whole() {
    let lab = Lab::new();
    lab.git(&["config", "core.autocrlf", "false"]);
    lab.write("src/-rf", b"dash\n");
    lab.write("src/new\nline", b"a\r\nb\r\n");
    lab.write("src/quo\"te'", b"q\n");
    lab.write("src/\u{e9}\u{1f980} space", b"e\n");
    lab.write(OsStr::from_bytes(b"src/raw\xff"), b"raw\n");
    lab.write("src/run.sh", b"#!/bin/sh\necho ran\n");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    lab.write("src/model.bin", pointer);
    lab.write(
        ".gitattributes",
        b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(lab.repo().join("src/run.sh"), executable).unwrap();
    std::os::unix::fs::symlink("run.sh", lab.repo().join("src/link")).unwrap();
    // A submodule, and a repository that nobody added.
    let other = lab.folder.path().join("other");
    lab.git(&["init", "-q", other.to_str().unwrap()]);
    let commit = |folder: &Path| {
        let folder = folder.to_str().unwrap();
        lab.git(&["-C", folder, "commit", "-q", "--allow-empty", "-m", "m"]);
    };
    commit(&other);
    lab.git(&[
        "submodule",
        "--quiet",
        "add",
        other.to_str().unwrap(),
        "vendor/other",
    ]);
    lab.write("src/.gitignore", b"nested/\n");
    lab.git(&["init", "-q", "src/nested"]);
    commit(&lab.repo().join("src/nested"));
    // All of it as it is, before the agent and after it.
    lab.write(
        "tests/guard.sh",
        b"set -e
test \"$(cat ./src/-rf)\" = dash
printf 'a\\r\\nb\\r\\n' | cmp - 'src/new
line'
test -x src/run.sh
test \"$(sh src/link)\" = ran
head -1 src/model.bin | grep -q git-lfs
test -z \"$(ls -A vendor/other)\"
test ! -e src/nested
test \"$(git ls-files -z src | tr -cd '\\000' | wc -c)\" -ge 10
",
    );
    let agent = "set -e
test $(git rev-list --all --count) = 1
test -z \"$(git status --porcelain)\"
sh tests/guard.sh
echo 50 > src/number.txt
rm \"src/quo\\\"te'\"
cp src/run.sh ./src/-new
ln -s -- -new src/other-link
printf 'x\\r\\n' > 'src/\u{e9} two
lines'
";
    let seen = lab.run(agent, 1, "1m");
    assert_eq!(
        seen.verdicts(),
        [Verdict::Keep],
        "{:?}",
        seen.experiments()[0]
    );
    assert_eq!(
        seen.warnings,
        [
            "submodule `vendor/other` is an empty directory in every sandbox: its files are not part of the commit"
        ]
    );
    let kept = seen.experiments()[0].commit.clone().unwrap();
    assert_eq!(
        lab.git(&["diff", "--raw", "-z", "--no-abbrev", "HEAD", kept.as_str()])
            .split('\0')
            .filter(|field| !field.is_empty())
            .map(|field| match field.strip_prefix(':') {
                Some(raw) => {
                    let mut words = raw.split(' ');
                    let modes = [words.next().unwrap(), words.next().unwrap()];
                    format!("{} {}", modes.join(" "), raw.rsplit(' ').next().unwrap())
                }
                None => field.to_owned(),
            })
            .collect::<Vec<_>>(),
        [
            "000000 100755 A",
            "src/-new",
            "100644 100644 M",
            "src/number.txt",
            "000000 120000 A",
            "src/other-link",
            "100644 000000 D",
            "src/quo\"te'",
            "000000 100644 A",
            "src/\u{e9} two\nlines",
        ]
    );
    // With its carriage return.
    let odd = format!("{kept}:src/\u{e9} two\nlines");
    assert_eq!(lab.git(&["cat-file", "-s", &odd]), "3");
}
