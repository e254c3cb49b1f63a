//! The `.git` that an agent gets, looked at with the real git.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use autoclave_policies::RepoPath;

use super::{Lab, delete, path, write};
use crate::model::{CommitId, FileKind, SnapshotEntry};

/// Writes entries as a backend does.
fn unpack(folder: &Path, entries: impl IntoIterator<Item = SnapshotEntry>) {
    for entry in entries {
        let at = folder.join(entry.path.as_path());
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match entry.kind {
            FileKind::Directory => fs::create_dir_all(at).unwrap(),
            FileKind::Symlink { target } => symlink(OsStr::from_bytes(&target), at).unwrap(),
            FileKind::File { bytes, executable } => {
                fs::write(&at, bytes).unwrap();
                let mode = if executable { 0o755 } else { 0o644 };
                fs::set_permissions(&at, PermissionsExt::from_mode(mode)).unwrap();
            }
        }
    }
}

fn export(lab: &Lab, commit: &CommitId, want: &dyn Fn(&RepoPath) -> bool) -> PathBuf {
    let folder = lab.beside("agent");
    let repo = lab.repo();
    unpack(
        &folder,
        repo.entries(commit, want).unwrap().map(Result::unwrap),
    );
    let mut git = repo.agent_git(commit, want).unwrap();
    unpack(&folder, git.files().unwrap().map(Result::unwrap));
    folder
}

#[test]
fn the_agent_sees_one_clean_commit_without_hidden_paths() {
    let lab = Lab::with(&[
        ("src/a", "1"),
        ("secret/key", "hunter2"),
        (".gitattributes", "* text=auto\n"),
    ]);
    symlink("src/a", lab.work().join("link")).unwrap();
    lab.write(OsStr::from_bytes(b"odd\n\xff"), "x");
    lab.commit("more");
    // CRLF that is in the commit although the attributes say otherwise.
    lab.git(&["config", "core.autocrlf", "false"]);
    lab.write(".git/info/attributes", "* -text\n");
    lab.write("crlf", "a\r\n");
    let commit = lab.commit("crlf");
    let before = lab.users_files();
    let objects = lab.git(&["count-objects", "-v"]);
    let hidden = path("secret");
    let folder = export(&lab, &commit, &|p| !p.is_within(&hidden));
    assert_eq!(lab.git(&["count-objects", "-v"]), objects);
    assert_eq!(lab.users_files(), before);

    assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), "");
    assert_eq!(
        lab.git_in(&folder, &["log", "--format=%an[%P]", "--all"]),
        "autoclave[]"
    );
    assert_eq!(
        lab.git_in(&folder, &["symbolic-ref", "HEAD"]),
        "refs/heads/main"
    );
    lab.git_in(&folder, &["fsck", "--strict", "--full"]);
    let objects = lab.git_in(&folder, &["cat-file", "--batch-all-objects", "--batch"]);
    assert!(!objects.contains("hunter2") && !objects.contains("secret"));
    // The control: the agent can work with it, and a change shows.
    fs::write(folder.join("src/a"), "2").unwrap();
    assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), " M src/a");
    lab.git_in(&folder, &["commit", "-qam", "mine"]);
}

#[test]
fn a_later_commit_costs_only_what_is_new() {
    let lab = Lab::with(&[
        ("a", "1"),
        ("b/c", "2"),
        ("b/d", "3"),
        ("secret", "hunter2"),
    ]);
    let hidden = path("secret");
    let want = |p: &RepoPath| *p != hidden;
    let (repo, base) = (lab.repo(), lab.head());
    let folder = export(&lab, &base, &want);
    let next = repo
        .commit_candidate(
            &base,
            &[write("b/c", "new"), delete("a"), write("secret", "x")],
            "m",
            1,
        )
        .unwrap();
    let mut git = repo.agent_git(&base, &want).unwrap();
    let more = git.files_of(&next, &want).unwrap();
    let names: Vec<_> = more.iter().map(|e| e.path.to_string()).collect();
    assert!(
        !names
            .iter()
            .any(|n| n.ends_with("HEAD") || n.ends_with("config")),
        "{names:?}"
    );
    unpack(&folder, more);
    fs::write(folder.join("b/c"), "new").unwrap();
    fs::remove_file(folder.join("a")).unwrap();
    assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), "");
    lab.git_in(&folder, &["fsck", "--strict", "--full"]);
    // At first a commit, two trees and three blobs; then a commit, two trees and one blob.
    assert_eq!(
        lab.git_in(
            &folder,
            &[
                "cat-file",
                "--batch-all-objects",
                "--batch-check=%(objecttype)"
            ]
        )
        .lines()
        .count(),
        6 + 4
    );
}

#[test]
fn when_only_hidden_paths_changed_nothing_is_packed() {
    let lab = Lab::with(&[("a", "1"), ("secret", "hunter2")]);
    let hidden = path("secret");
    let want = |p: &RepoPath| *p != hidden;
    let (repo, base) = (lab.repo(), lab.head());
    let next = repo
        .commit_candidate(&base, &[write("secret", "x")], "m", 1)
        .unwrap();
    let mut git = repo.agent_git(&base, &want).unwrap();
    let more = git.files_of(&next, &want).unwrap();
    let names: Vec<_> = more.iter().map(|e| e.path.to_string()).collect();
    assert_eq!(names, [".git/refs/heads/main", ".git/index"]);
}

#[test]
fn a_submodule_is_an_empty_directory_and_clean() {
    let lab = Lab::with(&[("a", "1")]);
    let other = Lab::with(&[("inner", "x")]);
    lab.git(&[
        "submodule",
        "--quiet",
        "add",
        other.work().to_str().unwrap(),
        "vendor/lib",
    ]);
    let commit = lab.commit("submodule");
    let folder = export(&lab, &commit, &|_| true);
    assert_eq!(fs::read_dir(folder.join("vendor/lib")).unwrap().count(), 0);
    assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), "");
}

#[test]
fn each_later_commit_is_as_if_made_afresh_whatever_came_before_it() {
    let lab = Lab::with(&[
        ("a", "1"),
        ("d/x", "2"),
        ("d/y", "3"),
        ("d/secret/key", "hunter2"),
        ("e/f", "4"),
    ]);
    let hidden = path("d/secret");
    let want = |p: &RepoPath| !p.is_within(&hidden);
    let (repo, base) = (lab.repo(), lab.head());
    let mut git = repo.agent_git(&base, &want).unwrap();
    for changes in [
        vec![write("d/x", "changed"), write("d/secret/key", "other")],
        // A file where a directory was, and the other way round.
        vec![
            delete("d/x"),
            delete("d/y"),
            delete("e/f"),
            write("e", "now a file"),
            write("a", "1"),
        ],
        vec![delete("a"), write("a/b", "now a directory")],
        vec![delete("a"), delete("d/x"), delete("d/y"), delete("e/f")],
    ] {
        let next = repo.commit_candidate(&base, &changes, "m", 1).unwrap();
        let folder = lab.beside("later");
        unpack(
            &folder,
            repo.entries(&next, want).unwrap().map(Result::unwrap),
        );
        let mut first = repo.agent_git(&base, &want).unwrap();
        unpack(&folder, first.files().unwrap().map(Result::unwrap));
        unpack(&folder, git.files_of(&next, &want).unwrap());
        assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), "");
        lab.git_in(&folder, &["fsck", "--strict", "--full"]);

        let afresh = export(&lab, &next, &want);
        for command in [&["rev-parse", "HEAD"][..], &["ls-files", "--stage"]] {
            assert_eq!(lab.git_in(&folder, command), lab.git_in(&afresh, command));
        }
        let objects = lab.git_in(&folder, &["cat-file", "--batch-all-objects", "--batch"]);
        assert!(!objects.contains("hunter2") && !objects.contains("other"));
        fs::remove_dir_all(folder).unwrap();
        fs::remove_dir_all(afresh).unwrap();
    }
}

#[test]
fn many_bytes_go_into_several_packs() {
    let lab = Lab::empty();
    for name in ["one", "two", "three"] {
        // Nothing that compresses to nothing: each of its lines is another.
        let lines: String = (0..500_000).map(|n| format!("{name} {n}\n")).collect();
        lab.write(name, lines);
    }
    let commit = lab.commit("large");
    let folder = export(&lab, &commit, &|_| true);
    let packs = fs::read_dir(folder.join(".git/objects/pack")).unwrap();
    let packs = packs
        .filter(|e| e.as_ref().unwrap().path().extension() == Some(OsStr::new("pack")))
        .count();
    assert!(packs > 1, "{packs}");
    assert_eq!(lab.git_in(&folder, &["status", "--porcelain"]), "");
    lab.git_in(&folder, &["fsck", "--strict", "--full"]);
}
