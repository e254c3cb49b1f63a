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

#[cfg(test)]
mod tests {
    use autoclave_policies::{
        Ability, AccessParts, Backend, EntryKind, HostCapabilities, HostPolicy, Limits,
        PlanRequest, Policy, PolicyRules, compile,
    };

    use super::*;
    use crate::marker::{Dialect, parse_config, preset};

    const CONFIG: &str = "\
markers:
  - name: a
    target: {mutable: ['src/**'], immutable: ['tests/**'], hidden: [secret/]}
    metric: {command: 'true', extract: cat, direction: lower}
";

    /// Returns what is explained of each file of a call and its message.
    fn explained(calls: &[(Option<&str>, &str)]) -> Vec<Option<String>> {
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let config = parse_config(CONFIG, "c.yaml", Dialect::Autoclave, &none).unwrap();
        let target = &config.markers[0].target;
        let policy = Policy::new(&PolicyRules {
            mutable: target.mutable.clone(),
            immutable: target.immutable.clone(),
            hidden: target.hidden.clone(),
            ..PolicyRules::default()
        });
        let policy = policy.unwrap();
        let files = ["src/a.rs", "tests/guard.sh", "secret/s"];
        let tree =
            Tree::new(files.map(|path| (RepoPath::try_from(path).unwrap(), EntryKind::File)));
        let capabilities = HostCapabilities {
            second_uid: Some((1, 1)),
            namespaces: Ability::Works,
            overlay: Ability::Works,
            landlock_abi: 7,
            seccomp: Ability::Works,
            identity: Ability::Works,
            cgroup: true,
        };
        let request = PlanRequest {
            views: Vec::new(),
            env: std::collections::BTreeMap::new(),
            limits: Limits {
                memory_bytes: 1,
                cpus: 1.0,
                pids: 1,
                disk_bytes: 1,
            },
            allow_degraded: Vec::new(),
        };
        let plan = compile(&policy, &tree, &capabilities, &request).unwrap();
        let shown: HostPolicy = preset("default").unwrap();
        let host = HostSide {
            policy: &shown,
            home: None,
            protects_hard_links: true,
        };
        let places = config.places_of("a");
        let witness = Witness {
            tree: &tree,
            home: None,
            access: Access::new(AccessParts {
                policy: &policy,
                tree: &tree,
                plan: &plan,
                backend: Backend::Process,
                host: &host,
            }),
            places: &places,
        };
        let calls = calls.iter();
        calls
            .map(|(file, message)| witness.explain(*file, message))
            .collect()
    }

    #[test]
    fn what_was_refused_is_told_by_operation_path_and_rule() {
        let by = "refused by ownership: `tests/**` of `target.immutable` covers it (c.yaml:3:47)";
        let system = "refused by a read-only mount: `/usr` holds the system's programs";
        for (file, message, expected) in [
            (
                Some("/workspace/tests/guard.sh"),
                "EACCES: permission denied, open '/workspace/tests/guard.sh'",
                format!("write tests/guard.sh: {by}"),
            ),
            (
                None,
                "/bin/bash: line 1: tests/guard.sh: Permission denied",
                format!("write tests/guard.sh: {by}"),
            ),
            (
                None,
                "rm: cannot remove 'tests/guard.sh': Permission denied",
                format!("remove tests/guard.sh: {by}"),
            ),
            (
                None,
                "mkdir: cannot create directory 'tests/more': Permission denied",
                format!("create directory tests/more: {by}"),
            ),
            (
                Some("/workspace/tests/new.sh"),
                "EACCES: permission denied, open '/workspace/tests/new.sh'",
                format!("create file tests/new.sh: {by}"),
            ),
            (
                None,
                "touch: cannot touch '/usr/mine': Read-only file system",
                format!("write /usr/mine: {system}"),
            ),
        ] {
            assert_eq!(explained(&[(file, message)]), [Some(expected)], "{message}");
        }
    }

    #[test]
    fn what_the_plan_does_not_refuse_is_left_to_the_message() {
        let messages = [
            // Allowed, hidden (which is not refused but absent), and nothing that could be a path.
            (Some("/workspace/src/a.rs"), "EACCES: permission denied"),
            (None, "cat: secret/s: Permission denied"),
            (None, "Permission to use Bash has been denied."),
            // From another directory of the shell this could be anywhere.
            (None, "/bin/bash: line 1: new.sh: Permission denied"),
            (
                None,
                "/bin/bash: line 1: ../tests/guard.sh: Permission denied",
            ),
        ];
        assert_eq!(explained(&messages), vec![None; messages.len()]);
    }
}
