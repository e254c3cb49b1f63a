//! Processes of this machine, as /proc tells them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What can be known of a process from outside.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: u32,
    parent: u32,
    /// Its arguments, joined by spaces.
    pub arguments: String,
    /// Empty where it may not be read.
    pub environment: Vec<u8>,
    pub cgroups: String,
    current_dir: PathBuf,
}

/// Returns the processes that have `word` in their arguments, environment, directory or cgroup;
/// the calling one is not among them.
pub fn processes_with(word: &str) -> Vec<Process> {
    let is_found = |process: &Process| {
        let environment = String::from_utf8_lossy(&process.environment);
        let current_dir = process.current_dir.to_string_lossy();
        [
            &process.arguments,
            &*environment,
            &*current_dir,
            &process.cgroups,
        ]
        .into_iter()
        .any(|text| text.contains(word))
    };
    let mut found = all();
    found.retain(|process| process.pid != std::process::id() && is_found(process));
    found
}

/// Returns the children of `pid` and theirs, without itself.
pub fn descendants(pid: u32) -> Vec<Process> {
    let mut rest = all();
    let mut family = BTreeSet::from([pid]);
    let mut found = Vec::new();
    loop {
        let (children, others): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|process| family.contains(&process.parent));
        if children.is_empty() {
            return found;
        }
        family.extend(children.iter().map(|child| child.pid));
        found.extend(children);
        rest = others;
    }
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("Linux");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Reads one process; `None` where it has ended meanwhile.
fn process(pid: u32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    let arguments = fs::read(folder.join("cmdline")).ok()?;
    Some(Process {
        pid,
        parent: parent.trim().parse().ok()?,
        arguments: String::from_utf8_lossy(&arguments).replace('\0', " "),
        environment: fs::read(folder.join("environ")).unwrap_or_default(),
        cgroups: fs::read_to_string(folder.join("cgroup")).unwrap_or_default(),
        current_dir: fs::read_link(folder.join("cwd")).unwrap_or_default(),
    })
}
