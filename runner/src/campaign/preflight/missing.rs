//! Programs that a command could not run, and what would make them run.

use std::path::{Path, PathBuf};

use autoclave_policies::View;
use regex::Regex;

use crate::campaign::bench::Role;
use crate::campaign::workshop::{HostFacts, Workshop};
use crate::marker::{BackendKind, preset};

/// Returns the programs that shells (and env) say they could not run, in the order of `text`.
pub(super) fn programs(text: &str) -> Vec<String> {
    const SAID: &str = concat!(
        r"(?m)(?:^|\s)(?:\S*sh: (?:line )?(?:\d+: )?|\S*env: )",
        r#"['"‘“]?([^:\s'"’”]+)['"’”]?: "#,
        r"(?:not found|command not found|No such file or directory|Permission denied)\s*$",
    );
    let said = Regex::new(SAID).expect("the pattern is constant");
    let mut programs: Vec<String> = Vec::new();
    for found in said.captures_iter(text) {
        let program = found[1].to_owned();
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs
}

/// Returns what would make `program` run in the sandbox that `workshop` has for `role`.
pub(super) fn hint(program: &str, (workshop, role): (&Workshop, Role), host: &HostFacts) -> String {
    let bench = workshop.bench(role);
    if program.starts_with('/') {
        return format!("add its folder to `sandbox.read`, if `{program}` is on this machine");
    }
    if program.contains('/') {
        return format!(
            "commit `{program}`, and make it executable (`git update-index --chmod=+x {program}`)"
        );
    }
    if bench.kind == BackendKind::Container {
        let image = &workshop.marker.sandbox.image;
        return format!("programs come with the image: install it in `{image}`, or name another");
    }
    let Some(found) = find(program, host) else {
        return format!(
            "`{program}` is not on your own PATH either: install it, or correct the command"
        );
    };
    let folder = found.parent().unwrap_or(Path::new("/"));
    if folder.starts_with("/usr") {
        return format!(
            "it is `{}`: call it by that path, or set PATH under `sandbox.env`",
            found.display()
        );
    }
    let is_shown = |view: &View| found.starts_with(&view.target);
    if bench.plan.views.iter().any(is_shown) {
        return format!(
            "it is `{}` and shown: put its folder into PATH under `sandbox.env`; a script also \
             needs its interpreter",
            found.display()
        );
    }
    let folder = match host.home.as_deref().map(|home| folder.strip_prefix(home)) {
        Some(Ok(within)) => Path::new("~").join(within),
        Some(Err(_)) | None => folder.to_owned(),
    };
    let is_known = preset("toolchains").is_some_and(|toolchains| toolchains.shows(&folder));
    let read = format!("add `{}` to `sandbox.read`", folder.display());
    let why = format!(
        "it is `{}`, which policy `{}` does not show",
        found.display(),
        workshop.marker.sandbox.policy.name
    );
    if is_known {
        format!("{why}: set `sandbox.policy: toolchains`, or {read}")
    } else {
        format!("{why}: {read}")
    }
}

/// Returns where the user's own PATH has `program`.
fn find(program: &str, host: &HostFacts) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = host.path.as_deref()?;
    let mut files = std::env::split_paths(path).map(|folder| folder.join(program));
    files.find(|file| {
        let metadata = file.metadata();
        metadata.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::programs;

    #[test]
    fn shells_name_what_they_could_not_run() {
        for (said, program) in [
            ("sh: 1: pytest: not found", "pytest"),
            (
                "--- stderr\nsh: line 1: cargo: command not found\n",
                "cargo",
            ),
            (
                "/bin/bash: line 3: ./bench.sh: Permission denied",
                "./bench.sh",
            ),
            ("bench.sh: 2: x\nsh: 1: ./gone.sh: not found", "./gone.sh"),
            ("/usr/bin/env: ‘node’: No such file or directory", "node"),
            ("env: 'ruby': No such file or directory", "ruby"),
            (
                "`extract` exited with 127; it said: sh: 1: jq: not found",
                "jq",
            ),
        ] {
            assert_eq!(programs(said), [program], "{said}");
        }
    }

    #[test]
    fn other_failures_name_no_program() {
        for said in [
            "cat: numbers.txt: No such file or directory",
            "sh: 1: Syntax error: end of file unexpected",
            "sh: 1: cannot open x: No such file",
            "test_sort: not found in list",
            "",
        ] {
            assert_eq!(programs(said), Vec::<String>::new(), "{said}");
        }
    }
}
