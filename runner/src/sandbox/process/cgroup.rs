//! Memory, processor and process limits of one sandbox, where cgroups can be made.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use autoclave_policies::Limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const ROOT: &str = "/sys/fs/cgroup";
const PERIOD_MICROSECONDS: u32 = 100_000;
/// How long a killed process may take to leave its group.
const PATIENCE: Duration = Duration::from_secs(5);
/// The outer stage and init, which share the command's cgroup.
const OWN_PROCESSES: u32 = 2;

/// The control groups of one sandbox; removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<PathBuf>,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Makes the groups called `autoclave-<name>` under the runner's own, with `limits`.
    ///
    /// `None` where memory and pids cannot both be limited this way; then rlimits must.
    pub fn new(name: &str, limits: &Limits) -> Option<Self> {
        let name = format!("autoclave-{name}");
        Self::one(&name, limits).or_else(|| Self::two(&name, limits))
    }

    /// Says whether such groups can be made here, by making one.
    pub fn is_available() -> bool {
        let limits = Limits {
            memory_bytes: 64 << 20,
            cpus: 1.0,
            pids: 16,
            disk_bytes: 1 << 20,
        };
        Self::new(&format!("probe-{}", std::process::id()), &limits).is_some()
    }

    fn one(name: &str, limits: &Limits) -> Option<Self> {
        let mut group = Self {
            folders: Vec::new(),
            version: Version::One,
        };
        let quota = quota(limits);
        for (controller, settings) in [
            (
                "memory",
                vec![("memory.limit_in_bytes", limits.memory_bytes.to_string())],
            ),
            (
                "pids",
                vec![(
                    "pids.max",
                    limits.pids.saturating_add(OWN_PROCESSES).to_string(),
                )],
            ),
            (
                "cpu",
                vec![
                    ("cpu.cfs_period_us", PERIOD_MICROSECONDS.to_string()),
                    ("cpu.cfs_quota_us", quota.to_string()),
                ],
            ),
            ("cpuacct", vec![]),
        ] {
            let folder = parents(controller).first()?.join(name);
            group.make(&folder, &settings).ok()?;
        }
        // Without swap there is no such file, and nothing to limit.
        let swap = group.folders[0].join("memory.memsw.limit_in_bytes");
        if swap.exists() {
            fs::write(swap, limits.memory_bytes.to_string()).ok()?;
        }
        Some(group)
    }

    fn two(name: &str, limits: &Limits) -> Option<Self> {
        parents("")
            .iter()
            .filter(|parent| hands_on_controllers(parent))
            .find_map(|parent| Self::two_in(parent, name, limits))
    }

    fn two_in(parent: &Path, name: &str, limits: &Limits) -> Option<Self> {
        let mut group = Self {
            folders: Vec::new(),
            version: Version::Two,
        };
        let settings = [
            ("memory.max", limits.memory_bytes.to_string()),
            (
                "pids.max",
                limits.pids.saturating_add(OWN_PROCESSES).to_string(),
            ),
            (
                "cpu.max",
                format!("{} {PERIOD_MICROSECONDS}", quota(limits)),
            ),
        ];
        group.make(&parent.join(name), &settings).ok()?;
        let swap = group.folders[0].join("memory.swap.max");
        if swap.exists() {
            fs::write(swap, "0").ok()?;
        }
        Some(group)
    }

    fn make(&mut self, folder: &Path, settings: &[(&str, String)]) -> io::Result<()> {
        match fs::create_dir(folder) {
            // Several controllers may be mounted together.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if !self.folders.iter().any(|made| made == folder) {
            self.folders.push(folder.to_owned());
        }
        settings
            .iter()
            .try_for_each(|(file, value)| fs::write(folder.join(file), value))
    }

    /// Returns the files into which a process writes 0 to join.
    pub fn joins(&self) -> Vec<PathBuf> {
        let file = match self.version {
            // `tasks` takes 0.1 ms where `cgroup.procs` takes 7; the writer has one thread.
            Version::One => "tasks",
            Version::Two => "cgroup.procs",
        };
        self.folders
            .iter()
            .map(|folder| folder.join(file))
            .collect()
    }

    /// Returns the processor time used so far.
    pub fn cpu(&self) -> Option<Duration> {
        match self.version {
            Version::One => {
                let text = self.read("cpuacct.usage")?;
                Some(Duration::from_nanos(text.trim().parse().ok()?))
            }
            Version::Two => Some(Duration::from_micros(self.field("cpu.stat", "usage_usec")?)),
        }
    }

    /// Says whether the memory limit killed anything.
    pub fn is_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.field(file, "oom_kill").is_some_and(|kills| kills > 0)
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        self.read(file)?
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    fn read(&self, file: &str) -> Option<String> {
        self.folders
            .iter()
            .find_map(|folder| fs::read_to_string(folder.join(file)).ok())
    }

    /// Kills what is left of the dead run called `run`, and removes its groups. Returns whether all
    /// are gone.
    pub fn sweep(run: &str) -> bool {
        for folder in Self::named(run) {
            remove(&folder);
        }
        Self::named(run).is_empty()
    }

    /// Returns the groups of the run called `run`, under every controller.
    pub fn named(run: &str) -> Vec<PathBuf> {
        let prefix = format!("autoclave-{run}-");
        let parents: BTreeSet<_> = ["memory", "pids", "cpu", "cpuacct", ""]
            .into_iter()
            .flat_map(parents)
            .collect();
        parents
            .iter()
            .filter_map(|parent| fs::read_dir(parent).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy());
                name.is_some_and(|name| name.starts_with(&prefix))
            })
            .collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
    }
}

/// Removes a group; what still runs in it is killed.
fn remove(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if Instant::now() > deadline => {
                tracing::warn!(folder = %folder.display(), %error, "could not remove the cgroup");
                return;
            }
            Err(_) => kill_all(folder),
        }
        std::thread::yield_now();
    }
}

fn kill_all(folder: &Path) {
    let pids = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.parse().ok()) {
        if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            tracing::debug!(%error, pid, "it had already ended");
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates"
)]
fn quota(limits: &Limits) -> u64 {
    // The kernel takes no less than a millisecond.
    ((limits.cpus * f64::from(PERIOD_MICROSECONDS)) as u64).max(1000)
}

/// Returns where groups may be made under `controller`, the best first; "" is version 2.
fn parents(controller: &str) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    parents_in(Path::new(ROOT), &text, controller)
}

/// As [`parents`], for the mounts under `root` and the text of `/proc/self/cgroup`.
fn parents_in(root: &Path, text: &str, controller: &str) -> Vec<PathBuf> {
    let own = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers
            .split(',')
            .any(|found| found == controller)
            .then(|| path.trim_start_matches('/').to_owned())
    });
    let Some(own) = own else {
        return Vec::new();
    };
    if !controller.is_empty() {
        let folder = root.join(controller).join(own);
        return folder.is_dir().then_some(folder).into_iter().collect();
    }
    let mount = ["unified", ""]
        .into_iter()
        .map(|name| root.join(name))
        .find(|root| root.join("cgroup.subtree_control").exists());
    let Some(mount) = mount else {
        return Vec::new();
    };
    // A group with processes in it, such as the runner's own, can hand no controller on; then a
    // sibling of it may. See "no internal processes" in cgroups(7).
    let folder = mount.join(own);
    let above = folder
        .parent()
        .filter(|above| above.starts_with(&mount))
        .map(Path::to_owned);
    [Some(folder), above]
        .into_iter()
        .flatten()
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Says whether groups made in `parent` are governed by what limits need.
fn hands_on_controllers(parent: &Path) -> bool {
    let controllers = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |name: &str| controllers.split_whitespace().any(|found| found == name);
    ["memory", "pids", "cpu"].into_iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory_bytes: 1 << 20,
        cpus: 1.5,
        pids: 7,
        disk_bytes: 0,
    };

    /// Lays out files with their texts as the kernel would show them.
    fn hierarchy(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_1_groups_are_made_in_the_runners_own() {
        let root = hierarchy(&[("memory/a/b/tasks", ""), ("cpu,cpuacct/tasks", "")]);
        let text = "9:memory:/a/b\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n";
        let found = |controller| parents_in(root.path(), text, controller);
        assert_eq!(found("memory"), [root.path().join("memory/a/b")]);
        // Mounted under another name only.
        assert_eq!(found("cpuacct"), Vec::<PathBuf>::new());
        assert_eq!(found("pids"), Vec::<PathBuf>::new());
        assert_eq!(found(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn version_2_groups_are_siblings_where_the_own_group_hands_nothing_on() {
        let root = hierarchy(&[
            ("cgroup.subtree_control", "cpu memory pids io\n"),
            ("user/app/cgroup.subtree_control", "memory pids cpu\n"),
            ("user/app/run.scope/cgroup.subtree_control", "\n"),
        ]);
        let app = root.path().join("user/app");
        let text = "0::/user/app/run.scope\n";
        let found = parents_in(root.path(), text, "");
        assert_eq!(found, [app.join("run.scope"), app.clone()]);
        assert!(!hands_on_controllers(&found[0]));
        assert!(hands_on_controllers(&found[1]));
        // In the root of the hierarchy there is nothing above.
        let found = parents_in(root.path(), "0::/\n", "");
        assert_eq!(found, [root.path().join("")]);
    }

    #[test]
    fn a_mount_without_controllers_is_no_place_for_limits() {
        let root = hierarchy(&[("unified/cgroup.subtree_control", "\n")]);
        let found = parents_in(root.path(), "9:memory:/\n0::/\n", "");
        assert_eq!(found, [root.path().join("unified").join("")]);
        assert!(!hands_on_controllers(&found[0]));
    }

    #[test]
    fn a_version_2_group_gets_its_limits_and_tells_its_use() {
        let root = hierarchy(&[("cgroup.subtree_control", "cpu memory pids\n")]);
        let group = Cgroup::two_in(root.path(), "autoclave-x-1", &LIMITS).unwrap();
        let folder = root.path().join("autoclave-x-1");
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("memory.max"), "1048576");
        assert_eq!(read("pids.max"), "9");
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(group.joins(), [folder.join("cgroup.procs")]);
        assert_eq!(group.cpu(), None);
        fs::write(folder.join("cpu.stat"), "usage_usec 1500\nuser_usec 9\n").unwrap();
        assert_eq!(group.cpu(), Some(Duration::from_micros(1500)));
        fs::write(folder.join("memory.events"), "oom 3\noom_kill 0\n").unwrap();
        assert!(!group.is_out_of_memory());
        fs::write(folder.join("memory.events"), "oom 3\noom_kill 1\n").unwrap();
        assert!(group.is_out_of_memory());
        // The kernel removes a group's files with it; here they would keep it.
        fs::remove_dir_all(&folder).unwrap();
    }
}
