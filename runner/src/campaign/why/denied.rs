//! What decided about a call of an agent that was refused, as far as its words tell.

use std::path::{Path, PathBuf};

use autoclave_policies::{Access, Decision, HostSide, Layer, Operation, RepoPath, Tree};

use super::told::Told;
use crate::agent::refused_paths;
use crate::campaign::bench::Role;
use crate::campaign::workshop::Workshop;
use crate::marker::RulePlaces;
use crate::sandbox::WORKSPACE;

/// Knows the plan under which an agent works.
pub(in crate::campaign) struct Witness<'a> {
    tree: &'a Tree,
    home: Option<&'a Path>,
    access: Access<'a>,
    places: &'a RulePlaces,
}

impl<'a> Witness<'a> {
    /// Returns one for the agent of `workshop`.
    pub fn new(workshop: &'a Workshop, host: &'a HostSide<'a>, places: &'a RulePlaces) -> Self {
        Self {
            tree: &workshop.tree,
            home: workshop.home(),
            access: workshop.access(workshop.bench(Role::Agent), host),
            places,
        }
    }

    /// Returns `OPERATION PATH: DECISION`, in the words of `autoclave why`; `None` where no path can
    /// be made out, or the plan refuses nothing about it.
    ///
    /// `file` is what the call names, `message` what it came to. Both are an agent's words: at worst
    /// they make it ask about another path than was meant, and what is said of that one is true.
    pub fn explain(&self, file: Option<&str>, message: &str) -> Option<String> {
        let paths = file.into_iter().chain(refused_paths(message));
        let paths = paths.filter_map(|path| self.meant(path));
        let mut told = paths.filter_map(|path| self.refused(&path, message));
        told.next()
    }

    /// Returns where `path` is. The directory of a shell is not known: a relative path counts where
    /// the workspace has it, or has the directory that it is in.
    fn meant(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let relative = RepoPath::from_relative(path)?;
        let tree = self.tree;
        let is_known = tree.contains(&relative)
            || relative.parent().is_some_and(|above| tree.contains(&above));
        is_known.then(|| Path::new(WORKSPACE).join(path))
    }

    fn refused(&self, path: &Path, message: &str) -> Option<String> {
        let mut tried = tried(message).iter().map(|operation| {
            let decision = self.access.decide_outside(path, *operation);
            (*operation, decision)
        });
        let (operation, decision) = tried.find(|(_, decision)| is_refusal(decision))?;
        let told = Told::new(&operation.to_string(), &decision, self.places, self.home);
        let shown = path.strip_prefix(WORKSPACE).unwrap_or(path);
        Some(format!(
            "{} {}: {}",
            told.operation,
            shown.display(),
            told.words
        ))
    }
}

/// Says whether a layer refuses, and not the state of the files.
fn is_refusal(decision: &Decision) -> bool {
    !decision.is_allowed && !matches!(decision.layer, Layer::Absent | Layer::Kind)
}

/// Returns what a refused call may have tried, the likeliest first.
fn tried(message: &str) -> &'static [Operation] {
    const BY_WORD: [(&str, &[Operation]); 9] = [
        ("rename", &[Operation::RenameAway, Operation::RenameOver]),
        (
            "cannot move",
            &[Operation::RenameAway, Operation::RenameOver],
        ),
        ("rmdir", &[Operation::RemoveDirectory]),
        ("unlink", &[Operation::RemoveFile]),
        (
            "cannot remove",
            &[Operation::RemoveFile, Operation::RemoveDirectory],
        ),
        ("mkdir", &[Operation::CreateDirectory]),
        ("cannot create directory", &[Operation::CreateDirectory]),
        ("changing permissions", &[Operation::Chmod]),
        ("setting times", &[Operation::SetTimes]),
    ];
    let mut by_word = BY_WORD.iter();
    match by_word.find(|(word, _)| message.contains(word)) {
        Some((_, operations)) => operations,
        None => &[Operation::Read, Operation::Write, Operation::CreateFile],
    }
}
