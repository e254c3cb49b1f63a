//! A generated repository and policy, and what to ask about them.

use std::collections::{BTreeMap, BTreeSet};

use autoclave_policies::{Class, EntryKind, Grant, Plan, Policy, PolicyRules, RepoPath, Tree};
use autoclave_runner::model::{FileKind, SnapshotEntry};

use super::dice::Dice;

/// Names of files and directories: plain ones, what steers something, and odd ones.
const PLAIN: &[&[u8]] = &[b"a", b"b", b"c.rs", b"ab", b"docs", b"sub", b"x.rs"];
const ODD: &[&[u8]] = &[
    b"CLAUDE.md",
    b"conftest.py",
    b"build.rs",
    b".hidden",
    b".github",
    b"sp ace",
    b"new\nline",
    b"-dash",
    b"st*r",
    b"[x]",
    b"caf\xc3\xa9",
    b"e\xcc\x81",
    b"UPPER",
    b"dot.",
    b"\xff\xfe",
];
/// Names that are not there.
const NEW: &[&[u8]] = &[
    b"new",
    b"new.rs",
    b"Makefile",
    b"n\xff",
    b".gitignore",
    b"b.new",
];
/// Links lead to other entries, and to these.
const ELSEWHERE: &[&[u8]] = &[
    b"nowhere",
    b"/usr/bin/env",
    b"/usr/bin",
    b"/tmp",
    b"/root/x",
    b"../../..",
    b"/workspace",
    b"none/there",
];

/// A repository and a policy.
pub struct World {
    pub seed: u64,
    pub rules: PolicyRules,
    pub policy: Policy,
    pub tree: Tree,
    entries: BTreeMap<RepoPath, FileKind>,
}

impl World {
    /// Returns the world of `seed`: the same on every machine.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let files = files(&mut dice);
        let entries: BTreeMap<RepoPath, FileKind> = files
            .iter()
            .map(|path| (path.clone(), kind(&mut dice, path, &files)))
            .collect();
        let tree = tree(&entries);
        let rules = rules(&mut dice, &files);
        let policy = Policy::new(&rules).expect("generated patterns are valid");
        Self {
            seed,
            rules,
            policy,
            tree,
            entries,
        }
    }

    /// Returns what the agent's snapshot is made of.
    pub fn visible(&self) -> Vec<SnapshotEntry> {
        let own = SnapshotEntry {
            path: path(b".git/HEAD"),
            kind: FileKind::File {
                bytes: b"ref: refs/heads/main\n".to_vec(),
                executable: false,
            },
        };
        let entries = self.entries.iter();
        let visible = entries.filter(|(path, _)| self.policy.class_of(path) != Class::Hidden);
        let visible = visible.map(|(path, kind)| SnapshotEntry {
            path: path.clone(),
            kind: kind.clone(),
        });
        std::iter::once(own).chain(visible).collect()
    }

    /// Returns paths to ask about, each once: all that there is, hidden things among it, names that
    /// are not there, and what lies beneath files and links.
    pub fn paths(&self, plan: &Plan) -> BTreeSet<RepoPath> {
        let mut dice = Dice::new(self.seed ^ 0x5eed);
        let mut directories: Vec<RepoPath> = self.tree.directories().cloned().collect();
        directories.extend(plan.grants.iter().filter_map(|grant| match grant {
            Grant::Tree { path, .. } => Some(path.clone()),
            Grant::Open { .. } | Grant::File { .. } => None,
        }));
        directories.push(path(b".git"));
        let mut asked: BTreeSet<RepoPath> = directories.iter().cloned().collect();
        asked.extend(self.entries.keys().cloned());
        let beneath: Vec<RepoPath> = self.entries.keys().cloned().collect();
        for above in directories.iter().chain(&beneath) {
            asked.extend(above.join(dice.pick(NEW)));
        }
        // Through links to directories, and to what hidden patterns cover.
        for name in PLAIN.iter().chain(ODD) {
            asked.extend(dice.pick(&beneath).join(name));
            asked.insert(path(name));
        }
        asked.extend(NEW.iter().map(|name| path(name)));
        asked.retain(|path| path.as_bytes() != b".git/HEAD");
        asked
    }

    /// Says whether `path` is a directory of the tree.
    pub fn is_directory(&self, path: &RepoPath) -> bool {
        !self.entries.contains_key(path) && self.tree.contains(path)
    }

    /// Returns what is at `path` in the repository.
    pub fn kind_of(&self, path: &RepoPath) -> Option<&FileKind> {
        self.entries.get(path)
    }
}

/// Returns between 12 and 30 paths, none beneath another.
fn files(dice: &mut Dice) -> Vec<RepoPath> {
    let count = 12 + dice.below(19);
    let mut files: Vec<RepoPath> = Vec::new();
    for _ in 0..count {
        // Beside or beneath what is near, so that directories hold several.
        let mut at = if files.is_empty() || dice.one_in(3) {
            None
        } else {
            dice.pick(&files).parent()
        };
        for _ in 0..dice.below(3) {
            at = Some(child(at.as_ref(), name(dice)));
        }
        let file = child(at.as_ref(), name(dice));
        let clashes = |other: &RepoPath| other.is_within(&file) || file.is_within(other);
        if !files.iter().any(clashes) {
            files.push(file);
        }
    }
    files
}

fn name(dice: &mut Dice) -> &'static [u8] {
    if dice.one_in(4) {
        dice.pick(ODD)
    } else {
        dice.pick(PLAIN)
    }
}

fn kind(dice: &mut Dice, path: &RepoPath, files: &[RepoPath]) -> FileKind {
    match dice.below(12) {
        0 | 1 => FileKind::Symlink {
            target: target(dice, path, files),
        },
        2 if dice.one_in(2) => FileKind::Directory,
        3..=5 => FileKind::File {
            bytes: b"#!/bin/true\n".to_vec(),
            executable: true,
        },
        _ => FileKind::File {
            bytes: b"text\n".to_vec(),
            executable: false,
        },
    }
}

/// Returns where a link at `path` leads: to a file, a directory, itself or elsewhere.
fn target(dice: &mut Dice, path: &RepoPath, files: &[RepoPath]) -> Vec<u8> {
    if dice.one_in(4) {
        return dice.pick(ELSEWHERE).to_vec();
    }
    let mut to = dice.pick(files);
    if dice.one_in(2)
        && let Some(parent) = to.parent()
    {
        to = parent;
    }
    let mut target = b"../".repeat(path.components().count() - 1);
    target.extend_from_slice(to.as_bytes());
    if dice.one_in(5) {
        target.push(b'/');
    }
    target
}

fn tree(entries: &BTreeMap<RepoPath, FileKind>) -> Tree {
    let of_git = |kind: &FileKind| match kind {
        FileKind::File { .. } => EntryKind::File,
        FileKind::Symlink { .. } => EntryKind::Symlink,
        FileKind::Directory => EntryKind::Submodule,
    };
    let executables = entries.iter().filter_map(|(path, kind)| match kind {
        FileKind::File {
            executable: true, ..
        } => Some(path.clone()),
        FileKind::File { .. } | FileKind::Symlink { .. } | FileKind::Directory => None,
    });
    let targets = entries.iter().filter_map(|(path, kind)| match kind {
        FileKind::Symlink { target } => Some((path.clone(), target.clone())),
        FileKind::File { .. } | FileKind::Directory => None,
    });
    Tree::new(
        entries
            .iter()
            .map(|(path, kind)| (path.clone(), of_git(kind))),
    )
    .with_executables(executables)
    .with_targets(targets)
}

fn rules(dice: &mut Dice, files: &[RepoPath]) -> PolicyRules {
    let mut patterns = |least: usize, most: usize, reach: Reach| -> Vec<String> {
        let count = least + dice.below(most - least + 1);
        (0..count).map(|_| pattern(dice, files, reach)).collect()
    };
    let mutable = patterns(2, 6, Reach::Wide);
    let scratch = patterns(0, 3, Reach::Wide);
    let immutable = patterns(0, 2, Reach::Narrow);
    let mut hidden = patterns(0, 1, Reach::Narrow);
    if dice.one_in(2) {
        hidden.clear();
    }
    let named_by_harness = if dice.one_in(2) {
        vec![dice.pick(files)]
    } else {
        Vec::new()
    };
    let hidden_harness = if dice.one_in(5) {
        vec![dice.pick(files)]
    } else {
        Vec::new()
    };
    PolicyRules {
        mutable,
        immutable,
        hidden,
        scratch,
        named_by_harness,
        hidden_harness,
    }
}

/// How much a pattern may take. What takes away takes little, or nothing would be left to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Wide,
    Narrow,
}

/// Returns a pattern of any kind that the language has, which mostly covers something.
fn pattern(dice: &mut Dice, files: &[RepoPath], reach: Reach) -> String {
    if reach == Reach::Wide && dice.one_in(6) {
        let whole = [
            "**",
            "*",
            "gen/",
            "gen/*.rs",
            "**/a/**",
            "out/deep/",
            "**/*.rs",
            "*/b",
        ];
        return dice.pick(&whole).to_owned();
    }
    let file = dice.pick(files);
    let mut parts: Vec<String> = file.components().map(literal).collect();
    if reach == Reach::Wide {
        parts.truncate(1 + dice.below(parts.len()));
    } else if dice.one_in(2) {
        return parts.join("/");
    }
    let changed = dice.below(parts.len());
    parts[changed] = match dice.below(8) {
        0 if changed > 0 => "*".to_owned(),
        1 if reach == Reach::Wide => "**".to_owned(),
        2 => "[a-c]*".to_owned(),
        3 => "{a,b,c.rs,docs}".to_owned(),
        4 => "?".to_owned(),
        5 => "[!a]".to_owned(),
        _ => parts[changed].clone(),
    };
    let end = match dice.below(5) {
        0 => "/",
        1 => "/**",
        2 => "/*",
        _ => "",
    };
    parts.join("/") + end
}

/// Returns the pattern that means this very name; `*` for one that no text can spell.
fn literal(name: &[u8]) -> String {
    let Ok(name) = std::str::from_utf8(name) else {
        return "*".to_owned();
    };
    let escaped = name.chars().flat_map(|c| {
        let escape = matches!(c, '*' | '?' | '[' | '{' | '}' | '\\').then_some('\\');
        escape.into_iter().chain([c])
    });
    escaped.collect()
}

fn child(directory: Option<&RepoPath>, name: &[u8]) -> RepoPath {
    match directory {
        Some(directory) => directory.join(name).expect("names are plain"),
        None => path(name),
    }
}

fn path(bytes: &[u8]) -> RepoPath {
    RepoPath::new(bytes).expect("names are plain")
}
