//! Which files and directories of a tree are writable, by the fewest grants.

use std::collections::{BTreeMap, BTreeSet};

use crate::glob::{Children, Glob};
use crate::{EntryKind, Grant, Identity, Policy, RepoPath, Tree};

/// The grants of a plan, sorted by path, and the directories where identity falls short.
pub(super) struct Granted {
    pub grants: Vec<Grant>,
    pub in_place: Vec<RepoPath>,
}

/// Returns the grants for `tree` under `policy`.
pub(super) fn compile(policy: &Policy, tree: &Tree, identity: Identity) -> Granted {
    let survey = Survey::new(policy, tree);
    let created = created_directories(policy, tree);
    let mut granted = Granted {
        grants: Vec::new(),
        in_place: Vec::new(),
    };
    visit(&survey, &created, identity, None, &mut granted);
    for path in created {
        if !is_beneath_a_tree(&granted.grants, &path) {
            let created = true;
            granted.grants.push(Grant::Tree { path, created });
        }
    }
    granted.grants.sort_by(|a, b| a.path().cmp(&b.path()));
    granted.in_place.sort();
    granted
}

/// What is known of each directory before granting.
struct Survey<'a> {
    policy: &'a Policy,
    tree: &'a Tree,
    /// By directory (`None`: the root).
    directories: BTreeMap<Option<RepoPath>, Directory<'a>>,
}

#[derive(Default)]
struct Directory<'a> {
    subdirectories: Vec<&'a RepoPath>,
    /// Files and links directly inside, that may be written.
    writable: Vec<(&'a RepoPath, EntryKind)>,
    /// Something anywhere beneath may not be written, or is a directory to create nothing in.
    holds_read_only: bool,
    /// No new child could ever be writable.
    is_closed: bool,
}

impl<'a> Survey<'a> {
    fn new(policy: &'a Policy, tree: &'a Tree) -> Self {
        let mut directories: BTreeMap<Option<RepoPath>, Directory<'a>> = BTreeMap::new();
        directories.entry(None).or_default().is_closed = policy.is_closed(None);
        for path in tree.directories() {
            let directory = directories.entry(Some(path.clone())).or_default();
            directory.is_closed = policy.is_closed(Some(path));
            directory.holds_read_only |= directory.is_closed || !policy.may_write_child_of(path);
            let parent = directories.entry(path.parent()).or_default();
            parent.subdirectories.push(path);
        }
        for (path, kind) in tree.entries() {
            let directory = directories.entry(path.parent()).or_default();
            if kind != EntryKind::Submodule && policy.class_of(path).is_writable() {
                directory.writable.push((path, kind));
            } else {
                directory.holds_read_only = true;
            }
        }
        // A directory sorts before what is in it, so going backwards hands everything upwards.
        for path in tree.directories().collect::<Vec<_>>().into_iter().rev() {
            if directories[&Some(path.clone())].holds_read_only {
                let parent = directories.entry(path.parent()).or_default();
                parent.holds_read_only = true;
            }
        }
        Self {
            policy,
            tree,
            directories,
        }
    }

    /// Says whether a name that is not yet in `directory` could be writable.
    ///
    /// Scratch patterns count only where they spell the path out: what a wildcard covers is
    /// granted where it exists, so that caches do not open every directory.
    fn may_gain(&self, directory: Option<&RepoPath>, created: &BTreeSet<RepoPath>) -> bool {
        let is_new_and_writable = |name: &Vec<u8>| {
            let path = match directory {
                Some(directory) => directory.join(name),
                None => RepoPath::new(name.clone()),
            };
            path.is_ok_and(|path| {
                !self.tree.contains(&path)
                    && !created.contains(&path)
                    && self.policy.class_of(&path).is_writable()
            })
        };
        let gains = |glob: &Glob| match glob.children_of(directory) {
            Children::Many => true,
            Children::Named(names) => names.iter().any(is_new_and_writable),
        };
        let scratch = self.policy.scratch.iter();
        let spelled_out = scratch.filter(|glob| glob.literal().is_some());
        self.policy.mutable.iter().chain(spelled_out).any(gains)
    }
}

/// Grants what is in `directory`, from the root down.
fn visit(
    survey: &Survey<'_>,
    created: &BTreeSet<RepoPath>,
    identity: Identity,
    path: Option<&RepoPath>,
    granted: &mut Granted,
) {
    let Some(directory) = survey.directories.get(&path.cloned()) else {
        return;
    };
    if let Some(path) = path
        && !directory.holds_read_only
    {
        granted.grants.push(Grant::Tree {
            path: path.clone(),
            created: false,
        });
        return;
    }
    let is_wanted_open =
        !directory.is_closed && (!directory.writable.is_empty() || survey.may_gain(path, created));
    if is_wanted_open {
        match identity {
            Identity::SecondUid { .. } => granted.grants.push(Grant::Open {
                path: path.cloned(),
            }),
            Identity::SameUser => granted.in_place.extend(path.cloned()),
        }
    }
    for (file, kind) in &directory.writable {
        // A rule on a link would reach its target; a link is replaced, never written.
        if *kind == EntryKind::File || identity != Identity::SameUser {
            granted.grants.push(Grant::File {
                path: (*file).clone(),
            });
        }
    }
    for subdirectory in &directory.subdirectories {
        visit(survey, created, identity, Some(subdirectory), granted);
    }
}

/// Returns the directories that writable patterns spell out and that do not exist: the snapshot
/// makes them, so that nothing above must be opened.
fn created_directories(policy: &Policy, tree: &Tree) -> BTreeSet<RepoPath> {
    let patterns = policy.mutable.iter().chain(&policy.scratch);
    patterns
        .filter_map(|glob| {
            let directory = glob.literal_parent()?;
            glob.may_match_child_of(Some(&directory))
                .then_some(directory)
        })
        .filter(|directory| {
            !tree.contains(directory)
                && !policy.is_closed(Some(directory))
                && !lies_in_a_file(tree, directory)
        })
        .collect()
}

/// Says whether something above `path` is no directory: a file, a link, a submodule.
fn lies_in_a_file(tree: &Tree, path: &RepoPath) -> bool {
    let mut above = path.parent();
    while let Some(directory) = above {
        if tree.kind_of(&directory).is_some() {
            return true;
        }
        above = directory.parent();
    }
    false
}

fn is_beneath_a_tree(grants: &[Grant], path: &RepoPath) -> bool {
    grants.iter().any(|grant| match grant {
        Grant::Tree { path: tree, .. } => path.is_within(tree),
        Grant::Open { .. } | Grant::File { .. } => false,
    })
}
