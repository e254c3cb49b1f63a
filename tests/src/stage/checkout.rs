//! The user's checkout, byte by byte.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What autoclave may add to: objects, its refs, its runs.
const OURS: [&str; 6] = [
    ".git/objects",
    ".git/refs/autoclave",
    ".git/refs/heads/autoclave",
    ".git/logs/refs/autoclave",
    ".git/logs/refs/heads/autoclave",
    ".autoclave/runs",
];

/// All files of a repository that are the user's: work tree, index, HEAD, refs, settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    modified_ns: i128,
    bytes: Vec<u8>,
}

impl Checkout {
    /// Reads the repository at `root`.
    pub fn of(root: &Path) -> Self {
        let mut entries = tree(root);
        entries.retain(|path, _| !OURS.iter().any(|ours| path.starts_with(ours)));
        Self(
            entries
                .into_iter()
                .map(|(path, metadata)| {
                    let entry = entry(&root.join(&path), &metadata);
                    (path, entry)
                })
                .collect(),
        )
    }

    /// Asserts that the repository is as it was.
    #[track_caller]
    pub fn assert_unchanged(&self, root: &Path) {
        let now = Self::of(root);
        let changed: Vec<&PathBuf> = self
            .0
            .keys()
            .chain(now.0.keys())
            .filter(|path| self.0.get(*path) != now.0.get(*path))
            .collect();
        assert!(changed.is_empty(), "the checkout changed: {changed:?}");
    }
}

/// Lists everything under `root` that is no directory, by its path from there.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, fs::Metadata> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            let metadata = path.symlink_metadata().expect("nobody removes files here");
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(root).expect("it is under it");
                found.insert(path.to_owned(), metadata);
            }
        }
    }
    found
}

fn entry(path: &Path, metadata: &fs::Metadata) -> Entry {
    let bytes = if metadata.is_symlink() {
        let target = fs::read_link(path).expect("readable");
        target.as_os_str().as_bytes().to_vec()
    } else if metadata.is_file() {
        fs::read(path).expect("readable")
    } else {
        Vec::new()
    };
    Entry {
        mode: metadata.mode(),
        modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
            + i128::from(metadata.mtime_nsec()),
        bytes,
    }
}
