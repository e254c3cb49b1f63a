//! Real repositories in temporary folders, made with the `git` command.

mod agent_git;
mod odd_repositories;
mod reading;
mod refs;
mod writing;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use autoclave_policies::RepoPath;

use super::Repo;
use crate::model::{Change, ChangeKind, CommitId};

/// A repository with a home of its own.
pub struct Lab {
    temp: tempfile::TempDir,
}

impl Lab {
    /// A folder with nothing in it.
    pub fn bare_folder() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("home")).unwrap();
        fs::create_dir(temp.path().join("work")).unwrap();
        Self { temp }
    }

    /// A repository without commits.
    pub fn empty() -> Self {
        let lab = Self::bare_folder();
        lab.git(&["init", "-q", "-b", "trunk"]);
        lab
    }

    /// A repository with one commit of these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let lab = Self::empty();
        for (path, text) in files {
            lab.write(path, text);
        }
        lab.commit("first");
        lab
    }

    pub fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub fn write(&self, path: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) {
        let path = self.work().join(Path::new(path.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> CommitId {
        CommitId::try_from(self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    pub fn repo(&self) -> Repo {
        Repo::discover(&self.work()).unwrap()
    }

    /// Runs git in the work tree; returns its output, trimmed.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.work(), args)
    }

    pub fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.temp.path().join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Tester")
            .env("GIT_AUTHOR_EMAIL", "tester@localhost")
            .env("GIT_COMMITTER_NAME", "Tester")
            .env("GIT_COMMITTER_EMAIL", "tester@localhost")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    pub fn fsck(&self) {
        self.git(&["fsck", "--strict", "--full"]);
    }

    /// Everything of the user's: each path with its mode and bytes.
    pub fn users_files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let ours = [
            ".git/objects",
            ".git/refs/autoclave",
            ".git/refs/heads/autoclave",
            ".git/logs/refs/heads/autoclave",
        ];
        let root = self.work();
        let mut found = BTreeMap::new();
        let mut pending = vec![root.clone()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_path_buf();
                if ours.iter().any(|our| name == Path::new(our)) {
                    continue;
                }
                let stat = path.symlink_metadata().unwrap();
                let bytes = if stat.is_dir() {
                    pending.push(path.clone());
                    Vec::new()
                } else if stat.is_symlink() {
                    fs::read_link(&path)
                        .unwrap()
                        .as_os_str()
                        .as_bytes()
                        .to_vec()
                } else {
                    fs::read(&path).unwrap()
                };
                found.insert(name, (stat.permissions().mode(), bytes));
            }
        }
        found
    }
}

pub fn path(text: &str) -> RepoPath {
    RepoPath::try_from(text).unwrap()
}

pub fn write(at: &str, text: &str) -> Change {
    Change {
        path: path(at),
        kind: ChangeKind::Write {
            bytes: text.into(),
            executable: false,
        },
    }
}

pub fn delete(at: &str) -> Change {
    Change {
        path: path(at),
        kind: ChangeKind::Delete,
    }
}
