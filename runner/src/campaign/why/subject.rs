//! What is asked about, and what it is in the base commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoclave_policies::{Access, Class, Decision, EntryKind, Operation, RepoPath, Tree};
use serde::Serialize;

use super::told::place_of;
use crate::campaign::workshop::Workshop;
use crate::marker::{BackendKind, RulePlaces};
use crate::sandbox::WORKSPACE;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A path of the repository; `None` is its root.
    Workspace(Option<RepoPath>),
    /// An absolute path outside of the checkout.
    Machine(PathBuf),
    /// A name or address of the network, without port.
    Host(String),
}

/// What the subject is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    File,
    Link {
        target: String,
    },
    Submodule,
    Directory {
        files: usize,
    },
    /// Not in the base commit.
    Absent,
    /// Of this machine, outside of the checkout.
    Machine,
    Host,
}

/// How many files beneath a directory one rule decides about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Beneath {
    /// `mutable`, `scratch`, `immutable`, `hidden` or `read_only`.
    pub class: &'static str,
    pub files: usize,
    pub rule: String,
    pub place: Option<String>,
}

impl Kind {
    /// Returns what can be tried on it.
    pub(super) fn operations(&self) -> &'static [Operation] {
        match self {
            Self::File => &[Operation::Read, Operation::Write, Operation::RemoveFile],
            Self::Link { .. } => &[
                Operation::Read,
                Operation::Write,
                Operation::RemoveFile,
                Operation::RenameOver,
            ],
            Self::Submodule => &[Operation::List, Operation::RemoveDirectory],
            Self::Directory { .. } => &[
                Operation::List,
                Operation::CreateFile,
                Operation::RenameAway,
            ],
            Self::Absent => &[
                Operation::CreateFile,
                Operation::CreateDirectory,
                Operation::CreateLink,
            ],
            Self::Machine => &[Operation::Read, Operation::Write],
            Self::Host => &[],
        }
    }

    /// Returns what `operation` on it is called.
    pub(super) fn word(&self, operation: Operation) -> String {
        if is_made_inside(self, operation) {
            "new file inside".to_owned()
        } else {
            operation.to_string()
        }
    }

    /// Returns the position of the operation that people ask about first.
    pub(super) fn central(&self) -> usize {
        match self {
            Self::File | Self::Link { .. } | Self::Directory { .. } => 1,
            Self::Submodule | Self::Absent | Self::Machine | Self::Host => 0,
        }
    }
}

/// A name of no pattern, for what may be made in a directory.
const NEW_NAME: &str = "NEW";

/// Decides about the subject; what is created in a directory has a name of its own.
pub(super) fn decide(
    access: &Access<'_>,
    subject: &Subject,
    kind: &Kind,
    operation: Operation,
) -> Decision {
    let mut path = match subject {
        Subject::Machine(path) => path.clone(),
        Subject::Workspace(Some(path)) => Path::new(WORKSPACE).join(path.as_path()),
        Subject::Workspace(None) => PathBuf::from(WORKSPACE),
        Subject::Host(_) => PathBuf::from("/"),
    };
    if is_made_inside(kind, operation) {
        path.push(NEW_NAME);
    }
    access.decide_outside(&path, operation)
}

fn is_made_inside(kind: &Kind, operation: Operation) -> bool {
    matches!(kind, Kind::Directory { .. }) && operation == Operation::CreateFile
}

/// Returns what an instruction is about, as it stands in a sentence.
pub(super) fn named(subject: &Subject, kind: &Kind, operation: Option<Operation>) -> String {
    let follows = operation.is_some_and(Operation::follows_links);
    match (subject, kind) {
        (_, Kind::Link { .. }) if follows => "what it leads to".to_owned(),
        (_, Kind::Directory { .. }) => "what is made there".to_owned(),
        (Subject::Workspace(Some(path)), _) => format!("`{path}`"),
        (Subject::Workspace(None), _) => "the root".to_owned(),
        (Subject::Machine(path), _) => format!("`{}`", path.display()),
        (Subject::Host(host), _) => format!("`{host}`"),
    }
}

/// Says whether the subject is in the base commit and hidden from the agent.
pub(super) fn is_hidden(workshop: &Workshop, subject: &Subject) -> bool {
    match subject {
        Subject::Workspace(Some(path)) => {
            workshop.tree.kind_of(path).is_some() && workshop.policy.class_of(path) == Class::Hidden
        }
        Subject::Workspace(None) | Subject::Machine(_) | Subject::Host(_) => false,
    }
}

pub(super) fn kind(workshop: &Workshop, subject: &Subject) -> Kind {
    let path = match subject {
        Subject::Host(_) => return Kind::Host,
        Subject::Machine(_) => return Kind::Machine,
        Subject::Workspace(path) => path,
    };
    let tree = &workshop.tree;
    let files = || files_beneath(tree, path.as_ref()).count();
    let Some(path) = path else {
        return Kind::Directory { files: files() };
    };
    match tree.kind_of(path) {
        Some(EntryKind::File) => Kind::File,
        Some(EntryKind::Submodule) => Kind::Submodule,
        Some(EntryKind::Symlink) => Kind::Link {
            target: String::from_utf8_lossy(tree.target_of(path).unwrap_or_default()).into_owned(),
        },
        None if tree.contains(path) => Kind::Directory { files: files() },
        None => Kind::Absent,
    }
}

/// Returns what is what beneath a directory.
pub(super) fn beneath(workshop: &Workshop, places: &RulePlaces, subject: &Subject) -> Vec<Beneath> {
    let Subject::Workspace(directory) = subject else {
        return Vec::new();
    };
    let is_directory = match directory {
        None => true,
        Some(path) => workshop.tree.kind_of(path).is_none() && workshop.tree.contains(path),
    };
    if !is_directory {
        return Vec::new();
    }
    let policy = &workshop.policy;
    let mut counted: BTreeMap<(&str, String, Option<String>), usize> = BTreeMap::new();
    for path in files_beneath(&workshop.tree, directory.as_ref()) {
        let rule = policy.rule_of(path);
        let place = place_of(&rule, places, workshop.home());
        let class = class_word(policy.class_of(path));
        *counted.entry((class, rule.to_string(), place)).or_default() += 1;
    }
    let beneath = counted
        .into_iter()
        .map(|((class, rule, place), files)| Beneath {
            class,
            files,
            rule,
            place,
        });
    let mut beneath: Vec<Beneath> = beneath.collect();
    beneath.sort_by_key(|beneath| std::cmp::Reverse(beneath.files));
    beneath
}

/// Returns what is to know beside the decisions.
pub(super) fn notes(workshop: &Workshop, subject: &Subject, kind: &Kind) -> Vec<String> {
    let mut notes = Vec::new();
    match subject {
        Subject::Workspace(Some(path)) => {
            let checkout = workshop.repo.work_dir().join(path.as_path());
            if *kind == Kind::Absent && checkout.symlink_metadata().is_ok() {
                notes
                    .push("it is in your checkout and not committed: no sandbox has it".to_owned());
            }
        }
        Subject::Workspace(None) => {}
        Subject::Machine(path) => {
            let mut benches = workshop.benches.each();
            if benches.any(|bench| bench.kind == BackendKind::Container) {
                notes.push("what a container's image holds there is not looked at".to_owned());
            }
            if let Ok(real) = path.canonicalize()
                && real != *path
            {
                let real = real.display();
                notes.push(format!(
                    "on this machine it leads to `{real}`, which is asked about apart"
                ));
            }
        }
        Subject::Host(host) => {
            if host == "localhost" || host.starts_with("127.") || host == "::1" {
                notes.push(
                    "a sandbox has a loopback of its own: what listens on this machine is not \
                     there"
                        .to_owned(),
                );
            }
            if workshop.marker.prepare.is_some() {
                notes.push(
                    "`prepare`, your own command, runs once with the network of this machine"
                        .to_owned(),
                );
            }
        }
    }
    notes
}

fn files_beneath<'t>(
    tree: &'t Tree,
    directory: Option<&'t RepoPath>,
) -> impl Iterator<Item = &'t RepoPath> {
    let paths = tree.entries().map(|(path, _)| path);
    paths.filter(move |path| directory.is_none_or(|directory| path.is_within(directory)))
}

fn class_word(class: Class) -> &'static str {
    match class {
        Class::Mutable => "mutable",
        Class::Scratch => "scratch",
        Class::Immutable => "immutable",
        Class::Hidden => "hidden",
        Class::ReadOnly => "read_only",
    }
}
