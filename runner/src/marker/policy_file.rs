//! Policy files: what of the host a sandbox sees, beside what a marker's target says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use autoclave_policies::yaml::Node;
use autoclave_policies::{HostPolicy, PRESETS, Problem, Problems, RepoPath, Source, lies_in};

use super::Dialect;
use super::decode::{Fields, Findings, Trouble};
use super::keys::{self, nearest};
use super::means;
use super::values::{filled, host_path};

/// Where policy files lie: no experiment can change anything there, unless a marker names it.
const FOLDER: &str = ".autoclave/";

/// Returns the text of a policy file of the checkout; the path is relative to its root.
pub type ReadPolicy<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Reads the policies that markers name.
pub(super) struct Policies<'a> {
    pub read: ReadPolicy<'a>,
    /// What is wrong in the files read so far.
    pub problems: Vec<Problems>,
}

impl Policies<'_> {
    /// Returns the policy that `sandbox.policy` names; `None` when its own file has problems, which
    /// are kept.
    pub fn named(&mut self, name: &str) -> Result<Option<HostPolicy>, Trouble> {
        let text = match preset_text(name) {
            Some(text) => text.to_owned(),
            None => self.text(name)?,
        };
        Ok(match parse(name, &text) {
            Ok(policy) => Some(policy),
            Err(problems) => {
                // Several markers may name the same file.
                if !self.problems.contains(&problems) {
                    self.problems.push(problems);
                }
                None
            }
        })
    }

    fn text(&self, path: &str) -> Result<String, Trouble> {
        const HINT: &str = "policy files lie in `.autoclave/`, such as `.autoclave/policy.yaml`";
        let extension = Path::new(path).extension();
        if !extension.is_some_and(|extension| extension == "yaml" || extension == "yml") {
            return Err(unknown_preset(path));
        }
        RepoPath::try_from(path).map_err(|error| Trouble::new(error.to_string()).hint(HINT))?;
        if !path.starts_with(FOLDER) {
            return Err(Trouble::new(format!("`{path}` is not in `{FOLDER}`")).hint(HINT));
        }
        (self.read)(path).map_err(|cause| {
            Trouble::new(format!("could not read `{path}`: {cause}")).hint(
                "the file is looked for in your checkout; its path is relative to the root of the \
                 repository",
            )
        })
    }
}

fn preset_text(name: &str) -> Option<&'static str> {
    let mut presets = PRESETS.iter();
    presets
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

fn unknown_preset(name: &str) -> Trouble {
    let names = PRESETS.map(|(name, _)| name);
    let list = names.join(", ");
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`? There are: {list}; or a file in `{FOLDER}`"),
        None => format!("one of: {list}; or a file such as `.autoclave/policy.yaml`"),
    };
    Trouble::new(format!("unknown policy preset `{name}`")).hint(hint)
}

/// Returns the preset of this name.
pub fn preset(name: &str) -> Option<HostPolicy> {
    parse(name, preset_text(name)?).ok()
}

/// Returns the policy that stands on a command line: a preset, or a file in `.autoclave/`.
///
/// # Errors
///
/// There is none of this name, or every problem of its file.
pub fn policy_named(name: &str, read: ReadPolicy<'_>) -> Result<HostPolicy, Problems> {
    let mut policies = Policies {
        read,
        problems: Vec::new(),
    };
    let trouble = match policies.named(name) {
        Ok(Some(policy)) => return Ok(policy),
        Ok(None) => None,
        Err(trouble) => Some(trouble),
    };
    let problem = trouble.map(|trouble| Problem {
        line: 1,
        column: 1,
        key: String::new(),
        message: trouble.message,
        hint: trouble.hint,
    });
    Err(Problems {
        source: Source {
            origin: "--policy".to_owned(),
            text: name.to_owned(),
        },
        problems: problem.into_iter().collect(),
        included: policies.problems,
    })
}

/// Returns the policy of a marker that names none.
pub(super) fn default_policy() -> HostPolicy {
    let (name, text) = PRESETS[0];
    parse(name, text).expect("a test reads every preset")
}

/// Reads a policy file; `name` is that of the preset or the path of the file.
///
/// # Errors
///
/// Every problem of the file at once; an example that does not hold is one.
pub(super) fn parse(name: &str, text: &str) -> Result<HostPolicy, Problems> {
    let source = Source {
        origin: name.to_owned(),
        text: text.to_owned(),
    };
    let (root, mut findings) = Findings::open(&source, Dialect::Autoclave)?;
    let mut fields = Fields::open(&mut findings, &root, String::new(), &keys::POLICY);
    let policy = layered(&mut fields, name);
    check_examples(&mut fields, &policy);
    match Problems::new(source, findings.problems) {
        Some(problems) => Err(problems),
        None => Ok(policy),
    }
}

/// Returns what the file says, on top of what it extends. A layer only narrows what is shown.
fn layered(fields: &mut Fields<'_, '_>, name: &str) -> HostPolicy {
    let base = base(fields);
    let deny: Vec<(PathBuf, &Node)> = paths(fields, "deny");
    let mut policy = HostPolicy {
        name: name.to_owned(),
        read: Vec::new(),
        deny: deny.iter().map(|(path, _)| path.clone()).collect(),
        path: Vec::new(),
        env: BTreeMap::new(),
    };
    let read = paths(fields, "read");
    if let Some(base) = base {
        for (path, node) in &read {
            if !lies_in(path, &base.read) {
                let trouble = Trouble::new(format!(
                    "`{}` is not shown by `{}`, and a layer only narrows",
                    path.display(),
                    base.name
                ));
                let hint = "remove it, or leave `extends` out and list everything; a marker adds \
                            paths of its own with `sandbox.read`";
                fields.findings.problem(node, "read", trouble.hint(hint));
            }
        }
        if fields.node("read").is_none() {
            policy.read = base.read;
        }
        policy.deny.extend(base.deny);
        policy.path = base.path;
        policy.env = base.env;
    }
    policy.read.extend(read.into_iter().map(|(path, _)| path));
    for (path, node) in &deny {
        let shown = |read: &&PathBuf| *read != path && path.starts_with(read);
        if let Some(read) = policy.read.iter().find(shown) {
            let message = format!(
                "`{}` cannot be taken out of `{}`, which is shown whole",
                path.display(),
                read.display()
            );
            let hint = "list under `read` what is needed of it instead";
            let trouble = Trouble::new(message).hint(hint);
            fields.findings.problem(node, "deny", trouble);
        }
    }
    let denied = std::mem::take(&mut policy.deny);
    policy.read.retain(|path| !lies_in(path, &denied));
    policy.deny = denied;
    let listed = paths(fields, "path");
    for (path, node) in &listed {
        if !policy.shows(path) {
            let trouble = Trouble::new(format!("`{}` is not shown", path.display()));
            let trouble = trouble.hint("add it under `read`");
            fields.findings.problem(node, "path", trouble);
        }
    }
    if fields.node("path").is_some() {
        policy.path = listed.into_iter().map(|(path, _)| path).collect();
    }
    let read = policy.read.clone();
    policy.path.retain(|path| lies_in(path, &read));
    policy.env.extend(means::env(fields));
    policy
}

/// Returns the preset that the file extends.
fn base(fields: &mut Fields<'_, '_>) -> Option<HostPolicy> {
    let name = fields.optional("extends", |node| {
        let name = filled(node)?;
        match preset_text(&name) {
            Some(_) => Ok(name),
            None => Err(unknown_preset(&name).hint(format!(
                "a policy extends one of: {}",
                PRESETS.map(|(name, _)| name).join(", ")
            ))),
        }
    })?;
    preset(&name)
}

fn paths<'n>(fields: &mut Fields<'n, '_>, name: &'static str) -> Vec<(PathBuf, &'n Node)> {
    let listed = fields.list(name, host_path);
    let paths = listed.into_iter();
    paths
        .map(|(path, node)| (PathBuf::from(path), node))
        .collect()
}

/// Reports every example that the policy does not bear out.
fn check_examples(fields: &mut Fields<'_, '_>, policy: &HostPolicy) {
    let Some(mut examples) = fields.section("examples", &keys::EXAMPLES) else {
        return;
    };
    let example = |node: &Node| -> Result<PathBuf, Trouble> {
        let path = filled(node)?;
        let is_plain = path.split('/').all(|component| component != "..");
        if is_plain && (path.starts_with('/') || path.starts_with("~/")) {
            return Ok(PathBuf::from(path));
        }
        Err(Trouble::new(format!("`{path}` is not a path of the host"))
            .hint("write an absolute path without `..`, or one such as `~/.rustup`"))
    };
    for (path, node) in examples.list("allowed", example) {
        if !policy.shows(&path) {
            let trouble = Trouble::new(format!("`{}` is not shown", path.display()))
                .hint("add it to `read`, or remove the example");
            examples.findings.problem(node, "examples.allowed", trouble);
        }
    }
    for (path, node) in examples.list("denied", example) {
        let shown = policy.read.iter().find(|read| path.starts_with(read));
        if let (true, Some(read)) = (policy.shows(&path), shown) {
            let message = format!("`{}` is shown, with `{}`", path.display(), read.display());
            let trouble = Trouble::new(message).hint("narrow `read`, or remove the example");
            examples.findings.problem(node, "examples.denied", trouble);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;

    fn problems(text: &str) -> String {
        parse(".autoclave/policy.yaml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_preset_is_read_with_its_examples_and_extends_nothing() {
        for (name, text) in PRESETS {
            let policy = parse(name, text).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(!text.contains("extends:"), "{name}");
            assert!(policy.env["PATH"].ends_with("/usr/bin:/bin"), "{name}");
        }
    }

    #[test]
    fn presets_widen_from_strict_to_toolchains_and_deny_the_same() {
        let [default, strict, toolchains] = PRESETS.map(|(name, text)| parse(name, text).unwrap());
        assert!(strict.read.iter().all(|path| default.shows(path)));
        assert!(default.read.iter().all(|path| toolchains.shows(path)));
        assert_eq!(strict.deny, default.deny);
        assert_eq!(toolchains.deny, default.deny);
        assert!(!default.read.iter().any(|path| path.starts_with("~")));
        assert_eq!(strict.path, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_layer_narrows_what_it_extends() {
        let text = "extends: toolchains\nread: [/usr, ~/.cargo/bin, ~/.rustup/toolchains/stable]\n\
                    deny: [~/secret]\nenv: {TZ: Europe/Berlin}\n";
        let policy = parse("p.yaml", text).unwrap();
        let paths = |list: &[&str]| -> Vec<PathBuf> { list.iter().map(PathBuf::from).collect() };
        let expected = ["/usr", "~/.cargo/bin", "~/.rustup/toolchains/stable"];
        assert_eq!(policy.read, paths(&expected));
        assert_eq!(policy.path, paths(&["~/.cargo/bin"]));
        assert!(lies_in(Path::new("~/secret/x"), &policy.deny));
        assert!(lies_in(Path::new("~/.ssh/id"), &policy.deny));
        assert_eq!(policy.env["TZ"], "Europe/Berlin");
        assert_eq!(policy.env["CI"], "1");
    }

    #[test]
    fn what_is_denied_whole_is_taken_out_of_what_is_extended() {
        let policy = parse("p.yaml", "extends: toolchains\ndeny: [~/.nvm]\n").unwrap();
        assert!(!policy.read.contains(&PathBuf::from("~/.nvm/versions")));
        assert!(!policy.path.contains(&PathBuf::from("~/.nvm/versions")));
        assert!(policy.read.contains(&PathBuf::from("~/.cargo/bin")));
    }

    /// Paths that presets show, paths beneath and above these, and others.
    const POOL: [&str; 12] = [
        "/usr",
        "/usr/bin",
        "/lib64",
        "/nix/store",
        "/nix/store/x",
        "/opt/secret",
        "~/.cargo/bin",
        "~/.cargo/registry",
        "~/.rustup",
        "~/.rustup/toolchains/stable",
        "~/.ssh",
        "~/notes",
    ];

    proptest! {
        #[test]
        fn a_layer_shows_nothing_that_what_it_extends_does_not(
            preset_at in 0..PRESETS.len(),
            read in proptest::option::of(subsequence(POOL.to_vec(), 0..4)),
            deny in subsequence(POOL.to_vec(), 0..3),
            path in proptest::option::of(subsequence(POOL.to_vec(), 0..3)),
        ) {
            let name = PRESETS[preset_at].0;
            let base = preset(name).unwrap();
            let list = |paths: &[&str]| format!("[{}]", paths.join(", "));
            let mut text = format!("extends: {name}\ndeny: {}\n", list(&deny));
            for (key, paths) in [("read", &read), ("path", &path)] {
                text.extend(paths.iter().map(|paths| format!("{key}: {}\n", list(paths))));
            }
            let widens = |path: &&str| !base.shows(Path::new(path));
            let is_wider = read.iter().flatten().any(widens);
            match parse("p.yaml", &text) {
                Err(problems) => {
                    let told = problems.to_string();
                    prop_assert_eq!(told.contains("a layer only narrows"), is_wider, "{}", told);
                }
                Ok(policy) => {
                    prop_assert!(!is_wider, "{}", text);
                    for at in POOL {
                        let (at, beneath) = (PathBuf::from(at), Path::new(at).join("a/b"));
                        for path in [&at, &beneath] {
                            prop_assert!(!policy.shows(path) || base.shows(path), "{path:?}: {text}");
                            let is_denied = lies_in(path, &base.deny);
                            prop_assert!(!is_denied || lies_in(path, &policy.deny), "{path:?}");
                        }
                        prop_assert!(!deny.iter().any(|deny| at.starts_with(deny)) || !policy.shows(&at));
                    }
                    prop_assert!(policy.path.iter().all(|path| policy.shows(path)), "{text}");
                }
            }
        }
    }

    #[test]
    fn the_policy_file_of_the_manual_is_read_with_its_examples() {
        let manual = include_str!("../../../docs/config.md");
        let (_, after) = manual
            .split_once("```yaml\n# .autoclave/policy.yaml")
            .unwrap();
        let text = after
            .split_once('\n')
            .unwrap()
            .1
            .split("```")
            .next()
            .unwrap();
        assert!(
            text.contains("extends:") && text.contains("examples:"),
            "{text}"
        );
        let policy = parse(".autoclave/policy.yaml", text).unwrap_or_else(|told| panic!("{told}"));
        assert!(policy.shows(Path::new("~/.cargo/bin/cargo")));
    }

    #[test]
    fn an_example_that_leads_elsewhere_is_none() {
        let told = problems("read: [/usr]\nexamples: {allowed: [/usr/../etc/shadow]}\n");
        assert!(
            told.starts_with(".autoclave/policy.yaml:2:22: examples.allowed[0]: `/usr/../etc/shadow` is not a path"),
            "{told}"
        );
    }

    #[test]
    fn every_problem_of_a_policy_file_is_told_with_its_place() {
        insta::assert_snapshot!(problems(
            "extends: toolchain\nreed: [/usr]\npath: [/opt/x]\nenv: {A: 1}\nread: [relative, /proc]\n"
        ));
        insta::assert_snapshot!(problems(
            "extends: default\nread: [/usr, ~/.cargo]\ndeny: [/usr/share/doc]\n\
             examples:\n  allowed: [/srv]\n  denied: [/usr/bin/env]\n"
        ));
    }
}
