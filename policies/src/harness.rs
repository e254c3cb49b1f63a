//! Which files of a tree a measuring command names.

use std::collections::BTreeSet;

use crate::{EntryKind, Glob, RepoPath, Tree};

/// Commands that are files in disguise: what they do is written in the first one that exists.
const RECIPES: &[(&str, &[&str])] = &[
    ("make", &["GNUmakefile", "makefile", "Makefile"]),
    ("gmake", &["GNUmakefile", "makefile", "Makefile"]),
    ("just", &["justfile", "Justfile", ".justfile"]),
    ("task", &["Taskfile.yml", "Taskfile.yaml"]),
    ("npm", &["package.json"]),
    ("npx", &["package.json"]),
    ("pnpm", &["package.json"]),
    ("yarn", &["package.json"]),
    ("bun", &["package.json"]),
];

/// How deep commands inside quotes are followed: `bash -c "sh -c './x'"`.
const DEEPEST_QUOTED_COMMAND: u32 = 4;

/// Returns the files and links of `tree` that a shell command names, sorted: scripts, modules of
/// `python -m`, inputs, values of options, the makefile of `make`. Follows `cd`.
///
/// Reads words, not the shell language: what variables and substitutions would name is not seen.
pub fn files_named_by(command: &str, tree: &Tree) -> Vec<RepoPath> {
    let mut named = BTreeSet::new();
    collect(
        command,
        Vec::new(),
        tree,
        DEEPEST_QUOTED_COMMAND,
        &mut named,
    );
    named.into_iter().collect()
}

/// One token of a shell command.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;`, `&&`, `|`, a newline: what follows is a new command.
    NewCommand,
    /// `(`: what follows has a working directory of its own, until [`Token::Leave`].
    Enter,
    Leave,
}

/// Adds what `command` names when it runs in the directory of the components `at`.
fn collect(
    command: &str,
    mut at: Vec<String>,
    tree: &Tree,
    depth: u32,
    named: &mut BTreeSet<RepoPath>,
) {
    let tokens = tokens(command);
    let mut outer = Vec::new();
    for command in tokens.split_inclusive(|token| !matches!(token, Token::Word(_))) {
        let words: Vec<&str> = command
            .iter()
            .filter_map(|token| match token {
                Token::Word(word) => Some(word.as_str()),
                Token::NewCommand | Token::Enter | Token::Leave => None,
            })
            .collect();
        if let ["cd", to, ..] = words.as_slice() {
            at = resolve(&at, to).unwrap_or(at);
        }
        for (position, word) in words.iter().enumerate() {
            if depth > 0 && word.contains([' ', ';', '\n']) {
                collect(word, at.clone(), tree, depth - 1, named);
            }
            add_word(word, &at, tree, named);
            if position > 0 && words[position - 1] == "-m" {
                let file = word.replace('.', "/");
                add_word(&format!("{file}.py"), &at, tree, named);
                add_word(&format!("{file}/__main__.py"), &at, tree, named);
            }
            let program = word.rsplit('/').next().unwrap_or(word);
            let recipes = RECIPES.iter().filter(|(name, _)| *name == program);
            for file in recipes.flat_map(|(_, files)| files.iter()) {
                let elsewhere = words.windows(2).find(|pair| pair[0] == "-C");
                let directory = elsewhere.and_then(|pair| resolve(&at, pair[1]));
                add_word(file, directory.as_ref().unwrap_or(&at), tree, named);
            }
        }
        match command.last() {
            Some(Token::Enter) => outer.push(at.clone()),
            Some(Token::Leave) => at = outer.pop().unwrap_or(at),
            Some(Token::Word(_) | Token::NewCommand) | None => {}
        }
    }
}

/// Adds the files that one word names, or the part of it behind `=` or before `::`.
fn add_word(word: &str, at: &[String], tree: &Tree, named: &mut BTreeSet<RepoPath>) {
    let value = word.split_once('=').map(|(_, value)| value);
    let file = word.split_once("::").map(|(file, _)| file);
    // `@file` is how curl and others spell a file's content.
    let content = word.split_once('@').map(|(_, content)| content);
    for candidate in [Some(word), value, file, content].into_iter().flatten() {
        let Some(components) = resolve(at, candidate) else {
            continue;
        };
        let text = components.join("/");
        if let Ok(path) = RepoPath::try_from(text.as_str())
            && is_file(tree, &path)
        {
            named.insert(path);
        } else if candidate.contains(['*', '?', '['])
            && let Ok(glob) = Glob::parse(&text)
        {
            let files = tree.entries().map(|(path, _)| path);
            let files = files.filter(|path| glob.matches(path) && is_file(tree, path));
            named.extend(files.cloned());
        }
    }
}

fn is_file(tree: &Tree, path: &RepoPath) -> bool {
    match tree.kind_of(path) {
        Some(EntryKind::File | EntryKind::Symlink) => true,
        Some(EntryKind::Submodule) | None => false,
    }
}

/// Returns the components of `word` seen from `at`, or `None` where it leaves the repository.
fn resolve(at: &[String], word: &str) -> Option<Vec<String>> {
    if word.starts_with(['/', '~']) {
        return None;
    }
    let mut components = at.to_vec();
    for part in word.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name.to_owned()),
        }
    }
    Some(components)
}

/// Splits a command as a shell would, without expanding anything.
fn tokens(command: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (_, '\\') => match rest.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (None, '#') if word.is_none() => while rest.next_if(|c| *c != '\n').is_some() {},
            (None, ' ' | '\t' | '<' | '>') => tokens.extend(word.take().map(Token::Word)),
            (None, ';' | '&' | '|' | '\n' | '`' | '(' | ')') => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(match c {
                    '(' => Token::Enter,
                    ')' => Token::Leave,
                    _ => Token::NewCommand,
                });
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &str) -> Vec<String> {
        let files = [
            "Makefile",
            "bench.py",
            "bench/run.py",
            "conf/x.toml",
            "data/in 1.txt",
            "package.json",
            "run.sh",
            "sub/Makefile",
            "sub/check.sh",
            "tests/test_a.py",
            "tests/test_b.py",
        ];
        let tree = Tree::new(files.map(|f| (RepoPath::try_from(f).unwrap(), EntryKind::File)));
        let found = files_named_by(command, &tree);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commands_name_files_as_their_table_says() {
        for (command, expected) in [
            ("python3 bench.py --runs 3", &["bench.py"][..]),
            ("./run.sh", &["run.sh"]),
            ("bash ./sub/../run.sh 2>&1 | tail -1", &["run.sh"]),
            ("cd sub && make", &["sub/Makefile"]),
            (
                "cd sub; ./check.sh; cd ..; make bench",
                &["Makefile", "sub/check.sh"],
            ),
            ("python3 -m pytest -q", &[]),
            ("python3 -m bench.run", &["bench/run.py"]),
            ("pytest tests/test_a.py::test_one", &["tests/test_a.py"]),
            (
                "pytest tests/test_*.py",
                &["tests/test_a.py", "tests/test_b.py"],
            ),
            ("pytest tests", &[]),
            ("tool --config=conf/x.toml", &["conf/x.toml"]),
            ("cat < 'data/in 1.txt'", &["data/in 1.txt"]),
            ("cat data/in\\ 1.txt", &["data/in 1.txt"]),
            ("bash -c \"cd sub && ./check.sh\"", &["sub/check.sh"]),
            ("time=$(./run.sh); echo $time", &["run.sh"]),
            ("(cd sub && true) && ./run.sh", &["run.sh"]),
            ("make -C sub bench", &["sub/Makefile"]),
            ("npm test", &["package.json"]),
            ("true # bench.py", &[]),
            ("cat /bench.py ~/bench.py ../bench.py", &[]),
            ("", &[]),
        ] {
            assert_eq!(named(command), expected, "{command}");
        }
    }

    #[test]
    fn unclosed_quotes_still_name_files() {
        assert_eq!(named("sh -c 'bench.py"), ["bench.py"]);
    }
}
