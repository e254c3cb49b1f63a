//! A copy of the sources in which every mutation is a choice, built once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::edit::{Edit, edited};
use crate::mutation::Mutation;

/// What the binary is made of.
const MEMBERS: [&str; 4] = ["policies", "runner", "enter", "cli"];
const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
/// The binary's name in the copy: it lies beside the real one, with which it shares what is built of
/// other people's crates.
const NAME: &str = "autoclave-mutant";

/// Builds the copy in the target directory and returns its binary.
pub fn build(mutations: &[Mutation]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = target();
    let source = target.join("mutants");
    let mut files = BTreeMap::new();
    for member in MEMBERS {
        read(root, Path::new(member), &mut files);
    }
    for file in FILES {
        files.insert(PathBuf::from(file), fs::read(root.join(file)).unwrap());
    }
    // This member makes the features of others' crates the same as in the workspace, nothing else.
    let manifest = fs::read_to_string(root.join("tests/Cargo.toml")).unwrap();
    let manifest = manifest.split("[[bench]]").next().unwrap();
    let manifest = manifest.replace("[lib]", "[lib]\nname = \"mutants\"");
    files.insert("tests/Cargo.toml".into(), manifest.into_bytes());
    files.insert("tests/src/lib.rs".into(), Vec::new());
    let mutant = fs::read(root.join("tests/tests/mutations/mutant.rs.txt")).unwrap();
    files.insert("enter/src/mutant.rs".into(), mutant);
    let edits = plumbing();
    mutate(
        &mut files,
        edits
            .iter()
            .chain(mutations.iter().flat_map(|one| &one.edits)),
    );
    write(&source, &files);

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo set for the build of this test must not leak into that one.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_BUILD_JOBS"].contains(&&*text))
            || text.starts_with("NEXTEST")
        {
            cargo.env_remove(&name);
        }
    }
    let built = cargo
        .args(["build", "--quiet", "--locked", "--offline"])
        .args(["-p", "autoclave", "-p", "e2e", "--bin", NAME])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(&source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "the mutated copy does not build:\n{said}"
    );
    // Each play copies it.
    let binary = target.join("debug").join(NAME);
    let small = target.join("mutants").join(NAME);
    let stripped = Command::new("strip")
        .arg("-o")
        .args([&small, &binary])
        .status();
    assert!(stripped.expect("binutils, which gcc needs").success());
    small
}

/// Returns the directory that this test was built in.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            read(root, &path, files);
        } else {
            files.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

/// Makes all edits, or tells all that cannot be made.
fn mutate<'a>(files: &mut BTreeMap<PathBuf, Vec<u8>>, edits: impl Iterator<Item = &'a Edit>) {
    let mut by_file: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        by_file.entry(edit.file).or_default().push(edit);
    }
    let mut problems = Vec::new();
    for (file, edits) in by_file {
        let Some(bytes) = files.get_mut(Path::new(file)) else {
            problems.push(format!("there is no {file} any more"));
            continue;
        };
        match edited(file, std::str::from_utf8(bytes).unwrap(), &edits) {
            Ok(text) => *bytes = text.into_bytes(),
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// Writes what is new: the times of the rest stay, and so does what was built of it.
fn write(source: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in files {
        let path = source.join(path);
        if fs::read(&path).is_ok_and(|found| found == *bytes) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut there = BTreeMap::new();
    for member in MEMBERS {
        read(source, Path::new(member), &mut there);
    }
    for path in there.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(source.join(path)).unwrap();
    }
}

/// What makes the copy one that can choose.
fn plumbing() -> Vec<Edit> {
    let edit = |file, near, original, becomes: &str| Edit {
        file,
        near,
        original,
        becomes: becomes.to_owned(),
    };
    vec![
        edit(
            "cli/Cargo.toml",
            "[[bin]]\nname = \"autoclave\"",
            "\"autoclave\"",
            "\"autoclave-mutant\"",
        ),
        edit(
            "enter/src/lib.rs",
            "mod contents;",
            "mod contents;",
            "pub mod mutant;\nmod contents;",
        ),
        // An edit knows its text, not what stands around it.
        edit(
            "Cargo.toml",
            "unsafe_code = \"forbid\"",
            "unsafe_code = \"forbid\"",
            "unsafe_code = \"forbid\"\nunused_parens = \"allow\"",
        ),
        // The helper is told the choice, and nothing else of the environment.
        edit(
            "runner/src/sandbox/process/launch.rs",
            ".process_group(0)",
            ".process_group(0)",
            ".envs([autoclave_enter::mutant::handed_on()])\n.process_group(0)",
        ),
        edit(
            "runner/src/sandbox/container/describe.rs",
            "host_config: Some(host_config),",
            "host_config: Some(host_config),",
            "host_config: Some(host_config),\nenv: Some(vec![{ let (name, value) = autoclave_enter::mutant::handed_on(); format!(\"{name}={value}\") }]),",
        ),
        // The proof can be switched off.
        edit(
            "runner/src/sandbox/process/watch.rs",
            "proof::check(found, spec)",
            "proof::check(found, spec)",
            "autoclave_enter::mutant::weighed(proof::check(found, spec))",
        ),
        edit(
            "runner/src/sandbox/container/watch.rs",
            "proof::check(&proof, self.identity, has_network)",
            "proof::check(&proof, self.identity, has_network)",
            "autoclave_enter::mutant::weighed(proof::check(&proof, self.identity, has_network))",
        ),
        // Without private mounts, what a sandbox shows is mounted where its end removes. That is refused
        // (`removal.rs`, which plays it); what if that breaks, too, is not tried on the machine.
        edit(
            "runner/src/sandbox/process/removal.rs",
            "pub fn remove_tree(path: &Path) {",
            "{",
            "{ if autoclave_enter::mutant::is(\"mount-private\") { return; }",
        ),
        // One choice for each rule of a list.
        edit(
            "runner/src/sandbox/process/seccomp.rs",
            "flatten().chain(denied_syscalls());",
            "denied_syscalls()",
            "denied_syscalls().iter().enumerate().filter(|(number, _)| !autoclave_enter::mutant::is(&format!(\"call-{number}\"))).map(|(_, rule)| rule)",
        ),
        edit(
            "runner/src/sandbox/process/unmounted.rs",
            "[denied_among_host_processes()]",
            "denied_among_host_processes()",
            "&*denied_among_host_processes().iter().enumerate().filter(|(number, _)| !autoclave_enter::mutant::is(\"host-calls\") && !autoclave_enter::mutant::is(&format!(\"host-call-{number}\"))).map(|(_, rule)| *rule).collect::<Vec<_>>().leak()",
        ),
        edit(
            "runner/src/sandbox/container/profile.rs",
            "let rules: Vec<Value> = denied_syscalls().iter().flat_map(rules).collect();",
            "denied_syscalls().iter()",
            "denied_syscalls().iter().enumerate().filter(|(number, _)| !autoclave_enter::mutant::is(&format!(\"call-{number}\"))).map(|(_, rule)| rule)",
        ),
        edit(
            "enter/src/command.rs",
            "    Ok(created)\n}\n\n/// Adds a rule",
            "Ok(created)",
            "for right in AccessFs::from_all(abi) { if autoclave_enter::mutant::is(&format!(\"landlock-{right:?}\")) { created = grant(created, Path::new(\"/\"), right.into())?; } }\nOk(created)",
        ),
        edit(
            "enter/src/command.rs",
            "caps::clear(None, set).map_err(lost(\"drop capabilities\"))?;",
            "caps::clear(None, set).map_err(lost(\"drop capabilities\"))?;",
            "if !autoclave_enter::mutant::is(&format!(\"capabilities-{set:?}\")) && (!matches!(set, caps::CapSet::Effective) || !autoclave_enter::mutant::is(\"capabilities-Permitted\")) { caps::clear(None, set).map_err(lost(\"drop capabilities\"))?; }",
        ),
        edit(
            "runner/src/sandbox/container/describe.rs",
            ULIMITS,
            ULIMITS,
            &format!(
                "{ULIMITS}.into_iter().filter(|one: &ResourcesUlimits| !autoclave_enter::mutant::is(&format!(\"ulimit-{{}}\", one.name.as_deref().unwrap_or_default()))).collect()"
            ),
        ),
        edit(
            "runner/src/sandbox/container/describe.rs",
            TEMPORARY,
            TEMPORARY,
            &format!(
                "[(\"nosuid\", \"suid\"), (\"nodev\", \"dev\"), (\"size\", \"\")].into_iter().filter(|(option, _)| autoclave_enter::mutant::is(&format!(\"tmpfs-{{option}}\"))).fold({TEMPORARY}, |options, (one, other)| if one == \"size\" {{ \"rw,nosuid,nodev,mode=1777\".to_owned() }} else {{ options.replace(one, other) }})"
            ),
        ),
    ]
}

const ULIMITS: &str = "vec![
            ulimit(\"core\", 0),
            ulimit(\"nofile\", OPEN_FILES.into()),
            ulimit(\"nproc\", 4096),
        ]";
const TEMPORARY: &str = "format!(\"rw,nosuid,nodev,size={},mode=1777\", limits.disk_bytes)";
