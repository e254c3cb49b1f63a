//! Which tool results say that the sandbox or a permission rule refused.

use std::sync::LazyLock;

use regex::Regex;

/// What the kernel's refusals look like, and how Claude Code words those of its permission rules.
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?mx) \b(?:EACCES|EPERM|EROFS)\b
        | (?i:permission\ denied | read-only\ file\ system | operation\ not\ permitted)
        | ^Permission\ to\ use\ .*\ has\ been\ denied
        | requested\ permissions?\ (?:to|for)",
    )
    .expect("the pattern is constant")
});

/// A line as programs report a failed system call: `touch: cannot touch 'x': Permission denied`.
/// Stricter than [`REFUSED`], since a command that succeeded may print anything.
static REPORTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m): (?:Permission denied|Read-only file system|Operation not permitted)\.?(?: \(os error \d+\))?\r?$|\[Errno (?:1|13|30)\]|\b(?:EACCES|EPERM|EROFS): ",
    )
    .expect("the pattern is constant")
});

/// Whether a tool call was an error for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    Failed,
    /// Not an error, but a shell command: one of its steps may have been refused.
    ShellSucceeded,
    Succeeded,
}

/// Returns the line of a tool's result that says it was refused.
pub fn refusal(called: Called, text: &str) -> Option<&str> {
    let found = match called {
        Called::Failed => REFUSED.find(text),
        Called::ShellSucceeded => REPORTED.find(text),
        Called::Succeeded => None,
    }?;
    let start = text[..found.start()].rfind('\n').map_or(0, |at| at + 1);
    let end = text[found.start()..]
        .find('\n')
        .map_or(text.len(), |at| found.start() + at);
    Some(text[start..end].trim())
}

/// A path between quotes, as programs and Node set them.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"'([^'\n]+)'|"([^"\n]+)"|\x{2018}([^\x{2019}\n]+)\x{2019}|`([^`'\n]+)[`']"#)
        .expect("the pattern is constant")
});

/// The last word before the kernel's words: `bash: line 1: tests/a.sh: Permission denied`.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"([^\s:'"\x{2018}\x{2019}]+): (?:Permission denied|Read-only file system|Operation not permitted)"#,
    )
    .expect("the pattern is constant")
});

/// Yields what may be the paths that a [`refusal`] is about, the likeliest first: words of the
/// message, which proves nothing.
pub fn refused_paths(message: &str) -> impl Iterator<Item = &str> {
    let quoted = QUOTED.captures_iter(message);
    let quoted = quoted.filter_map(|found| found.iter().skip(1).flatten().next());
    let before = BEFORE
        .captures_iter(message)
        .filter_map(|found| found.get(1));
    quoted.chain(before).map(|found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_permission_refusals_are_told() {
        for text in [
            "EACCES: permission denied, open '/workspace/bench.py'",
            "EPERM: operation not permitted, rename",
            "EROFS: read-only file system, open '/etc/x'",
            "/bin/bash: line 1: /proc/sys/kernel/ostype: Permission denied",
            "Permission to use Bash has been denied.",
            "Claude requested permissions to write to /x, but you haven't granted it yet.",
        ] {
            assert_eq!(
                refusal(Called::Failed, &format!("Exit code 1\n{text}\nmore")),
                Some(text)
            );
        }
        assert_eq!(
            refusal(Called::Failed, "cat: /nope: No such file or directory"),
            None
        );
    }

    #[test]
    fn the_path_of_a_refusal_is_found_in_its_words() {
        for (message, expected) in [
            (
                "EACCES: permission denied, open '/workspace/a b'",
                &["/workspace/a b"][..],
            ),
            (
                "EPERM: operation not permitted, rename 'a' -> 'b'",
                &["a", "b"],
            ),
            (
                "/bin/bash: line 1: tests/x.sh: Permission denied",
                &["tests/x.sh"],
            ),
            ("touch: cannot touch 'a': Read-only file system", &["a"]),
            (
                "rm: cannot remove \u{2018}a/b\u{2019}: Permission denied",
                &["a/b"],
            ),
            (
                "PermissionError: [Errno 13] Permission denied: 'tests/x'",
                &["tests/x"],
            ),
            ("sh: 1: cannot create src/y: Permission denied", &["src/y"]),
            ("Permission to use Bash has been denied.", &[]),
        ] {
            assert_eq!(
                refused_paths(message).collect::<Vec<_>>(),
                expected,
                "{message}"
            );
        }
    }

    #[test]
    fn a_shell_that_went_on_still_tells_of_the_refused_step() {
        let text = "hi\ntouch: cannot touch 'a': Read-only file system\ndone";
        assert_eq!(
            refusal(Called::ShellSucceeded, text),
            Some("touch: cannot touch 'a': Read-only file system")
        );
        assert_eq!(
            refusal(
                Called::ShellSucceeded,
                "grep: the words Permission denied in a log line"
            ),
            None
        );
        assert_eq!(refusal(Called::Succeeded, "open: Permission denied"), None);
    }
}
