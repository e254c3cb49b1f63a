//! What is in the agent's workspace when a command starts, and where paths lead there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::AccessParts;
use crate::{Class, EntryKind, Grant, Level, Policy, RepoPath, Tree};

/// Where the repository is inside every sandbox that has a view of its own.
pub(super) const WORKSPACE: &str = "/workspace";

/// Stands for the directory that holds the workspace where no sandbox has a view of its own: no
/// absolute link leads there, and no name has a NUL.
pub(super) const COPY: &str = "/\0";

/// How many links the kernel follows in one path; see path_resolution(7).
const MAX_LINKS: usize = 40;

/// What is at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File,
    Link,
    Directory,
    /// An empty directory that nothing may be put into.
    Submodule,
    Absent,
}

/// Where a path leads when links are followed.
pub(super) enum Place {
    /// `None` is the workspace's root.
    Workspace(Option<RepoPath>),
    Outside(PathBuf),
}

/// Why a path leads nowhere.
pub(super) enum Stop {
    /// Something above it is not there.
    NotThere,
    /// Something above it is a file.
    NotInADirectory,
    LinkLoop,
}

/// What is in the agent's workspace when a command starts: the tree without what is hidden, and the
/// directories that the snapshot makes.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    policy: &'a Policy,
    tree: &'a Tree,
    directories: BTreeSet<RepoPath>,
    /// How paths of the workspace begin for whoever follows `..` or an absolute link.
    root: &'static [&'static [u8]],
}

impl<'a> Nodes<'a> {
    pub fn new(parts: &AccessParts<'a>) -> Self {
        let mut directories = BTreeSet::new();
        let mut add_above = |path: &RepoPath| {
            for directory in std::iter::successors(path.parent(), RepoPath::parent) {
                if !directories.insert(directory) {
                    break;
                }
            }
        };
        for (path, _) in parts.tree.entries() {
            if parts.policy.class_of(path) != Class::Hidden {
                add_above(path);
            }
        }
        let created: Vec<&RepoPath> = parts
            .plan
            .grants
            .iter()
            .filter_map(|grant| match grant {
                Grant::Tree {
                    path,
                    created: true,
                } => Some(path),
                Grant::Tree { created: false, .. } | Grant::Open { .. } | Grant::File { .. } => {
                    None
                }
            })
            .collect();
        for path in &created {
            add_above(path);
        }
        directories.extend(created.into_iter().cloned());
        Self {
            policy: parts.policy,
            tree: parts.tree,
            directories,
            root: match parts.plan.level {
                Level::Sealed => &[b"workspace"],
                Level::Landlock => &[b"\0", b"workspace"],
            },
        }
    }

    pub fn at(&self, path: &RepoPath) -> Node {
        if path.as_bytes() == b".git" || self.directories.contains(path) {
            return Node::Directory;
        }
        let Some(kind) = self.tree.kind_of(path) else {
            return Node::Absent;
        };
        if self.policy.class_of(path) == Class::Hidden {
            return Node::Absent;
        }
        match kind {
            EntryKind::File => Node::File,
            EntryKind::Symlink => Node::Link,
            EntryKind::Submodule => Node::Submodule,
        }
    }

    pub fn is_executable(&self, path: &RepoPath) -> bool {
        self.tree.is_executable(path)
    }

    /// Yields the files and links beneath a directory.
    pub fn beneath(&self, directory: &RepoPath) -> impl Iterator<Item = &RepoPath> {
        let entries = self.tree.entries().map(|(path, _)| path);
        entries.filter(move |path| {
            path.is_within(directory) && self.policy.class_of(path) != Class::Hidden
        })
    }

    /// Follows the links on the way to `path`, and one that it is itself if `follows_last`.
    pub fn resolve(&self, path: &RepoPath, follows_last: bool) -> Result<Place, Stop> {
        let mut left: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<Vec<u8>> = self.root.iter().map(|name| name.to_vec()).collect();
        let mut followed = 0;
        while let Some(name) = left.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(name),
            }
            let Some(here) = self.inside(&at) else {
                continue;
            };
            let Some(here) = here else { continue };
            // A slash at the end asks for a directory, so that what is left may be empty names.
            let is_last = left.is_empty();
            match self.at(&here) {
                Node::Link if !is_last || follows_last => {
                    followed += 1;
                    if followed > MAX_LINKS {
                        return Err(Stop::LinkLoop);
                    }
                    let target = self.tree.target_of(&here).unwrap_or_default();
                    if target.is_empty() {
                        return Err(Stop::NotThere);
                    }
                    at.pop();
                    if target.starts_with(b"/") {
                        at.clear();
                    }
                    left.extend(target.rsplit(|byte| *byte == b'/').map(<[u8]>::to_vec));
                }
                Node::File if !is_last => return Err(Stop::NotInADirectory),
                // Nothing is known of what is in the sandbox's own repository.
                Node::Absent if !is_last && !super::is_own_git(&here) => {
                    return Err(Stop::NotThere);
                }
                Node::Link | Node::File | Node::Directory | Node::Submodule | Node::Absent => {}
            }
        }
        Ok(match self.inside(&at) {
            Some(path) => Place::Workspace(path),
            None => Place::Outside(
                std::iter::once(OsStr::new("/"))
                    .chain(at.iter().map(|name| OsStr::from_bytes(name)))
                    .collect(),
            ),
        })
    }

    /// Returns the path in the workspace that absolute components name, if they do.
    #[expect(clippy::option_option, reason = "the root has no path and is inside")]
    fn inside(&self, at: &[Vec<u8>]) -> Option<Option<RepoPath>> {
        let (root, rest) = at.split_at_checked(self.root.len())?;
        (root == self.root).then(|| RepoPath::new(rest.join(&b'/')).ok())
    }
}
