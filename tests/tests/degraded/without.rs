//! The real Claude Code on hosts without overlayfs and without namespaces.

use std::ffi::OsStr;

use e2e::stage::{Caller, KEY, processes_with};

use crate::toy::{self, Accepts};

const SCRIPT: &str = r"
sessions:
  - - tools: [{name: Bash, input: {command: 'echo exit 0 > tests/measure.sh; env; cat /proc/*/environ'}}]
    - tools: [{name: Bash, input: {command: 'echo 50 > src/number.txt; sleep MARK & echo started'}}]
    - text: Halve the number.
";

fn a_run_ends_the_same(caller: Caller) {
    for (at, without, level) in [(1, "overlay", "sealed"), (2, "namespaces", "landlock")] {
        let mark = format!("{at}4321.{}", std::process::id());
        let script = SCRIPT.replace("MARK", &mark);
        let mut stage = toy::scripted(caller, Accepts::Landlock, &script);
        stage.set("AUTOCLAVE_WITHOUT", Some(OsStr::new(without)));
        stage
            .autoclave(&["run", "-m", "smaller", "--json"])
            .expect(0);
        assert_eq!(toy::level(&stage), level);
        assert_eq!(stage.verdicts("smaller"), ["keep"]);
        assert_eq!(stage.results("smaller")["champion"]["value"], 50.0);
        let told = stage.told();
        assert!(
            told.contains("tests/measure.sh: Permission denied"),
            "{told}"
        );
        assert!(told.contains("ANTHROPIC_API_KEY="), "{told}");
        assert!(!told.contains(KEY), "{told}");
        let left = processes_with(&mark);
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_run_ends_the_same_without_overlayfs_and_without_namespaces() {
    a_run_ends_the_same(Caller::Tester);
}

#[test]
fn a_run_of_an_ordinary_user_does_too() {
    a_run_ends_the_same(Caller::OrdinaryUser);
}

#[test]
fn what_no_level_can_do_without_is_refused_whatever_is_accepted() {
    for (without, told) in [
        (
            "landlock",
            "cannot enforce paths: this host has no Landlock",
        ),
        (
            "seccomp",
            "cannot enforce syscalls: this host cannot load seccomp filters (switched off for this run)",
        ),
    ] {
        let mut stage = toy::shelled(Caller::Tester, Accepts::Landlock, "1");
        stage.set("AUTOCLAVE_WITHOUT", Some(OsStr::new(without)));
        stage
            .autoclave(&["run", "-m", "smaller"])
            .expect(5)
            .says(told);
        stage.autoclave(&["exec", "--", "true"]).expect(125);
    }
}

#[test]
fn a_word_that_names_nothing_is_a_mistake() {
    let mut stage = toy::shelled(Caller::Tester, Accepts::Nothing, "1");
    for word in ["landlok", "landlock:", "landlock:x"] {
        stage.set("AUTOCLAVE_WITHOUT", Some(OsStr::new(word)));
        stage.autoclave(&["check"]).expect(2).says(&format!(
            "`{word}` is none of namespaces, overlay, landlock, landlock:VERSION, seccomp, cgroup"
        ));
    }
}
