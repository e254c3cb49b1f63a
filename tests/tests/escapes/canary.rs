//! Files that must come out as they were: content, mode, owner, links, times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Everything in some folders, the folders themselves included.
#[derive(Debug, PartialEq, Eq)]
pub struct Canaries(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    modified: (i64, i64),
    /// Whatever is changed of a file, its extended attributes too, the kernel notes the time of.
    changed: (i64, i64),
    bytes: Vec<u8>,
}

impl Canaries {
    pub fn of(folders: &[&Path]) -> Self {
        let mut entries = BTreeMap::new();
        let mut unseen: Vec<PathBuf> = folders.iter().map(|path| path.to_path_buf()).collect();
        while let Some(path) = unseen.pop() {
            let found = path.symlink_metadata().unwrap();
            let bytes = if found.is_dir() {
                unseen.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
                Vec::new()
            } else if found.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            } else if found.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let entry = Entry {
                inode: found.ino(),
                mode: found.mode(),
                owner: (found.uid(), found.gid()),
                links: found.nlink(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
                bytes,
            };
            entries.insert(path, entry);
        }
        Self(entries)
    }

    /// Returns what is not as it was, for people.
    pub fn changed_since(&self, folders: &[&Path]) -> Vec<String> {
        self.differences(&Self::of(folders))
    }

    /// As [`changed_since`](Self::changed_since), but for modes, owners and times.
    pub fn contents_changed_since(&self, folders: &[&Path]) -> Vec<String> {
        self.bare().differences(&Self::of(folders).bare())
    }

    fn bare(&self) -> Self {
        let bare = |entry: &Entry| Entry {
            mode: 0,
            owner: (0, 0),
            modified: (0, 0),
            changed: (0, 0),
            ..entry.clone()
        };
        let entries = self.0.iter();
        Self(
            entries
                .map(|(path, entry)| (path.clone(), bare(entry)))
                .collect(),
        )
    }

    fn differences(&self, now: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(now.0.keys());
        let mut changed: Vec<String> = paths
            .filter(|path| self.0.get(*path) != now.0.get(*path))
            .map(|path| {
                let (was, is) = (self.0.get(path), now.0.get(path));
                format!("{} was {was:?} and is {is:?}", path.display())
            })
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}
