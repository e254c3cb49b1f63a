//! Pins, champions and branches.

use super::{Lab, write};
use crate::model::{CommitId, ExperimentNumber, RunId};
use crate::repo::{Existing, Pin, Repo, RepoError};

fn candidate(repo: &Repo, base: &CommitId, text: &str) -> CommitId {
    repo.commit_candidate(base, &[write("a", text)], "m", 1)
        .unwrap()
}

#[test]
fn pins_keep_candidates_until_their_run_is_removed() {
    let lab = Lab::with(&[("a", "1")]);
    let before = lab.users_files();
    let (repo, base) = (lab.repo(), lab.head());
    let (run, other) = (
        RunId::new("m", "20260101-000000", 1),
        RunId::new("m", "20260101-000000", 2),
    );
    let (one, two) = (ExperimentNumber::FIRST, ExperimentNumber::FIRST.next());
    let (kept, lost) = (
        candidate(&repo, &base, "kept"),
        candidate(&repo, &base, "lost"),
    );
    assert_eq!(repo.pinned(&run, one).unwrap(), None);
    repo.pin(&run, one, &kept).unwrap();
    repo.pin(&run, two, &lost).unwrap();
    repo.pin(&other, one, &lost).unwrap();
    assert_eq!(
        lab.git(&["for-each-ref", "--format=%(refname)", "refs/autoclave"]),
        format!(
            "refs/autoclave/{run}/0001\nrefs/autoclave/{run}/0002\nrefs/autoclave/{other}/0001"
        )
    );
    lab.git(&["gc", "-q", "--prune=now"]);
    let repo = lab.repo();
    assert_eq!(repo.pinned(&run, two).unwrap(), Some(lost.clone()));
    repo.remove_run_refs(&run, std::slice::from_ref(&kept))
        .unwrap();
    let pin = |run: &RunId, commit| Pin {
        run: run.clone(),
        experiment: one,
        commit,
    };
    assert_eq!(
        repo.list_pins(None).unwrap(),
        [pin(&run, kept), pin(&other, lost)]
    );
    assert_eq!(repo.list_pins(Some(&other)).unwrap().len(), 1);
    // The collection just above packs refs and writes files of its own.
    let after = lab.users_files();
    for name in [".git/HEAD", ".git/config", ".git/index", "a"] {
        assert_eq!(
            after.get(name.as_ref() as &std::path::Path),
            before.get(name.as_ref() as &std::path::Path),
            "{name}"
        );
    }
    lab.fsck();
}

#[test]
fn a_champion_moves_but_not_under_a_work_tree() {
    let lab = Lab::with(&[("a", "1")]);
    let before = lab.users_files();
    let (repo, base) = (lab.repo(), lab.head());
    assert_eq!(repo.champion("speed").unwrap(), None);
    repo.move_champion("speed", &base).unwrap();
    let next = candidate(&repo, &base, "2");
    repo.move_champion("speed", &next).unwrap();
    assert_eq!(repo.champion("speed").unwrap(), Some(next.clone()));
    assert_eq!(lab.users_files(), before);

    let linked = lab.beside("linked");
    lab.git(&[
        "worktree",
        "add",
        "-q",
        linked.to_str().unwrap(),
        "autoclave/speed",
    ]);
    let refused = repo.move_champion("speed", &base);
    assert!(
        matches!(&refused, Err(RepoError::CheckedOut { branch, worktree })
            if branch == "autoclave/speed" && *worktree == linked),
        "{refused:?}"
    );
    // The same is seen from the linked work tree, which is a repository to work in as well.
    let inside = Repo::discover(&linked).unwrap();
    assert_eq!(inside.resolve(None).unwrap(), next);
    assert!(matches!(
        inside.move_champion("speed", &base),
        Err(RepoError::CheckedOut { .. })
    ));
    assert!(matches!(
        inside.create_branch("trunk", &next, Existing::Replace),
        Err(RepoError::CheckedOut { .. })
    ));
    assert_eq!(repo.champion("speed").unwrap(), Some(next));
}

#[test]
fn branches_are_created_and_never_silently_moved() {
    let lab = Lab::with(&[("a", "1")]);
    let (repo, base) = (lab.repo(), lab.head());
    let next = candidate(&repo, &base, "2");
    repo.create_branch("result", &base, Existing::Refuse)
        .unwrap();
    repo.create_branch("result", &base, Existing::Refuse)
        .unwrap();
    let refused = repo.create_branch("result", &next, Existing::Refuse);
    assert!(
        matches!(refused, Err(RepoError::BranchExists { branch, at })
        if branch == "result" && at == base.short())
    );
    repo.create_branch("result", &next, Existing::Replace)
        .unwrap();
    assert_eq!(lab.git(&["rev-parse", "result"]), next.as_str());
    for bad in ["-x", "a..b", "a b", ""] {
        let refused = repo.create_branch(bad, &base, Existing::Refuse);
        assert!(
            matches!(refused, Err(RepoError::BadRefName { .. })),
            "{bad}"
        );
    }
}

#[test]
fn a_branch_that_blocks_the_name_is_named() {
    let lab = Lab::with(&[("a", "1")]);
    lab.git(&["branch", "autoclave"]);
    let refused = lab.repo().move_champion("speed", &lab.head());
    assert!(
        matches!(refused, Err(RepoError::BranchInTheWay { in_the_way, .. })
        if in_the_way == "autoclave")
    );
}

#[test]
fn the_lock_that_a_killed_autoclave_left_on_its_ref_is_removed() {
    let lab = Lab::with(&[("a", "1")]);
    let (repo, base) = (lab.repo(), lab.head());
    let run = RunId::new("m", "20260101-000000", 1);
    let pin = format!("refs/autoclave/{run}/0001");
    for name in [pin.as_str(), "refs/heads/autoclave/m", "refs/heads/mine"] {
        let lock = repo.git.commondir().join(format!("{name}.lock"));
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        std::fs::write(&lock, "").unwrap();
    }
    repo.pin(&run, ExperimentNumber::FIRST, &base).unwrap();
    repo.move_champion("m", &base).unwrap();
    assert_eq!(lab.git(&["rev-parse", &pin]), base.as_str());
    assert_eq!(repo.champion("m").unwrap(), Some(base.clone()));
    // A branch of the user's own is the user's git's to unlock.
    assert!(matches!(
        repo.create_branch("mine", &base, Existing::Refuse),
        Err(RepoError::Git { .. })
    ));
}
