//! Repositories that are refused, each by its reason, and odd ones that work.

use std::fs;
use std::os::unix::fs::chown;

use super::{Lab, write};
use crate::repo::{Repo, RepoError};

fn refusal(lab: &Lab) -> RepoError {
    Repo::discover(&lab.work()).err().unwrap()
}

#[test]
fn a_folder_without_repository_is_refused() {
    let lab = Lab::bare_folder();
    let error = refusal(&lab);
    assert!(
        matches!(&error, RepoError::NoRepository { from } if *from == lab.work()),
        "{error:?}"
    );
}

#[test]
fn a_repository_without_commits_opens_but_has_no_head() {
    let lab = Lab::empty();
    let error = lab.repo().resolve(None).unwrap_err();
    assert!(matches!(error, RepoError::NoCommits { .. }), "{error:?}");
}

#[test]
fn a_bare_repository_is_refused() {
    let lab = Lab::bare_folder();
    lab.git(&["init", "-q", "--bare"]);
    let error = refusal(&lab);
    assert!(matches!(error, RepoError::Bare { .. }), "{error:?}");
}

#[test]
fn other_formats_are_refused_by_name() {
    let lab = Lab::bare_folder();
    lab.git(&["init", "-q", "--object-format=sha256"]);
    let error = refusal(&lab);
    assert!(
        matches!(&error, RepoError::Format { what: "object format", format, .. } if format == "sha256"),
        "{error:?}"
    );
}

#[test]
fn a_repository_of_another_user_is_refused() {
    let lab = Lab::with(&[("a", "1")]);
    assert!(Repo::discover(&lab.work()).is_ok());
    for folder in [lab.work(), lab.work().join(".git")] {
        chown(folder, Some(12_345), Some(12_345)).unwrap();
    }
    let error = refusal(&lab);
    assert!(matches!(error, RepoError::NotOwned { .. }), "{error:?}");
}

#[test]
fn the_nearest_repository_is_taken_from_any_folder_inside() {
    let lab = Lab::with(&[("deep/er/a", "1")]);
    let found = Repo::discover(&lab.work().join("deep/er")).unwrap();
    assert_eq!(
        fs::canonicalize(found.work_dir()).unwrap(),
        fs::canonicalize(lab.work()).unwrap()
    );
    let nested = lab.work().join("nested");
    fs::create_dir(&nested).unwrap();
    lab.git_in(&nested, &["init", "-q"]);
    let found = Repo::discover(&nested).unwrap();
    assert_eq!(
        fs::canonicalize(found.work_dir()).unwrap(),
        fs::canonicalize(nested).unwrap()
    );
}

#[test]
fn hooks_are_never_run() {
    let lab = Lab::with(&[("a", "1")]);
    let (hooks, canary) = (lab.beside("hooks"), lab.beside("canary"));
    fs::create_dir(&hooks).unwrap();
    for hook in [
        "reference-transaction",
        "post-commit",
        "pre-commit",
        "post-checkout",
    ] {
        let at = hooks.join(hook);
        fs::write(&at, format!("#!/bin/sh\ntouch '{}'\n", canary.display())).unwrap();
        fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    lab.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    let (repo, base) = (lab.repo(), lab.head());
    assert!(!canary.exists());
    let next = repo
        .commit_candidate(&base, &[write("a", "2")], "m", 1)
        .unwrap();
    repo.move_champion("m", &next).unwrap();
    assert!(!canary.exists());
    // The control: git itself would have run them.
    lab.git(&["branch", "other"]);
    assert!(canary.exists());
}

#[test]
fn the_runs_folder_ignores_itself() {
    let lab = Lab::with(&[("a", "1")]);
    let repo = lab.repo();
    repo.ignore_runs().unwrap();
    repo.ignore_runs().unwrap();
    fs::write(repo.runs_dir().join("x"), "x").unwrap();
    assert_eq!(lab.git(&["status", "--porcelain"]), "");
}
