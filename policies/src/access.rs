//! What a sandboxed command may do, path by path: the plan, asked instead of enforced.

mod decision;
mod fate;
mod nodes;
mod operation;
mod outside;
mod rule;
mod suits;

use std::path::Path;

pub use self::decision::{Decision, Layer, Outcome};
use self::nodes::{Node, Nodes, Place, Stop};
pub use self::operation::Operation;
pub use self::outside::{HostSide, connect};
pub use self::rule::Rule;
use self::suits::suits;
use crate::{Class, Identity, Level, Plan, Policy, RepoPath, Tree};

/// What contains the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Process,
    /// Ownership alone protects the workspace, and files outside of it come with an image.
    Container,
}

/// What answers are made of.
#[derive(Debug, Clone, Copy)]
pub struct AccessParts<'a> {
    pub policy: &'a Policy,
    /// The base commit, with what is executable and where links lead.
    pub tree: &'a Tree,
    /// Compiled from the same policy and tree.
    pub plan: &'a Plan,
    pub backend: Backend,
    pub host: &'a HostSide<'a>,
}

/// What the agent's command may do in a sandbox of the base commit.
///
/// Asks the same plan that is enforced; an end-to-end test asks the kernel and compares. What the
/// command has made itself is not known to it: a new directory is the command's own.
#[derive(Debug)]
pub struct Access<'a> {
    parts: AccessParts<'a>,
    nodes: Nodes<'a>,
}

impl<'a> Access<'a> {
    pub fn new(parts: AccessParts<'a>) -> Self {
        Self {
            parts,
            nodes: Nodes::new(&parts),
        }
    }

    /// Returns whether `operation` works on `path` of the workspace.
    pub fn decide(&self, path: &RepoPath, operation: Operation) -> Decision {
        match self.nodes.resolve(path, operation.follows_links()) {
            Ok(Place::Workspace(path)) => self.inside(path.as_ref(), operation),
            Ok(Place::Outside(path)) => match self.parts.plan.level {
                Level::Sealed => self.decide_outside(&path, operation),
                Level::Landlock => outside::decide_led(&self.parts, &path, operation),
            },
            Err(Stop::NotThere) => Decision::refused(self.absence(path), Layer::Absent),
            Err(Stop::NotInADirectory) => Decision::refused(Rule::NotInADirectory, Layer::Absent),
            Err(Stop::LinkLoop) => Decision::refused(Rule::LinkLoop, Layer::Absent),
        }
    }

    /// Returns whether `operation` works on an absolute path. Coarser than [`Self::decide`] outside
    /// of the workspace: what is there on this machine or in the image is not known.
    pub fn decide_outside(&self, path: &Path, operation: Operation) -> Decision {
        match path.strip_prefix(nodes::WORKSPACE) {
            Ok(inside) => match RepoPath::from_relative(inside) {
                Some(inside) => self.decide(&inside, operation),
                None => self.inside(None, operation),
            },
            Err(_) => outside::decide(&self.parts, path, operation),
        }
    }

    /// Decides about a path all of whose links have been followed; `None` is the root.
    fn inside(&self, path: Option<&RepoPath>, operation: Operation) -> Decision {
        let Some(path) = path else {
            return self.root(operation);
        };
        let node = self.nodes.at(path);
        if let Err((rule, layer)) = suits(operation, node) {
            let rule = match rule {
                Rule::NotThere => self.absence(path),
                rule => rule,
            };
            return Decision::refused(rule, layer);
        }
        match operation {
            Operation::Read | Operation::List => {
                Decision::allowed(Rule::InTheWorkspace, self.view(), None)
            }
            Operation::Execute if self.nodes.is_executable(path) => {
                Decision::allowed(Rule::InTheWorkspace, self.view(), None)
            }
            Operation::Execute => Decision::refused(Rule::NotExecutable, Layer::Kind),
            Operation::Write | Operation::Truncate | Operation::Append => {
                self.granted(path, operation, self.is_owned(path))
            }
            Operation::Chmod | Operation::SetTimes => {
                match self.parts.plan.identity {
                    Identity::SecondUid { .. } => {
                        self.granted(path, operation, self.is_owned(path))
                    }
                    // The file's owner may, and Landlock is not asked.
                    Identity::SameUser => Decision::allowed(
                        self.rule_of(path),
                        Layer::Ungoverned,
                        self.outcome(path, operation),
                    ),
                }
            }
            Operation::CreateFile
            | Operation::CreateDirectory
            | Operation::CreateLink
            | Operation::RemoveFile
            | Operation::RemoveDirectory
            | Operation::RenameAway
            | Operation::RenameOver
            | Operation::HardLink => self.entry(path, node, operation),
        }
    }

    /// Decides about the root, which is no entry of a directory that a command could change.
    fn root(&self, operation: Operation) -> Decision {
        if let Err((rule, layer)) = suits(operation, Node::Directory) {
            return Decision::refused(rule, layer);
        }
        let is_same_user = self.parts.plan.identity == Identity::SameUser;
        match operation {
            Operation::List => Decision::allowed(Rule::InTheWorkspace, self.view(), None),
            Operation::Chmod | Operation::SetTimes if is_same_user => Decision::allowed(
                Rule::Mixed(None),
                Layer::Ungoverned,
                Some(Outcome::ThrownAway),
            ),
            _ => Decision::refused(Rule::Mixed(None), self.guard()),
        }
    }

    /// Decides about a change of the directory that `path` is in.
    fn entry(&self, path: &RepoPath, node: Node, operation: Operation) -> Decision {
        let parent = path.parent();
        if !self.can_change_names_in(parent.as_ref()) {
            let rule = match (self.parts.plan.identity, self.is_wanted(path, node)) {
                (_, false) => self.rule_of(path),
                (Identity::SameUser, true) => Rule::InPlace(parent),
                (Identity::SecondUid { .. }, true) => Rule::Closed(parent),
            };
            return Decision::refused(rule, self.guard());
        }
        let is_in_own_directory = parent.is_some_and(|parent| self.is_owned(&parent));
        let is_free = match operation {
            // Whoever may read and write a file may link to it; see proc_sys_fs(5).
            Operation::HardLink => !self.parts.host.protects_hard_links || self.is_owned(path),
            _ => node == Node::Absent || is_in_own_directory || self.is_owned(path),
        };
        self.granted(path, operation, is_free)
    }

    fn granted(&self, path: &RepoPath, operation: Operation, is_allowed: bool) -> Decision {
        let rule = self.rule_of(path);
        if is_allowed {
            Decision::allowed(rule, self.guard(), self.outcome(path, operation))
        } else {
            Decision::refused(rule, self.guard())
        }
    }

    /// Says whether what is at `path` may be written: with a uid of its own, is the command's. Of
    /// files the policy is asked rather than the plan, so that a plan that grants something else
    /// shows.
    fn is_owned(&self, path: &RepoPath) -> bool {
        is_own_git(path)
            || match self.nodes.at(path) {
                Node::File | Node::Link => self.parts.policy.class_of(path).is_writable(),
                Node::Directory => self.parts.plan.is_in_tree(path),
                Node::Submodule | Node::Absent => false,
            }
    }

    fn can_change_names_in(&self, directory: Option<&RepoPath>) -> bool {
        directory.is_some_and(is_own_git) || self.parts.plan.can_create_in(directory)
    }

    /// Says whether the policy would let `path` change, if the plan could.
    fn is_wanted(&self, path: &RepoPath, node: Node) -> bool {
        match node {
            Node::Directory => self.parts.plan.is_in_tree(path),
            Node::Submodule => false,
            Node::File | Node::Link | Node::Absent => {
                self.parts.policy.class_of(path).is_writable()
            }
        }
    }

    /// Returns what the policy says of `path`; of a directory, of what can be in it.
    fn rule_of(&self, path: &RepoPath) -> Rule {
        let policy = self.parts.policy;
        match self.nodes.at(path) {
            Node::File | Node::Link | Node::Absent => policy.rule_of(path),
            Node::Submodule => Rule::Submodule,
            Node::Directory => {
                let children = || policy.rule_for_children(path);
                if self.parts.plan.is_in_tree(path) {
                    return children().unwrap_or_else(|| policy.rule_of(path));
                }
                match policy.class_of(path) {
                    Class::Immutable | Class::Hidden => policy.rule_of(path),
                    Class::Mutable | Class::Scratch => Rule::Mixed(Some(path.clone())),
                    Class::ReadOnly if children().is_some() => Rule::Mixed(Some(path.clone())),
                    Class::ReadOnly => Rule::Uncovered,
                }
            }
        }
    }

    /// Returns why there is nothing at `path`.
    fn absence(&self, path: &RepoPath) -> Rule {
        match self.parts.policy.class_of(path) {
            Class::Hidden => self.parts.policy.rule_of(path),
            Class::Mutable | Class::Scratch | Class::Immutable | Class::ReadOnly => Rule::NotThere,
        }
    }

    /// Returns what holds changes off.
    fn guard(&self) -> Layer {
        match self.parts.plan.identity {
            Identity::SecondUid { .. } => Layer::Ownership,
            Identity::SameUser => Layer::Landlock,
        }
    }

    /// Returns what decides what is seen.
    fn view(&self) -> Layer {
        match self.parts.plan.level {
            Level::Sealed => Layer::MountNamespace,
            Level::Landlock => Layer::Landlock,
        }
    }
}

/// Says whether `path` is the sandbox's own one-commit repository, or in it.
fn is_own_git(path: &RepoPath) -> bool {
    path.components().next() == Some(b".git")
}

#[cfg(test)]
mod tests;
