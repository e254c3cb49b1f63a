//! Older kernels: each version of Landlock, with namespaces and without.

use std::ffi::OsStr;
use std::fs;

use e2e::stage::{Caller, Stage, processes_with};

use crate::toy::{self, Accepts};

/// What comes of a version: a level, or the start of each refusal.
type Outcome<'a> = Result<&'a str, &'a [&'a str]>;

const NO_LANDLOCK: &str = "cannot enforce paths: this host has no Landlock";
const TRUNCATES: &str = "which cannot deny truncation";
const NO_VIEW: &str = "cannot enforce view: this host allows no new namespaces";
const SIGNALS: &str = "cannot enforce processes: this host has Landlock";

/// Versions, whether there are namespaces, what is accepted, and what comes of it.
const TABLE: &[(&[u32], bool, Accepts, Outcome<'_>)] = &[
    (&[0], true, Accepts::Landlock, Err(&[NO_LANDLOCK])),
    (&[1, 2], true, Accepts::Landlock, Err(&[TRUNCATES])),
    (&[3, 5, 7], true, Accepts::Nothing, Ok("sealed")),
    (&[0], false, Accepts::Nothing, Err(&[NO_LANDLOCK, NO_VIEW])),
    (&[2], false, Accepts::Landlock, Err(&[TRUNCATES])),
    (&[3, 7], false, Accepts::Nothing, Err(&[NO_VIEW])),
    (&[3, 5], false, Accepts::Landlock, Err(&[SIGNALS])),
    (&[6, 7], false, Accepts::Landlock, Ok("landlock")),
];

#[test]
fn each_version_of_landlock_reaches_its_level_or_is_refused_by_name() {
    let mut played = 0;
    for (versions, has_namespaces, accepts, outcome) in TABLE {
        for version in *versions {
            played += 1;
            let mark = format!("{played}5432.{}", std::process::id());
            let mut stage = toy::shelled(Caller::Tester, *accepts, &mark);
            let mut without = format!("landlock:{version}");
            if !has_namespaces {
                without.push_str(",namespaces");
            }
            stage.set("AUTOCLAVE_WITHOUT", Some(OsStr::new(&without)));
            let ended = stage.autoclave(&["run", "-m", "smaller"]);
            match outcome {
                Ok(level) => {
                    ended.expect(0);
                    assert_eq!(toy::level(&stage), *level, "{without}");
                    toy::assert_contained(&stage);
                    let left = processes_with(&mark);
                    assert!(left.is_empty(), "{left:?}");
                }
                Err(refusals) => {
                    let ended = ended.expect(5);
                    let told = ended.stderr.matches("cannot enforce").count();
                    assert_eq!(told, refusals.len(), "{without}: {ended}");
                    for refusal in *refusals {
                        ended.says(refusal);
                    }
                    // Nothing was run, nothing begun.
                    assert_eq!(runs(&stage), 0, "{without}");
                }
            }
        }
    }
    assert_eq!(played, 14);
}

/// Counts the folders of runs.
fn runs(stage: &Stage) -> usize {
    let Ok(entries) = fs::read_dir(stage.repo().join(".autoclave/runs")) else {
        return 0;
    };
    let is_folder = |entry: &fs::DirEntry| entry.path().is_dir();
    entries.map(Result::unwrap).filter(is_folder).count()
}
