//! Memory, processor and process limits of one sandbox, where cgroups can be made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoclave_policies::Limits;

const ROOT: &str = "/sys/fs/cgroup";
const PERIOD_MICROSECONDS: u32 = 100_000;
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
            let own = own_folder(controller)?;
            let folder = own.join(name);
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
        let own = own_folder("")?;
        let controllers = fs::read_to_string(own.join("cgroup.subtree_control")).ok()?;
        let has = |name: &str| controllers.split_whitespace().any(|found| found == name);
        if !["memory", "pids", "cpu"].into_iter().all(has) {
            return None;
        }
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
        group.make(&own.join(name), &settings).ok()?;
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

    /// Removes the groups of dead runs that start with `autoclave-<label>-`.
    ///
    /// What their processes were killed by may still be at work: a group is tried again for two
    /// seconds. Returns whether all are gone.
    pub fn sweep(label: &str) -> bool {
        let prefix = format!("autoclave-{label}-");
        let parents = ["memory", "pids", "cpu", "cpuacct", ""];
        let mut left: Vec<PathBuf> = parents
            .into_iter()
            .filter_map(own_folder)
            .flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect();
        for _ in 0..200 {
            left.retain(|folder| {
                fs::remove_dir(folder).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
            });
            if left.is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "could not remove the cgroup");
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

/// Returns the runner's own group under `controller`; the empty one is version 2.
fn own_folder(controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers
            .split(',')
            .any(|found| found == controller)
            .then(|| path.trim_start_matches('/').to_owned())
    })?;
    let mounted = if controller.is_empty() {
        ["unified", ""]
            .into_iter()
            .map(|name| Path::new(ROOT).join(name))
            .find(|root| root.join("cgroup.subtree_control").exists())?
    } else {
        Path::new(ROOT).join(controller)
    };
    let folder = mounted.join(line);
    folder.is_dir().then_some(folder)
}
