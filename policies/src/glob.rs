//! One pattern over repository paths.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

use crate::RepoPath;

/// A pattern over repository paths, compared component by component.
///
/// Within a component: `*`, `?`, `[..]`, `{a,b}`, and `\` before a character that is meant as it
/// is. `**` as a whole component is any number of components (at least one at the end of a
/// pattern). A trailing `/` means the directory and everything beneath. Bytes that are not UTF-8
/// are matched by wildcards. Every question is answered by one machine over the components.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    components: Vec<Component>,
    /// The pattern ends in `/`: what it matches takes everything beneath with it.
    beneath: bool,
}

#[derive(Debug, Clone)]
enum Component {
    /// `**`; never two in a row.
    AnyDepth,
    /// `*`.
    Anything,
    Literal(Vec<u8>),
    Wild(Box<GlobMatcher>),
}

/// Says why some text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {why}")]
pub struct InvalidGlob {
    pub pattern: String,
    pub why: String,
}

/// Which direct children of one directory a pattern may match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Children {
    /// Exactly these names; possibly none.
    Named(Vec<Vec<u8>>),
    /// Names that cannot be listed.
    Many,
}

impl Glob {
    /// Returns the pattern that `text` writes.
    ///
    /// # Errors
    ///
    /// [`InvalidGlob`] for patterns that are empty, absolute, begin with `~` or `!`, hold NUL, `.`,
    /// `..` or empty components, have `**` beside other characters or braces that are unbalanced
    /// or cross a `/`.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        let invalid = |why: String| InvalidGlob {
            pattern: text.to_owned(),
            why,
        };
        check_whole(text).map_err(|why| invalid(why.to_owned()))?;
        let (body, mut beneath) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let mut components: Vec<Component> = Vec::new();
        for part in body.split('/') {
            let component = parse_component(part).map_err(invalid)?;
            let repeated = matches!(component, Component::AnyDepth)
                && matches!(components.last(), Some(Component::AnyDepth));
            if !repeated {
                components.push(component);
            }
        }
        if matches!(components.last(), Some(Component::AnyDepth)) {
            beneath = false;
        }
        Ok(Self {
            text: text.to_owned(),
            components,
            beneath,
        })
    }

    /// Returns the pattern that matches whatever the case of ASCII letters is: for names that a file
    /// system elsewhere may not tell apart.
    pub(crate) fn in_any_case(mut self) -> Self {
        for component in &mut self.components {
            let pattern = match component {
                Component::AnyDepth | Component::Anything => continue,
                Component::Literal(name) => globset::escape(&String::from_utf8_lossy(name)),
                Component::Wild(matcher) => matcher.glob().glob().to_owned(),
            };
            let insensitive = GlobBuilder::new(&pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(true)
                .build()
                .expect("it was a pattern before");
            *component = Component::Wild(Box::new(insensitive.compile_matcher()));
        }
        self
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Says whether the pattern matches exactly this path.
    pub fn matches(&self, path: &RepoPath) -> bool {
        self.states_after(Some(path), self.beneath).accepted()
    }

    /// Says whether the pattern matches this path or any directory above it.
    pub fn covers(&self, path: &RepoPath) -> bool {
        self.states_after(Some(path), true).accepted()
    }

    /// Says whether a direct child of `directory` (`None`: the root) could match, present or not.
    pub fn may_match_child_of(&self, directory: Option<&RepoPath>) -> bool {
        self.children_of(directory) != Children::Named(Vec::new())
    }

    /// Returns which direct children of `directory` could match, present or not.
    pub(crate) fn children_of(&self, directory: Option<&RepoPath>) -> Children {
        let states = self.states_after(directory, self.beneath);
        if states.accepted() && self.beneath {
            return Children::Many;
        }
        let mut names = Vec::new();
        if let Some(last) = self.components.last()
            && states.0[self.components.len() - 1]
        {
            match last {
                Component::Literal(name) => names.push(name.clone()),
                Component::AnyDepth | Component::Anything | Component::Wild(_) => {
                    return Children::Many;
                }
            }
        }
        Children::Named(names)
    }

    /// Says whether the pattern covers every child that `directory` could have.
    pub(crate) fn covers_children_of(&self, directory: Option<&RepoPath>) -> bool {
        let states = self.states_after(directory, true);
        let takes_any_name = matches!(
            self.components.last(),
            Some(Component::AnyDepth | Component::Anything)
        );
        states.accepted() || (takes_any_name && states.0[self.components.len() - 1])
    }

    /// Says whether the pattern could match something beneath `directory`, however deep.
    pub(crate) fn may_match_beneath(&self, directory: &RepoPath) -> bool {
        let states = self.states_after(Some(directory), self.beneath);
        let (last, before) = states.0.split_last().expect("there is one more than parts");
        before.contains(&true) || (*last && self.beneath)
    }

    /// Says whether the pattern matches all that could be beneath `directory`, however deep.
    pub(crate) fn matches_all_beneath(&self, directory: &RepoPath) -> bool {
        let states = self.states_after(Some(directory), self.beneath);
        let ends_at_any_depth = matches!(self.components.last(), Some(Component::AnyDepth));
        (states.accepted() && self.beneath)
            || (ends_at_any_depth && states.0[self.components.len() - 1])
    }

    /// Returns the one path that a pattern without wildcards names.
    pub fn literal(&self) -> Option<RepoPath> {
        self.literal_prefix(self.components.len())
    }

    /// Returns the directory that a pattern like `target/` names: no wildcards, a trailing slash.
    pub fn literal_directory(&self) -> Option<RepoPath> {
        self.literal().filter(|_| self.beneath)
    }

    /// Returns the directory in which the pattern matches names, where no wildcard is in its path:
    /// `gen` for `gen/*.rs`, `gen/**` and `gen/`. `None` also for the root.
    pub(crate) fn literal_parent(&self) -> Option<RepoPath> {
        self.literal_directory()
            .or_else(|| self.literal_prefix(self.components.len() - 1))
    }

    fn literal_prefix(&self, length: usize) -> Option<RepoPath> {
        let names: Option<Vec<&[u8]>> = self.components[..length]
            .iter()
            .map(|component| match component {
                Component::Literal(name) => Some(name.as_slice()),
                Component::AnyDepth | Component::Anything | Component::Wild(_) => None,
            })
            .collect();
        RepoPath::new(names?.join(&b'/')).ok()
    }

    /// Runs the machine over the components of `path`; an accepted path stays so beneath if `sticky`.
    fn states_after(&self, path: Option<&RepoPath>, sticky: bool) -> States {
        let mut states = States(vec![false; self.components.len() + 1]);
        self.enter(&mut states, 0);
        for name in path.into_iter().flat_map(RepoPath::components) {
            let mut next = States(vec![false; states.0.len()]);
            for (position, component) in self.components.iter().enumerate() {
                if !states.0[position] {
                    continue;
                }
                match component {
                    Component::AnyDepth => {
                        self.enter(&mut next, position);
                        self.enter(&mut next, position + 1);
                    }
                    Component::Anything => self.enter(&mut next, position + 1),
                    Component::Literal(literal) if literal == name => {
                        self.enter(&mut next, position + 1);
                    }
                    Component::Wild(matcher) if matcher.is_match(OsStr::from_bytes(name)) => {
                        self.enter(&mut next, position + 1);
                    }
                    Component::Literal(_) | Component::Wild(_) => {}
                }
            }
            if sticky && states.accepted() {
                self.enter(&mut next, self.components.len());
            }
            states = next;
        }
        states
    }

    /// Marks a position, and the one after a `**` that may stand for nothing.
    fn enter(&self, states: &mut States, position: usize) {
        states.0[position] = true;
        let last = self.components.len() - 1;
        if position < last && matches!(self.components[position], Component::AnyDepth) {
            states.0[position + 1] = true;
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How much of a pattern may have been used up: one flag for each position, the last accepts.
struct States(Vec<bool>);

impl States {
    fn accepted(&self) -> bool {
        self.0.last() == Some(&true)
    }
}

/// Finds what is wrong with a pattern before it is split at `/`.
fn check_whole(text: &str) -> Result<(), &'static str> {
    match text.bytes().next() {
        None => return Err("is empty"),
        Some(b'/') => return Err("is absolute; patterns are relative to the repository root"),
        Some(b'~') => return Err("begins with `~`; patterns are relative to the repository root"),
        Some(b'!') => {
            return Err(
                "begins with `!`, which negates nothing here; use `immutable` to take paths out",
            );
        }
        Some(_) => {}
    }
    if text.contains('\0') {
        return Err("holds a NUL byte");
    }
    let (mut braces, mut in_class, mut rest) = (0_u32, false, text.chars());
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.as_str().starts_with('/') => return Err("has a `\\` before a `/`"),
            '\\' if rest.next().is_none() => return Err("ends in a `\\`"),
            '/' if braces > 0 => return Err("has a `{..}` that holds a `/`"),
            '/' if in_class => return Err("has a `[..]` that is not closed or holds a `/`"),
            ']' => in_class = false,
            _ if in_class => {}
            '[' => {
                in_class = true;
                // A `]` directly after the opening stands for itself.
                let inner = rest.as_str().trim_start_matches(['!', '^']);
                rest = inner.strip_prefix(']').unwrap_or(inner).chars();
            }
            '{' => braces += 1,
            '}' => braces = braces.checked_sub(1).ok_or("has a `}` without a `{`")?,
            _ => {}
        }
    }
    if in_class {
        return Err("has a `[..]` that is not closed");
    }
    if braces > 0 {
        return Err("has a `{` without a `}`");
    }
    Ok(())
}

fn parse_component(part: &str) -> Result<Component, String> {
    match part {
        "" => return Err("has an empty component".to_owned()),
        "." | ".." => return Err(format!("has a `{part}` component")),
        "**" => return Ok(Component::AnyDepth),
        "*" => return Ok(Component::Anything),
        _ if part.contains("**") => {
            return Err(
                "has `**` beside other characters; it stands alone between slashes".to_owned(),
            );
        }
        _ => {}
    }
    if let Some(literal) = literal_of(part) {
        return Ok(Component::Literal(literal));
    }
    GlobBuilder::new(part)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| Component::Wild(Box::new(glob.compile_matcher())))
        .map_err(|cause| format!("is not understood: {}", cause.kind()))
}

/// Returns the name that a component without wildcards stands for.
fn literal_of(part: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' | b'{' => return None,
            b'\\' => name.push(bytes.next()?),
            _ => name.push(byte),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    #[test]
    fn case_of_letters_is_passed_over_only_where_asked_for() {
        let path = RepoPath::try_from("a/.Claude/x[1].MD").unwrap();
        for pattern in ["**/.claude", "**/.clau*", "A/.CLAUDE/X\\[1\\].md"] {
            assert!(!glob(pattern).covers(&path), "{pattern}");
            assert!(glob(pattern).in_any_case().covers(&path), "{pattern}");
        }
        assert!(!glob("**/.claud").in_any_case().covers(&path));
    }

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    #[test]
    fn patterns_match_as_their_table_says() {
        for (pattern, matching, not) in [
            ("solver.py", "solver.py", "a/solver.py"),
            ("src/*.rs", "src/a.rs", "src/a/b.rs"),
            ("src/**", "src/a/b", "src"),
            ("src/**/*.rs", "src/a.rs", "src/a.rsx"),
            ("src/**/*.rs", "src/a/b/c.rs", "a/src/b.rs"),
            ("**/test_?.py", "test_a.py", "test_ab.py"),
            ("**/test_?.py", "x/y/test_a.py", "x/test_a.py/z"),
            ("a/**/b", "a/b", "a/b/c"),
            ("target/", "target/debug/x", "targets"),
            ("target/", "target", "a/target"),
            ("**/build/", "a/build/x/y", "a/builds/x"),
            ("{src,lib}/[a-c]*", "lib/bx", "lib/dx"),
            ("[]x]y", "]y", "yy"),
            ("a\\*b", "a*b", "axb"),
            ("*", ".hidden", "a/b"),
        ] {
            assert!(
                glob(pattern).matches(&path(matching)),
                "{pattern} {matching}"
            );
            assert!(!glob(pattern).matches(&path(not)), "{pattern} {not}");
        }
    }

    #[test]
    fn bad_patterns_say_what_is_wrong() {
        for (pattern, why) in [
            ("", "is empty"),
            (
                "/etc",
                "is absolute; patterns are relative to the repository root",
            ),
            (
                "~/x",
                "begins with `~`; patterns are relative to the repository root",
            ),
            ("a//b", "has an empty component"),
            ("a/", ""),
            ("a//", "has an empty component"),
            ("./a", "has a `.` component"),
            ("a/../b", "has a `..` component"),
            ("{a,b", "has a `{` without a `}`"),
            ("a}", "has a `}` without a `{`"),
            ("[a", "has a `[..]` that is not closed"),
            ("{a/b,c}", "has a `{..}` that holds a `/`"),
            (
                "a**",
                "has `**` beside other characters; it stands alone between slashes",
            ),
            ("a\\", "ends in a `\\`"),
        ] {
            let found = Glob::parse(pattern).map_or_else(|e| e.why, |_| String::new());
            assert_eq!(found, why, "{pattern:?}");
        }
    }

    #[test]
    fn covering_reaches_below_what_matches() {
        assert!(glob("vendor").covers(&path("vendor/a/b")));
        assert!(glob("**/.git*").covers(&path("a/.github/workflows/ci.yml")));
        assert!(!glob("vendor/a").covers(&path("vendor")));
    }

    #[test]
    fn children_are_foreseen_without_seeing_them() {
        let src = path("src");
        assert!(glob("src/*.rs").may_match_child_of(Some(&src)));
        assert!(!glob("src/*.rs").may_match_child_of(None));
        assert!(!glob("src/*/x.rs").may_match_child_of(Some(&src)));
        assert!(glob("**/*.rs").may_match_child_of(Some(&path("any/where"))));
        assert!(glob("src/").may_match_child_of(Some(&path("src/deep"))));
        assert!(glob("**").may_match_child_of(None));
        assert_eq!(
            glob("src/a.rs").children_of(Some(&src)),
            Children::Named(vec![b"a.rs".to_vec()])
        );
    }

    #[test]
    fn covering_all_children_needs_a_pattern_for_any_name() {
        let src = path("src");
        for yes in ["src", "src/", "src/*", "src/**", "**", "**/*", "*"] {
            assert!(glob(yes).covers_children_of(Some(&src)), "{yes}");
        }
        for no in ["src/*.rs", "src/a", "lib/**", "src/*/**"] {
            assert!(!glob(no).covers_children_of(Some(&src)), "{no}");
        }
        assert!(glob("*").covers_children_of(None));
    }

    #[test]
    fn literals_are_only_patterns_without_wildcards() {
        assert_eq!(glob("target/").literal_directory(), Some(path("target")));
        assert_eq!(glob("target").literal_directory(), None);
        assert_eq!(glob("targe?/").literal_directory(), None);
        assert_eq!(glob("a\\*").literal(), Some(path("a*")));
        assert_eq!(glob("gen/*.rs").literal_parent(), Some(path("gen")));
        assert_eq!(glob("*.rs").literal_parent(), None);
    }

    #[test]
    fn names_that_are_not_utf8_are_matched() {
        let odd = RepoPath::new(b"src/\xff\xfe.rs".as_slice()).unwrap();
        assert!(glob("src/*.rs").matches(&odd));
        assert!(glob("src/**").matches(&odd));
        assert!(!glob("src/?.rs").matches(&odd));
    }

    proptest! {
        #[test]
        fn what_matches_was_foreseen_in_its_directory(
            pattern in "(\\*\\*|\\*|a|b\\*|\\?)(/(\\*\\*|\\*|a|b\\*|\\?)){0,3}/?",
            file in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let (glob, file) = (glob(&pattern), path(&file));
            if glob.matches(&file) {
                prop_assert!(glob.covers(&file));
                prop_assert!(glob.may_match_child_of(file.parent().as_ref()));
            }
            if glob.covers_children_of(file.parent().as_ref()) {
                prop_assert!(glob.covers(&file));
            }
        }
    }
}
