//! What may happen to each path of a repository.

use crate::{Glob, InvalidGlob, RepoPath};

/// What may happen to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Writable; changes are committed.
    Mutable,
    /// Writable; changes are thrown away.
    Scratch,
    /// Readable and never writable, whatever else matches.
    Immutable,
    /// Absent from the agent's sandbox.
    Hidden,
    /// Readable, since nothing says otherwise.
    ReadOnly,
}

impl Class {
    /// Says whether a sandboxed command may write such a path.
    pub fn is_writable(self) -> bool {
        match self {
            Self::Mutable | Self::Scratch => true,
            Self::Immutable | Self::Hidden | Self::ReadOnly => false,
        }
    }
}

/// The patterns of a marker, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRules {
    pub mutable: Vec<String>,
    pub immutable: Vec<String>,
    pub hidden: Vec<String>,
    pub scratch: Vec<String>,
    /// Files that the metric and guard commands name; see [`crate::files_named_by`].
    pub named_by_harness: Vec<RepoPath>,
}

/// What may happen to each path of a repository.
///
/// Hidden wins over immutable, that over mutable, that over scratch; all else is read-only.
/// Hidden and immutable patterns reach everything beneath what they match, mutable and scratch
/// ones match exactly (a trailing `/` or `/**` reaches beneath).
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) mutable: Vec<Glob>,
    pub(crate) scratch: Vec<Glob>,
    immutable: Vec<Glob>,
    hidden: Vec<Glob>,
    mandatory: Vec<Mandatory>,
}

/// A path that is immutable unless a mutable pattern without wildcards names it.
#[derive(Debug, Clone)]
enum Mandatory {
    /// What steers git, agents, editors and CI.
    Pattern(Glob),
    /// What measures.
    Harness(RepoPath),
}

/// What runs with more rights than an experiment when a person, editor or CI meets it later.
const MANDATORY_IMMUTABLE: &[&str] = &[
    "**/.[gG][iI][tT]*",
    "**/.autoclave",
    "**/.autoresearch",
    "**/.claude",
    "**/CLAUDE.md",
    "**/CLAUDE.local.md",
    "**/.mcp.json",
    "**/.envrc",
    "**/.vscode",
    "**/Jenkinsfile",
    ".buildkite",
    ".ci",
    ".circleci",
    ".travis.yml",
    "azure-pipelines.yml",
];

impl Policy {
    /// Returns the policy that `rules` write.
    ///
    /// # Errors
    ///
    /// Every pattern that is invalid, in the order of the lists; never empty.
    pub fn new(rules: &PolicyRules) -> Result<Self, Vec<InvalidGlob>> {
        let mut invalid = Vec::new();
        let mut parse = |patterns: &[String]| -> Vec<Glob> {
            let parsed = patterns.iter().map(|pattern| Glob::parse(pattern));
            parsed
                .filter_map(|glob| glob.map_err(|e| invalid.push(e)).ok())
                .collect()
        };
        let mutable = parse(&rules.mutable);
        let immutable = parse(&rules.immutable);
        let hidden = parse(&rules.hidden);
        let scratch = parse(&rules.scratch);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let patterns = MANDATORY_IMMUTABLE.iter().map(|pattern| {
            Mandatory::Pattern(Glob::parse(pattern).expect("the constant patterns are valid"))
        });
        let harness = rules.named_by_harness.iter().cloned();
        Ok(Self {
            mandatory: patterns.chain(harness.map(Mandatory::Harness)).collect(),
            mutable,
            scratch,
            immutable,
            hidden,
        })
    }

    /// Returns what may happen to `path`, whether it exists or not.
    pub fn class_of(&self, path: &RepoPath) -> Class {
        if self.hidden.iter().any(|glob| glob.covers(path)) {
            Class::Hidden
        } else if self.immutable.iter().any(|glob| glob.covers(path)) || self.is_mandatory(path) {
            Class::Immutable
        } else if self.mutable.iter().any(|glob| glob.matches(path)) {
            Class::Mutable
        } else if self.scratch.iter().any(|glob| glob.matches(path)) {
            Class::Scratch
        } else {
            Class::ReadOnly
        }
    }

    /// Says whether a change of `path` may become part of a candidate.
    pub fn is_mutable(&self, path: &RepoPath) -> bool {
        self.class_of(path) == Class::Mutable
    }

    /// Says whether nothing beneath `directory` could ever be kept, because a scratch pattern takes
    /// all of it and no mutable one reaches in. A protected name in it (`target/.gitignore`) cannot
    /// be kept either.
    pub fn is_scratch_throughout(&self, directory: &RepoPath) -> bool {
        let is_given = matches!(self.class_of(directory), Class::Scratch | Class::ReadOnly);
        let mut scratch = self.scratch.iter();
        is_given
            && scratch.any(|glob| glob.matches_all_beneath(directory))
            && !self
                .mutable
                .iter()
                .any(|glob| glob.may_match_beneath(directory))
    }

    /// Says whether no new child of `directory` (`None`: the root) could ever be writable, because
    /// a hidden or immutable pattern covers them all.
    pub(crate) fn is_closed(&self, directory: Option<&RepoPath>) -> bool {
        let restrictive = self.hidden.iter().chain(&self.immutable);
        restrictive
            .into_iter()
            .any(|glob| glob.covers_children_of(directory))
            || directory.is_some_and(|directory| self.is_mandatory(directory))
    }

    /// Says whether a mutable or scratch pattern could match a direct child of `directory`.
    pub(crate) fn may_write_child_of(&self, directory: &RepoPath) -> bool {
        let mut writable = self.mutable.iter().chain(&self.scratch);
        writable.any(|glob| glob.may_match_child_of(Some(directory)))
    }

    fn is_mandatory(&self, path: &RepoPath) -> bool {
        // No commit can hold it, and inside a sandbox it is thrown away: nothing to name.
        if path
            .components()
            .any(|name| name.eq_ignore_ascii_case(b".git"))
        {
            return true;
        }
        let mut covering = self.mandatory.iter().filter(|rule| rule.covers(path));
        covering.any(|rule| !self.names_literally(path, rule))
    }

    /// Says whether a mutable pattern without wildcards gives `path` free of `rule`: `.github/`
    /// does for all beneath, while `src/` says nothing about `src/CLAUDE.md`.
    fn names_literally(&self, path: &RepoPath, rule: &Mandatory) -> bool {
        self.mutable.iter().any(|glob| {
            glob.matches(path) && glob.literal().is_some_and(|literal| rule.covers(&literal))
        })
    }
}

impl Mandatory {
    fn covers(&self, path: &RepoPath) -> bool {
        match self {
            Self::Pattern(glob) => glob.covers(path),
            Self::Harness(file) => path.is_within(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    fn class(rules: &PolicyRules, at: &str) -> Class {
        Policy::new(rules).unwrap().class_of(&path(at))
    }

    #[test]
    fn the_stricter_list_wins() {
        let mut rules = PolicyRules {
            scratch: list(&["a/**"]),
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, "a/b/c"), Class::Scratch);
        rules.mutable = list(&["a/**"]);
        assert_eq!(class(&rules, "a/b/c"), Class::Mutable);
        rules.immutable = list(&["a/b"]);
        assert_eq!(class(&rules, "a/b/c"), Class::Immutable);
        rules.hidden = list(&["a/b/c"]);
        assert_eq!(class(&rules, "a/b/c"), Class::Hidden);
        assert_eq!(class(&rules, "z"), Class::ReadOnly);
    }

    #[test]
    fn scratch_throughout_is_what_no_mutable_pattern_reaches_into() {
        let is_scratch = |scratch: &str, mutable: &str, at: &str| {
            let rules = PolicyRules {
                mutable: list(&[mutable]),
                scratch: list(&[scratch]),
                immutable: list(&["target/fixed"]),
                ..PolicyRules::default()
            };
            Policy::new(&rules)
                .unwrap()
                .is_scratch_throughout(&path(at))
        };
        for (scratch, at) in [
            ("target/", "target"),
            ("target/", "target/debug/deps"),
            ("target/**", "target"),
            ("**/__pycache__/", "a/b/__pycache__"),
            ("**/__pycache__/**", "__pycache__"),
        ] {
            assert!(is_scratch(scratch, "src/**", at), "{scratch}: {at}");
        }
        for (scratch, mutable, at) in [
            ("target", "src/**", "target"),
            ("target/*", "src/**", "target"),
            ("target/", "src/**", "src"),
            ("target/", "src/**", "target/fixed"),
            ("**/target/", "src/**", "a"),
            ("target/", "target/kept.txt", "target"),
            ("target/", "target/a/b/", "target/a"),
            ("target/", "**/*.rs", "target/debug"),
            ("target/", "**", "target"),
        ] {
            assert!(
                !is_scratch(scratch, mutable, at),
                "{scratch}, {mutable}: {at}"
            );
        }
        assert!(is_scratch("target/", "target/a/b/", "target/c"));
    }

    #[test]
    fn a_mutable_directory_without_slash_gives_nothing_beneath() {
        let rules = PolicyRules {
            mutable: list(&["src"]),
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, "src/a"), Class::ReadOnly);
    }

    #[test]
    fn what_steers_git_agents_and_ci_stays_immutable_under_any_wildcard() {
        let rules = PolicyRules {
            mutable: list(&["**", "*", ".g*", "src/"]),
            named_by_harness: vec![path("bench.py")],
            ..PolicyRules::default()
        };
        for at in [
            ".gitignore",
            ".gitattributes",
            ".gitmodules",
            ".gitlab-ci.yml",
            ".github/workflows/ci.yml",
            "src/.GIThub/x",
            ".git/config",
            ".autoclave/config.yaml",
            ".autoresearch/x",
            ".circleci/config.yml",
            ".travis.yml",
            "Jenkinsfile",
            "azure-pipelines.yml",
            ".ci/run",
            ".buildkite/pipeline.yml",
            ".claude/settings.json",
            "src/CLAUDE.md",
            ".mcp.json",
            ".envrc",
            ".vscode/tasks.json",
            "bench.py",
        ] {
            assert_eq!(class(&rules, at), Class::Immutable, "{at}");
        }
        assert_eq!(class(&rules, "src/main.rs"), Class::Mutable);
    }

    #[test]
    fn naming_a_protected_path_literally_frees_it_and_nothing_else() {
        let rules = PolicyRules {
            mutable: list(&[".github/", "bench.py", "**"]),
            named_by_harness: vec![path("bench.py"), path("run.sh")],
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, ".github/workflows/ci.yml"), Class::Mutable);
        assert_eq!(class(&rules, ".github/CLAUDE.md"), Class::Immutable);
        assert_eq!(class(&rules, "bench.py"), Class::Mutable);
        assert_eq!(class(&rules, "run.sh"), Class::Immutable);
    }

    #[test]
    fn the_repository_itself_cannot_be_named() {
        let rules = PolicyRules {
            mutable: list(&[".git/hooks/pre-commit"]),
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, ".git/hooks/pre-commit"), Class::Immutable);
    }

    #[test]
    fn an_immutable_list_wins_over_a_literal_name() {
        let rules = PolicyRules {
            mutable: list(&["src/a.rs"]),
            immutable: list(&["src/"]),
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, "src/a.rs"), Class::Immutable);
    }

    #[test]
    fn all_invalid_patterns_are_told_at_once() {
        let rules = PolicyRules {
            mutable: list(&["/a", "ok"]),
            hidden: list(&["../b"]),
            ..PolicyRules::default()
        };
        let patterns: Vec<_> = Policy::new(&rules)
            .unwrap_err()
            .into_iter()
            .map(|invalid| invalid.pattern)
            .collect();
        assert_eq!(patterns, ["/a", "../b"]);
    }
}
