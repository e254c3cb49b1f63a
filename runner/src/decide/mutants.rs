//! Small faults planted in code, which a guard that is alive must notice.
//!
//! Each swaps one comparison, truth value, connective or whole number, so that it still compiles
//! in nearly every language: a guard that only notices code that does not build is not alive.

use autoclave_policies::RepoPath;

use super::dice::Dice;

/// Files larger than this are generated.
const LARGEST_FILE: usize = 256 << 10;

/// What is swapped for what; spaces belong to it, so that `<` of generics and `->` stay.
const SWAPS: &[(&str, &str)] = &[
    (" == ", " != "),
    (" != ", " == "),
    (" === ", " !== "),
    (" !== ", " === "),
    (" <= ", " > "),
    (" >= ", " < "),
    (" < ", " >= "),
    (" > ", " <= "),
    (" && ", " || "),
    (" || ", " && "),
    (" and ", " or "),
    (" or ", " and "),
    ("true", "false"),
    ("false", "true"),
    ("True", "False"),
    ("False", "True"),
];

/// Languages by what their files are called, with how their comments begin.
const LANGUAGES: &[(&[&str], &str)] = &[
    (&["py", "pyx", "rb", "sh", "pl", "jl", "ex", "exs"], "#"),
    (
        &[
            "rs", "c", "h", "cc", "cpp", "cxx", "hpp", "js", "jsx", "mjs", "cjs", "ts", "tsx",
            "go", "java", "kt", "scala", "swift", "cs", "zig", "php", "dart",
        ],
        "//",
    ),
    (&["lua", "hs", "sql"], "--"),
];

/// One planted fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    pub path: RepoPath,
    /// From 1.
    pub line: usize,
    /// What was swapped; a fragment such as `` `==` for `!=` ``.
    pub what: String,
    /// The whole file with the fault in it.
    pub bytes: Vec<u8>,
}

/// Where a fault can be planted.
struct Site {
    line: usize,
    start: usize,
    end: usize,
    put: String,
}

/// Returns at most `count` mutants of `files`, drawn by `seed`, no two at one place, one file
/// after the other as long as there are several.
///
/// Only files of known languages are looked at; comments, strings and what looks like a test are
/// left alone.
pub fn mutants(files: &[(RepoPath, Vec<u8>)], count: usize, seed: u64) -> Vec<Mutant> {
    let mut dice = Dice::new(seed);
    let mut places: Vec<(&RepoPath, &[u8], Vec<Site>)> = files
        .iter()
        .filter_map(|(path, bytes)| {
            let mut sites = sites(path, bytes)?;
            dice.shuffle(&mut sites);
            Some((path, bytes.as_slice(), sites))
        })
        .collect();
    dice.shuffle(&mut places);
    let mut mutants = Vec::new();
    while mutants.len() < count && !places.is_empty() {
        places.retain_mut(|(path, bytes, sites)| {
            if let Some(site) = sites.pop()
                && mutants.len() < count
            {
                mutants.push(planted(path, bytes, &site));
            }
            !sites.is_empty()
        });
    }
    mutants
}

/// Says whether faults can be planted in a file of this name and size at all.
pub fn is_code(path: &RepoPath, bytes: &[u8]) -> bool {
    comment_of(path).is_some() && bytes.len() <= LARGEST_FILE
}

/// Returns how comments begin in a file's language, where that is known.
fn comment_of(path: &RepoPath) -> Option<&'static str> {
    let name = path.to_string();
    let (_, extension) = name.rsplit_once('.')?;
    let mut languages = LANGUAGES.iter();
    let language = languages.find(|(extensions, _)| extensions.contains(&extension))?;
    Some(language.1)
}

fn planted(path: &RepoPath, bytes: &[u8], site: &Site) -> Mutant {
    let before = String::from_utf8_lossy(&bytes[site.start..site.end]);
    Mutant {
        path: path.clone(),
        line: site.line,
        what: format!("`{}` for `{}`", site.put.trim(), before.trim()),
        bytes: [
            &bytes[..site.start],
            site.put.as_bytes(),
            &bytes[site.end..],
        ]
        .concat(),
    }
}

/// Returns where faults can be planted in a file; `None` for one that is no code.
fn sites(path: &RepoPath, bytes: &[u8]) -> Option<Vec<Site>> {
    let comment = comment_of(path).filter(|_| is_code(path, bytes))?;
    let text = std::str::from_utf8(bytes).ok()?;
    let mut sites = Vec::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        // What follows is the file's own tests: faults there say nothing of the code.
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        for (from, end, put) in swaps(&code_of(line, comment)) {
            sites.push(Site {
                line: number + 1,
                start: start + from,
                end: start + end,
                put,
            });
        }
        start += line.len();
    }
    Some(sites)
}

/// Returns `line` with its strings and its comment blanked out, byte for byte.
fn code_of(line: &str, comment: &str) -> Vec<u8> {
    let mut code = line.as_bytes().to_vec();
    let mut quote = None;
    let mut index = 0;
    while index < code.len() {
        let byte = code[index];
        match quote {
            None if line.as_bytes()[index..].starts_with(comment.as_bytes()) => {
                code[index..].fill(0);
                break;
            }
            None if matches!(byte, b'"' | b'\'' | b'`') => quote = Some(byte),
            None => {}
            Some(open) => {
                if byte == b'\\' && index + 1 < code.len() {
                    code[index + 1] = 0;
                    index += 1;
                } else if byte == open {
                    quote = None;
                }
                code[index] = 0;
            }
        }
        index += 1;
    }
    code
}

/// Returns what can be swapped in a line of code: from, to, and what is put there.
fn swaps(code: &[u8]) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (from, to) in SWAPS {
        let is_word = from.as_bytes()[0].is_ascii_alphabetic();
        for start in positions(code, from.as_bytes()) {
            let end = start + from.len();
            if !is_word || is_alone(code, start, end) {
                found.push((start, end, (*to).to_owned()));
            }
        }
    }
    found.extend(numbers(code));
    found
}

/// Returns the whole numbers of up to four digits, each with the number that follows it.
fn numbers(code: &[u8]) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < code.len() {
        let digits = code[start..].iter().take_while(|b| b.is_ascii_digit());
        let end = start + digits.count();
        if end > start && end - start <= 4 && is_alone(code, start, end) {
            let text = String::from_utf8_lossy(&code[start..end]);
            if let Ok(number) = text.parse::<u32>() {
                found.push((start, end, (number + 1).to_string()));
            }
        }
        start = end.max(start + 1);
    }
    found
}

/// Says whether the bytes around a word or number are not part of it.
fn is_alone(code: &[u8], start: usize, end: usize) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | 0))
    };
    !is_part(start.checked_sub(1).and_then(|index| code.get(index))) && !is_part(code.get(end))
}

fn positions(code: &[u8], word: &[u8]) -> Vec<usize> {
    code.windows(word.len())
        .enumerate()
        .filter(|(_, window)| *window == word)
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str, code: &str) -> Vec<(usize, String)> {
        let path = RepoPath::try_from(name).unwrap();
        let mut mutants: Vec<(usize, String)> = mutants(&[(path, code.into())], 100, 3)
            .into_iter()
            .map(|mutant| (mutant.line, mutant.what))
            .collect();
        mutants.sort();
        mutants
    }

    #[test]
    fn comparisons_truths_connectives_and_numbers_are_swapped() {
        let code = "def f(a, b):\n    if a < b and b == 12:\n        return True\n";
        assert_eq!(
            all("f.py", code),
            [
                (2, "`!=` for `==`".to_owned()),
                (2, "`13` for `12`".to_owned()),
                (2, "`>=` for `<`".to_owned()),
                (2, "`or` for `and`".to_owned()),
                (3, "`False` for `True`".to_owned()),
            ]
        );
    }

    #[test]
    fn strings_comments_types_and_the_files_own_tests_are_left_alone() {
        let code = "fn f(x: Vec<u8>) -> u32 { // 1 == 2\n    g(\"a < b\", 1.5, v2)\n}\n\
                    #[cfg(test)]\nmod tests { const N: u32 = 7; }\n";
        assert_eq!(all("src/f.rs", code), []);
        assert_eq!(all("notes.md", "1 == 2\n"), []);
    }

    #[test]
    fn a_mutant_is_the_whole_file_with_one_fault() {
        let path = RepoPath::try_from("f.js").unwrap();
        let files = [(path, b"const a = 1;\nlet b = a === c;\n".to_vec())];
        let texts: Vec<String> = mutants(&files, 9, 1)
            .into_iter()
            .map(|mutant| String::from_utf8(mutant.bytes).unwrap())
            .collect();
        assert_eq!(texts.len(), 2);
        assert!(texts.contains(&"const a = 2;\nlet b = a === c;\n".to_owned()));
        assert!(texts.contains(&"const a = 1;\nlet b = a !== c;\n".to_owned()));
    }

    #[test]
    fn few_mutants_of_many_files_are_of_different_files_and_as_the_seed_says() {
        let files: Vec<_> = (0..4)
            .map(|n| {
                let path = RepoPath::try_from(format!("f{n}.py").as_str()).unwrap();
                (path, b"a = 1\nb = 2\nc = 3\n".to_vec())
            })
            .collect();
        let drawn = mutants(&files, 4, 9);
        let mut paths: Vec<String> = drawn.iter().map(|m| m.path.to_string()).collect();
        paths.sort();
        assert_eq!(paths, ["f0.py", "f1.py", "f2.py", "f3.py"]);
        assert_eq!(drawn, mutants(&files, 4, 9));
        assert_ne!(drawn, mutants(&files, 4, 10));
    }
}
