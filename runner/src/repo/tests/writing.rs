//! Candidates, patches and cherry-picks.

use std::fs;

use super::{Lab, delete, path, write};
use crate::model::{Change, ChangeKind};
use crate::repo::{Picked, RepoError};

#[test]
fn a_candidate_holds_the_changes_and_nothing_of_the_users_moves() {
    let lab = Lab::with(&[
        ("a", "1"),
        ("dir/only", "2"),
        ("swap/in", "3"),
        ("file", "4"),
    ]);
    lab.write("uncommitted", "mine");
    lab.write("a", "edited, not added");
    let before = lab.users_files();
    let (repo, base) = (lab.repo(), lab.head());
    let changes = vec![
        write("a", "new"),
        delete("dir/only"),
        delete("file"),
        write("file/inside", "deep"),
        Change {
            path: path("link"),
            kind: ChangeKind::Link {
                target: b"a".into(),
            },
        },
        Change {
            path: path("run"),
            kind: ChangeKind::Write {
                bytes: b"#!".into(),
                executable: true,
            },
        },
        write("swap", "now a file"),
        delete("swap/in"),
    ];
    let candidate = repo
        .commit_candidate(&base, &changes, "try", 1_000_000_000)
        .unwrap();
    assert_eq!(repo.changes_between(&base, &candidate).unwrap(), changes);
    assert_eq!(
        lab.git(&[
            "ls-tree",
            "-r",
            "--format=%(objectmode) %(path)",
            candidate.as_str()
        ]),
        "100644 a\n100644 file/inside\n120000 link\n100755 run\n100644 swap"
    );
    assert_eq!(
        lab.git(&["show", "-s", "--format=%ct %P %s", candidate.as_str()]),
        format!("1000000000 {base} try")
    );
    assert_eq!(lab.users_files(), before);
    lab.fsck();
}

#[test]
fn removing_the_last_file_leaves_the_empty_tree() {
    let lab = Lab::with(&[("deep/er/a", "1")]);
    let repo = lab.repo();
    let candidate = repo
        .commit_candidate(&lab.head(), &[delete("deep/er/a")], "m", 1)
        .unwrap();
    assert_eq!(repo.tree(&candidate).unwrap(), []);
    lab.fsck();
}

#[test]
fn what_no_tree_can_hold_is_refused() {
    let lab = Lab::with(&[("a", "1")]);
    let repo = lab.repo();
    let own = repo.commit_candidate(&lab.head(), &[write("x/.GIT/config", "")], "m", 1);
    assert!(matches!(own, Err(RepoError::GitsOwnPath(p)) if p == path("x/.GIT/config")));
    let both = repo.commit_candidate(&lab.head(), &[write("d", ""), write("d/e", "")], "m", 1);
    assert!(matches!(both, Err(RepoError::FileAndDirectory(p)) if p == path("d")));
}

#[test]
fn the_users_identity_is_used_where_there_is_one() {
    let lab = Lab::with(&[("a", "1")]);
    lab.git(&["config", "user.name", "Ada"]);
    lab.git(&["config", "user.email", "ada@localhost"]);
    let repo = lab.repo();
    let candidate = repo
        .commit_candidate(&lab.head(), &[write("a", "2")], "m", 1)
        .unwrap();
    assert_eq!(
        lab.git(&["show", "-s", "--format=%an <%ae>", candidate.as_str()]),
        "Ada <ada@localhost>"
    );
}

#[test]
fn a_patch_applies_with_git() {
    let lab = Lab::with(&[("a", "1\n2\n3\n"), ("gone", "x\n"), ("no newline", "x")]);
    let (repo, base) = (lab.repo(), lab.head());
    let changes = [
        write("a", "1\ntwo\n3\n"),
        write("binary", "\0\u{1}\0"),
        delete("gone"),
        write("new\nline", "y\n"),
        write("no newline", "z"),
    ];
    let candidate = repo.commit_candidate(&base, &changes, "m", 1).unwrap();
    let patch = repo.patch(&base, &candidate).unwrap();
    let file = lab.beside("patch");
    fs::write(&file, &patch).unwrap();
    lab.git(&["apply", "--index", file.to_str().unwrap()]);
    let tree = lab.git(&["write-tree"]);
    assert_eq!(
        tree,
        lab.git(&["rev-parse", &format!("{candidate}^{{tree}}")])
    );
    assert_eq!(repo.patch(&base, &base).unwrap(), b"");
}

#[test]
fn picks_merge_are_empty_or_conflict() {
    let lab = Lab::with(&[("a", "1\n2\n3\n4\n5\n6\n7\n"), ("b", "x\n")]);
    // A driver that would make every merge succeed.
    lab.write(".gitattributes", "* merge=union\n");
    let before = lab.users_files();
    let (repo, base) = (lab.repo(), lab.head());
    let make = |text: &str| {
        repo.commit_candidate(&base, &[write("a", text)], "m", 1)
            .unwrap()
    };
    let top = make("one\n2\n3\n4\n5\n6\n7\n");
    let bottom = make("1\n2\n3\n4\n5\n6\nseven\n");
    let clash = make("uno\n2\n3\n4\n5\n6\n7\n");
    let Picked::Done(both) = repo.cherry_pick(&top, &bottom, "both", 2).unwrap() else {
        panic!("the ends of a file merge");
    };
    assert_eq!(
        repo.read_file(&both, &path("a")).unwrap().unwrap(),
        b"one\n2\n3\n4\n5\n6\nseven\n"
    );
    assert_eq!(
        repo.cherry_pick(&both, &bottom, "again", 3).unwrap(),
        Picked::Empty
    );
    assert_eq!(
        repo.cherry_pick(&top, &clash, "m", 3).unwrap(),
        Picked::Conflict {
            paths: vec![path("a")]
        }
    );
    let removed = repo
        .commit_candidate(&base, &[delete("a")], "m", 1)
        .unwrap();
    assert_eq!(
        repo.cherry_pick(&top, &removed, "m", 3).unwrap(),
        Picked::Conflict {
            paths: vec![path("a")]
        }
    );
    let squashed = repo.squash(&base, &both, "one", 4).unwrap();
    assert_eq!(repo.changes_between(&both, &squashed).unwrap(), []);
    assert_eq!(
        lab.git(&["show", "-s", "--format=%P", squashed.as_str()]),
        base.as_str()
    );
    assert_eq!(lab.users_files(), before);
    lab.fsck();
}
