//! What a commit holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Lab, path};
use crate::model::{FileKind, SnapshotEntry};
use crate::repo::{RepoError, TreeKind};

#[test]
fn files_links_and_executables_are_listed_in_order() {
    let lab = Lab::with(&[("b/x", "1"), ("a", "2"), ("b.txt", "3")]);
    symlink("a", lab.work().join("link")).unwrap();
    lab.write("run", "#!");
    std::fs::set_permissions(lab.work().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let commit = lab.commit("more");
    let plain = TreeKind::File { executable: false };
    assert_eq!(
        lab.repo().tree(&commit).unwrap(),
        [
            (path("a"), plain),
            (path("b.txt"), plain),
            (path("b/x"), plain),
            (path("link"), TreeKind::Symlink),
            (path("run"), TreeKind::File { executable: true }),
        ]
    );
}

#[test]
fn any_name_and_any_bytes_are_read_as_they_are() {
    let names: [&[u8]; 6] = [
        b"-rf",
        b"new\nline",
        b"quo\"te'",
        "\u{e9}\u{1f980}".as_bytes(),
        b"\xff\xfe",
        b"back\\slash",
    ];
    let lab = Lab::empty();
    for name in names {
        lab.write(OsStr::from_bytes(name), b"bytes\xff\0\r\n");
    }
    let commit = lab.commit("odd");
    let mut expected: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
    expected.sort();
    let found: Vec<SnapshotEntry> = lab
        .repo()
        .entries(&commit, |_| true)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let paths: Vec<_> = found.iter().map(|e| e.path.as_bytes().to_vec()).collect();
    assert_eq!(paths, expected);
    for entry in found {
        let FileKind::File { bytes, .. } = entry.kind else {
            panic!("{:?}", entry.path);
        };
        assert_eq!(bytes, b"bytes\xff\0\r\n");
    }
}

#[test]
fn attributes_and_filters_change_nothing_and_are_not_run() {
    let lab = Lab::empty();
    let canary = lab.beside("canary");
    lab.write("crlf.txt", "a\r\nb\r\n");
    lab.write(
        "pointer.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    );
    let commit = lab.commit("raw");
    lab.write(
        ".gitattributes",
        "* text=auto eol=crlf filter=trap merge=trap diff=trap\n",
    );
    let touch = format!("touch '{}'; cat", canary.display());
    for key in [
        "filter.trap.smudge",
        "filter.trap.clean",
        "diff.trap.textconv",
        "core.fsmonitor",
    ] {
        lab.git(&["config", key, &touch]);
    }
    let before = lab.users_files();
    let repo = lab.repo();
    let read = |name| repo.read_file(&commit, &path(name)).unwrap().unwrap();
    assert_eq!(read("crlf.txt"), b"a\r\nb\r\n");
    assert!(read("pointer.bin").starts_with(b"version https://git-lfs"));
    let next = repo
        .commit_candidate(&commit, &[super::write("crlf.txt", "a\r\nc\n")], "m", 7)
        .unwrap();
    assert_eq!(
        repo.read_file(&next, &path("crlf.txt")).unwrap().unwrap(),
        b"a\r\nc\n"
    );
    assert!(!repo.patch(&commit, &next).unwrap().is_empty());
    assert!(!canary.exists());
    assert_eq!(lab.users_files(), before);
    // The control: git itself would have run them.
    lab.git(&["add", "-A"]);
    assert!(canary.exists());
}

#[test]
fn what_is_no_file_reads_as_none() {
    let lab = Lab::with(&[("dir/file", "x")]);
    let repo = lab.repo();
    for name in ["dir", "dir/none", "none/file", "dir/file/below"] {
        assert_eq!(
            repo.read_file(&lab.head(), &path(name)).unwrap(),
            None,
            "{name}"
        );
    }
}

#[test]
fn unwanted_paths_are_not_yielded() {
    let lab = Lab::with(&[("keep", "x"), ("secret", "y")]);
    let found: Vec<_> = lab
        .repo()
        .entries(&lab.head(), |p| *p != path("secret"))
        .unwrap()
        .map(|e| e.unwrap().path)
        .collect();
    assert_eq!(found, [path("keep")]);
}

#[test]
fn entries_move_between_threads() {
    let lab = Lab::with(&[("a", "x")]);
    let mut entries = lab.repo().entries(&lab.head(), |_| true).unwrap();
    let first = std::thread::spawn(move || entries.next()).join().unwrap();
    assert_eq!(first.unwrap().unwrap().path, path("a"));
}

#[test]
fn references_name_commits_or_say_why_not() {
    let lab = Lab::with(&[("a", "x")]);
    let first = lab.head();
    let second = lab.commit("second");
    let repo = lab.repo();
    assert_eq!(repo.resolve(None).unwrap(), second);
    assert_eq!(repo.resolve(Some("trunk~1")).unwrap(), first);
    lab.git(&["checkout", "-q", "--detach", first.as_str()]);
    assert_eq!(repo.resolve(None).unwrap(), first);
    let missing = repo.resolve(Some("nowhere"));
    assert!(
        matches!(missing, Err(RepoError::NoSuchCommit { reference }) if reference == "nowhere")
    );
    assert!(repo.is_ancestor(&first, &second).unwrap());
    assert!(repo.is_ancestor(&first, &first).unwrap());
    assert!(!repo.is_ancestor(&second, &first).unwrap());
}

#[test]
fn fifty_thousand_files_are_read() {
    let lab = Lab::empty();
    let repo = lab.repo();
    let tree = {
        let blob = |n: usize| repo.store.blob(format!("file {n}\n").as_bytes()).unwrap();
        let mut root = repo.store.treebuilder(None).unwrap();
        for dir in 0..500 {
            let mut folder = repo.store.treebuilder(None).unwrap();
            for n in 0..100 {
                folder
                    .insert(format!("f{n}"), blob(dir * 100 + n), 0o100_644)
                    .unwrap();
            }
            root.insert(format!("d{dir}"), folder.write().unwrap(), 0o040_000)
                .unwrap();
        }
        root.write().unwrap()
    };
    let who = git2::Signature::new("a", "b", &git2::Time::new(0, 0)).unwrap();
    let tree = repo.git.find_tree(tree).unwrap();
    let commit = repo.git.commit(None, &who, &who, "m", &tree, &[]).unwrap();
    let commit = super::super::commit_id(commit);
    assert_eq!(repo.entries(&commit, |_| true).unwrap().count(), 50_000);
    let mut git = repo.agent_git(&commit, &|_| true).unwrap();
    // HEAD, config, attributes, the branch, the index, and two packs with their indexes.
    assert_eq!(git.files().unwrap().map(Result::unwrap).count(), 9);
    let next = repo
        .commit_candidate(&commit, &[super::write("d7/f7", "new")], "m", 1)
        .unwrap();
    let later = git.files_of(&next, &|_| true).unwrap();
    let pack = later.iter().find(|e| e.path.as_bytes().ends_with(b".pack"));
    let Some(FileKind::File { bytes, .. }) = pack.map(|e| &e.kind) else {
        panic!("nothing was packed");
    };
    // A commit, two trees of 500 and 100 entries, and a blob: nothing of the other 49,999.
    assert!(bytes.len() < 30_000, "{}", bytes.len());
}
