//! What may happen to each path of a repository.

use crate::steering::Steering;
use crate::{Glob, InvalidGlob, RepoPath, Rule};

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
    /// Those that only hidden guards name, and what tells of these.
    pub hidden_harness: Vec<RepoPath>,
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
    hidden_files: Vec<RepoPath>,
    mandatory: Vec<Mandatory>,
}

/// A path that is immutable unless a mutable pattern without wildcards names it.
#[derive(Debug, Clone)]
enum Mandatory {
    /// What steers git, agents, editors and CI.
    Pattern(Glob),
    /// What steers tests and builds.
    Steering(Steering),
    /// What measures.
    Harness(RepoPath),
}

/// What decides about one path.
enum Decisive<'a> {
    Hidden(&'a Glob),
    HiddenGuard,
    Immutable(&'a Glob),
    /// It is git's own, or lies in it.
    Repository,
    Mandatory(&'a Mandatory),
    Mutable(&'a Glob),
    Scratch(&'a Glob),
    Nothing,
}

/// What runs with more rights than an experiment when a person, editor or CI meets it later;
/// in any case of letters, because that may be on a file system that does not tell them apart.
const MANDATORY_IMMUTABLE: &[&str] = &[
    "**/.git*",
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
            let glob = Glob::parse(pattern).expect("the constant patterns are valid");
            Mandatory::Pattern(glob.in_any_case())
        });
        let steering = Steering::all().iter().cloned().map(Mandatory::Steering);
        let harness = rules.named_by_harness.iter().cloned();
        let harness = harness.map(Mandatory::Harness);
        Ok(Self {
            mandatory: patterns.chain(steering).chain(harness).collect(),
            mutable,
            scratch,
            immutable,
            hidden,
            hidden_files: rules.hidden_harness.clone(),
        })
    }

    /// Returns what may happen to `path`, whether it exists or not.
    pub fn class_of(&self, path: &RepoPath) -> Class {
        self.judge(path).0
    }

    /// Returns the rule that decides [`Self::class_of`]; of several that would, the first.
    pub fn rule_of(&self, path: &RepoPath) -> Rule {
        match self.judge(path).1 {
            Decisive::Hidden(glob) => Rule::Hidden(glob.to_string()),
            Decisive::HiddenGuard => Rule::HiddenGuard,
            Decisive::Immutable(glob) => Rule::Immutable(glob.to_string()),
            Decisive::Repository => Rule::Repository,
            Decisive::Mandatory(Mandatory::Pattern(glob)) => Rule::Protected(glob.to_string()),
            Decisive::Mandatory(Mandatory::Steering(steering)) => Rule::Steers(steering.ecosystem),
            Decisive::Mandatory(Mandatory::Harness(_)) => Rule::Harness,
            Decisive::Mutable(glob) => Rule::Mutable(glob.to_string()),
            Decisive::Scratch(glob) => Rule::Scratch(glob.to_string()),
            Decisive::Nothing => Rule::Uncovered,
        }
    }

    /// Returns the rule by which something directly in `directory` may be written, if there is one.
    pub(crate) fn rule_for_children(&self, directory: &RepoPath) -> Option<Rule> {
        let reaches = |glob: &&Glob| glob.may_match_child_of(Some(directory));
        let mutable = self.mutable.iter().find(reaches);
        let mutable = mutable.map(|glob| Rule::Mutable(glob.to_string()));
        mutable.or_else(|| {
            let scratch = self.scratch.iter().find(reaches);
            scratch.map(|glob| Rule::Scratch(glob.to_string()))
        })
    }

    /// The order of what wins is written here and nowhere else.
    fn judge(&self, path: &RepoPath) -> (Class, Decisive<'_>) {
        if let Some(glob) = self.hidden.iter().find(|glob| glob.covers(path)) {
            (Class::Hidden, Decisive::Hidden(glob))
        } else if self.hidden_files.iter().any(|file| path.is_within(file)) {
            (Class::Hidden, Decisive::HiddenGuard)
        } else if let Some(glob) = self.immutable.iter().find(|glob| glob.covers(path)) {
            (Class::Immutable, Decisive::Immutable(glob))
        } else if let Some(decisive) = self.mandatory(path) {
            (Class::Immutable, decisive)
        } else if let Some(glob) = self.mutable.iter().find(|glob| glob.matches(path)) {
            (Class::Mutable, Decisive::Mutable(glob))
        } else if let Some(glob) = self.scratch.iter().find(|glob| glob.matches(path)) {
            (Class::Scratch, Decisive::Scratch(glob))
        } else {
            (Class::ReadOnly, Decisive::Nothing)
        }
    }

    /// Says whether a change of `path` may become part of a candidate.
    pub fn is_mutable(&self, path: &RepoPath) -> bool {
        self.class_of(path) == Class::Mutable
    }

    /// Returns the ecosystem whose tests or builds a file of this path would steer, whether it
    /// exists and whether it may change or not.
    pub fn steers(&self, path: &RepoPath) -> Option<&'static str> {
        self.mandatory.iter().find_map(|rule| match rule {
            Mandatory::Steering(steering) if steering.covers(path) => Some(steering.ecosystem),
            Mandatory::Steering(_) | Mandatory::Pattern(_) | Mandatory::Harness(_) => None,
        })
    }

    /// Says whether a mutable pattern matches `path`, which is protected all the same, because it
    /// [steers](Self::steers) tests or builds and no pattern without wildcards names it.
    pub fn holds_back(&self, path: &RepoPath) -> bool {
        self.class_of(path) == Class::Immutable
            && self.mutable.iter().any(|glob| glob.matches(path))
            && !self.immutable.iter().any(|glob| glob.covers(path))
            && self.steers(path).is_some()
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
            || directory.is_some_and(|directory| self.mandatory(directory).is_some())
    }

    /// Says whether a mutable or scratch pattern could match a direct child of `directory`.
    pub(crate) fn may_write_child_of(&self, directory: &RepoPath) -> bool {
        let mut writable = self.mutable.iter().chain(&self.scratch);
        writable.any(|glob| glob.may_match_child_of(Some(directory)))
    }

    /// Returns why `path` is protected although no list of the marker says so, if it is.
    fn mandatory(&self, path: &RepoPath) -> Option<Decisive<'_>> {
        // No commit can hold it, and inside a sandbox it is thrown away: nothing to name.
        if path
            .components()
            .any(|name| name.eq_ignore_ascii_case(b".git"))
        {
            return Some(Decisive::Repository);
        }
        let mut covering = self.mandatory.iter().filter(|rule| rule.covers(path));
        covering
            .find(|rule| !names_literally(&self.mutable, path, rule) && !self.is_output(path, rule))
            .map(Decisive::Mandatory)
    }

    /// Says whether a scratch pattern without wildcards names `path` as something that the build
    /// writes (a `Makefile` of `./configure`), so that it is protected from being kept only.
    fn is_output(&self, path: &RepoPath, rule: &Mandatory) -> bool {
        matches!(rule, Mandatory::Steering(_))
            && names_literally(&self.scratch, path, rule)
            && !self.mutable.iter().any(|glob| glob.matches(path))
    }
}

/// Says whether one of `globs`, without wildcards, gives `path` free of `rule`: `.github/` does for
/// all beneath, while `src/` says nothing about `src/CLAUDE.md`.
fn names_literally(globs: &[Glob], path: &RepoPath, rule: &Mandatory) -> bool {
    globs.iter().any(|glob| {
        glob.matches(path) && glob.literal().is_some_and(|literal| rule.covers(&literal))
    })
}

impl Mandatory {
    fn covers(&self, path: &RepoPath) -> bool {
        match self {
            Self::Pattern(glob) => glob.covers(path),
            Self::Steering(steering) => steering.covers(path),
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
    fn what_steers_tests_and_builds_opens_by_its_very_path_alone() {
        let mut rules = PolicyRules {
            mutable: list(&["**", "*.toml", "a/", "{conftest.py,x}"]),
            ..PolicyRules::default()
        };
        let files = ["conftest.py", "a/conftest.py", "Cargo.toml", "a/build.rs"];
        for at in files {
            assert_eq!(class(&rules, at), Class::Immutable, "{at}");
            assert!(Policy::new(&rules).unwrap().holds_back(&path(at)), "{at}");
        }
        rules.mutable.push("a/conftest.py".to_owned());
        let opened = files.map(|at| class(&rules, at) == Class::Mutable);
        assert_eq!(opened, [false, true, false, false]);
        let policy = Policy::new(&rules).unwrap();
        assert_eq!(policy.steers(&path("a/conftest.py")), Some("Python"));
        assert!(!policy.holds_back(&path("a/conftest.py")));
        assert!(!policy.holds_back(&path("a/main.py")));
    }

    #[test]
    fn what_a_build_writes_may_be_named_as_scratch_and_is_never_kept() {
        let mut rules = PolicyRules {
            scratch: list(&["Makefile", "*.cmake"]),
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, "Makefile"), Class::Scratch);
        assert_eq!(class(&rules, "a.cmake"), Class::Immutable);
        rules.mutable = list(&["**"]);
        assert_eq!(class(&rules, "Makefile"), Class::Immutable);
    }

    #[test]
    fn what_the_marker_itself_protects_is_not_called_held_back() {
        let rules = PolicyRules {
            mutable: list(&["src/**"]),
            immutable: list(&["src/vendor/"]),
            ..PolicyRules::default()
        };
        let policy = Policy::new(&rules).unwrap();
        assert!(policy.holds_back(&path("src/Makefile")));
        assert!(!policy.holds_back(&path("src/vendor/Makefile")));
        assert!(!policy.holds_back(&path("Makefile")));
    }

    #[test]
    fn what_hidden_guards_name_is_hidden_whatever_else_names_it() {
        let rules = PolicyRules {
            mutable: list(&["tests/holdout.py", "**"]),
            hidden_harness: vec![path("tests/holdout.py")],
            ..PolicyRules::default()
        };
        assert_eq!(class(&rules, "tests/holdout.py"), Class::Hidden);
        assert_eq!(class(&rules, "tests/holdout.pyc"), Class::Mutable);
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
