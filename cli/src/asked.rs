//! What the word on the command line of `autoclave why` means: a path or a host.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use autoclave_policies::RepoPath;
use autoclave_runner::campaign::Subject;

/// As what a word is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Whatever it looks like.
    Either,
    Path,
    Host,
}

/// Where a word is said, and what is there.
pub struct Surroundings<'a> {
    /// The top of the checkout.
    pub root: &'a Path,
    /// The working directory.
    pub here: &'a Path,
    pub home: Option<&'a Path>,
    /// Says whether there is anything at a path of the repository, committed or in the checkout.
    pub is_there: &'a dyn Fn(&RepoPath) -> bool,
}

/// Returns what `word` asks about.
///
/// A host is what has a scheme (`https://...`), is an address, is `localhost`, ends in a port, or
/// has a dot, no slash, and nothing of that name in the repository. All else is a path: absolute,
/// beneath the home, or of the repository, from its root or else from the working directory.
///
/// # Errors
///
/// A fragment that says why it is neither.
pub fn subject(word: &str, taken: As, around: &Surroundings<'_>) -> Result<Subject, String> {
    if word.is_empty() {
        return Err("is empty".to_owned());
    }
    let is_host = match taken {
        As::Host => true,
        As::Path => false,
        As::Either => is_host(word, around),
    };
    if is_host {
        Ok(Subject::Host(host_of(word)?))
    } else {
        path(word, around)
    }
}

fn is_host(word: &str, around: &Surroundings<'_>) -> bool {
    if word.contains("://") || address(word).is_some() {
        return true;
    }
    if word.contains('/') || word.starts_with(['.', '~']) {
        return false;
    }
    let is_there = [around.root, around.here]
        .iter()
        .any(|folder| is_there(&folder.join(word), around));
    let (name, port) = word.rsplit_once(':').unwrap_or((word, ""));
    let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_named = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    !is_there && is_named && (has_port || name.contains('.') || name == "localhost")
}

/// Returns the host of a name, an address or a URL, in small letters.
fn host_of(word: &str) -> Result<String, String> {
    let after_scheme = word.split_once("://").map_or(word, |(_, rest)| rest);
    let authority = after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match address(authority) {
        Some(address) => address.to_string(),
        None => authority.split(':').next().unwrap_or_default().to_owned(),
    };
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    Ok(host.trim_end_matches('.').to_ascii_lowercase())
}

/// Returns the address that `word` is, with or without a port.
fn address(word: &str) -> Option<IpAddr> {
    let plain = word.trim_start_matches('[');
    let in_brackets = || {
        plain
            .split_once(']')
            .and_then(|(inside, _)| inside.parse().ok())
    };
    let with_port = || {
        word.rsplit_once(':')
            .and_then(|(host, _)| host.parse().ok())
    };
    let whole = word.parse().ok();
    whole.or_else(in_brackets).or_else(|| {
        let is_six = word.matches(':').count() > 1;
        (!is_six).then(with_port).flatten()
    })
}

fn path(word: &str, around: &Surroundings<'_>) -> Result<Subject, String> {
    if word == "~" || word.starts_with("~/") {
        let home = around.home.ok_or("needs HOME, which is not set")?;
        return Ok(at(&home.join(word.trim_start_matches(['~', '/'])), around));
    }
    if word.starts_with('/') {
        return Ok(at(Path::new(word), around));
    }
    let from_root = plain(&around.root.join(word));
    let from_here = plain(&around.here.join(word));
    let is_from_here = word.starts_with('.')
        && word
            .split('/')
            .next()
            .is_some_and(|first| first == "." || first == "..");
    Ok(
        if is_from_here || (!is_there(&from_root, around) && is_there(&from_here, around)) {
            at(&from_here, around)
        } else {
            at(&from_root, around)
        },
    )
}

/// Says whether there is anything of the repository at an absolute path.
fn is_there(path: &Path, around: &Surroundings<'_>) -> bool {
    let relative = path.strip_prefix(around.root).ok();
    let path = relative.and_then(RepoPath::from_relative);
    path.is_some_and(|path| (around.is_there)(&path))
}

/// Returns what an absolute path is: of the checkout, of the sandbox's workspace, or of the machine.
fn at(path: &Path, around: &Surroundings<'_>) -> Subject {
    let path = plain(path);
    for root in [around.root, Path::new("/workspace")] {
        if let Ok(relative) = path.strip_prefix(root) {
            if relative.as_os_str().is_empty() {
                return Subject::Workspace(None);
            }
            if let Some(relative) = RepoPath::from_relative(relative) {
                return Subject::Workspace(Some(relative));
            }
        }
    }
    Subject::Machine(path)
}

/// Returns an absolute path without `.`, `..` and doubled slashes; links are not followed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(word: &str, taken: As) -> Result<Subject, String> {
        let committed = ["src/a.rs", "measure.sh", "sub/measure.py", "sub", "src"];
        let is_there = |path: &RepoPath| committed.contains(&path.to_string().as_str());
        subject(
            word,
            taken,
            &Surroundings {
                root: Path::new("/home/me/repo"),
                here: Path::new("/home/me/repo/sub"),
                home: Some(Path::new("/home/me")),
                is_there: &is_there,
            },
        )
    }

    fn repo(path: &str) -> Subject {
        Subject::Workspace(Some(RepoPath::try_from(path).unwrap()))
    }

    #[test]
    fn what_looks_like_a_host_and_is_no_file_is_one() {
        for (word, host) in [
            ("example.com", "example.com"),
            ("API.Anthropic.com.", "api.anthropic.com"),
            ("169.254.169.254", "169.254.169.254"),
            ("169.254.169.254:80", "169.254.169.254"),
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("db:5432", "db"),
            ("[::1]:80", "::1"),
            ("::1", "::1"),
            ("https://me:secret@example.com:8443/a/b?c", "example.com"),
        ] {
            let expected = Ok(Subject::Host(host.to_owned()));
            assert_eq!(asked(word, As::Either), expected, "{word}");
        }
    }

    #[test]
    fn all_else_is_a_path_of_the_repository_or_the_machine() {
        let machine = |path: &str| Subject::Machine(PathBuf::from(path));
        for (word, expected) in [
            ("measure.sh", repo("measure.sh")),
            ("src/new.com", repo("src/new.com")),
            (".envrc", repo(".envrc")),
            ("Makefile", repo("Makefile")),
            ("a:b", repo("a:b")),
            // From the working directory where only that is there.
            ("measure.py", repo("sub/measure.py")),
            ("./new", repo("sub/new")),
            ("../src/a.rs", repo("src/a.rs")),
            ("src/", repo("src")),
            ("/home/me/repo/src/a.rs", repo("src/a.rs")),
            ("/workspace/src/a.rs", repo("src/a.rs")),
            ("/home/me/repo", Subject::Workspace(None)),
            ("..", Subject::Workspace(None)),
            ("~/.ssh/id", machine("/home/me/.ssh/id")),
            ("~/repo/x", repo("x")),
            ("/etc/../root", machine("/root")),
            ("../../x", machine("/home/me/x")),
        ] {
            assert_eq!(asked(word, As::Either), Ok(expected), "{word}");
        }
    }

    #[test]
    fn either_can_be_insisted_on() {
        assert_eq!(asked("example.com", As::Path), Ok(repo("example.com")));
        let host = |name: &str| Ok(Subject::Host(name.to_owned()));
        assert_eq!(asked("measure.sh", As::Host), host("measure.sh"));
        assert_eq!(asked("", As::Either), Err("is empty".to_owned()));
        assert_eq!(
            asked("https://", As::Either),
            Err("names no host".to_owned())
        );
    }
}
