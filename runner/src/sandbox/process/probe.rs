//! What this host can enforce, found by doing it once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use autoclave_policies::{
    Ability, Grant, HostCapabilities, Identity, Level, Limits, Plan, RepoPath,
};
use nix::errno::Errno;
use nix::unistd::geteuid;
use tokio_util::sync::CancellationToken;

use super::cgroup::Cgroup;
use super::forbidden;
use super::helper::Helper;
use super::mode::Mode;
use super::{ProcessOptions, ProcessSandbox};
use crate::model::{FileKind, SnapshotEntry};
use crate::sandbox::{Execution, Exit, Network, OutputSink, Sandbox, SandboxError, Stream};

/// The uid that sandboxes run as where the runner is root; no account has it.
const SANDBOX_UID: u32 = 64_500;

/// Something a host can be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Namespaces,
    Overlay,
    Landlock,
    /// What Landlock got after this version; an older kernel.
    LandlockAfter(u32),
    Seccomp,
    Cgroup,
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "namespaces" => Ok(Self::Namespaces),
            "overlay" => Ok(Self::Overlay),
            "landlock" => Ok(Self::Landlock),
            "seccomp" => Ok(Self::Seccomp),
            "cgroup" => Ok(Self::Cgroup),
            other => {
                let version = other.strip_prefix("landlock:").map(str::parse);
                let Some(Ok(version)) = version else {
                    return Err(format!(
                        "`{other}` is none of namespaces, overlay, landlock, landlock:VERSION, \
                         seccomp, cgroup"
                    ));
                };
                Ok(Self::LandlockAfter(version))
            }
        }
    }
}

/// Returns what this host can enforce with files kept under `state`, as if it had none of
/// `without`. Tries it with a sandbox of its own in `folder`, which lies in `state` or is it, once
/// in a process for each file system.
pub fn probe(state: &Path, folder: &Path, without: &[Feature]) -> HostCapabilities {
    // Shared by all threads because what a host can do is a fact about the process.
    static FOUND: Mutex<BTreeMap<u64, HostCapabilities>> = Mutex::new(BTreeMap::new());
    let existing = state.ancestors().find_map(|path| fs::metadata(path).ok());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let mut host = found
        .entry(existing.map_or(0, |found| found.dev()))
        .or_insert_with(|| find(state, folder))
        .clone();
    drop(found);
    let absent = || Ability::Fails {
        why: "switched off for this run".to_owned(),
    };
    for feature in without {
        match feature {
            Feature::Namespaces => host.namespaces = absent(),
            Feature::Overlay => host.overlay = absent(),
            Feature::Landlock => host.landlock_abi = 0,
            Feature::LandlockAfter(version) => {
                host.landlock_abi = host.landlock_abi.min(*version);
            }
            Feature::Seccomp => host.seccomp = absent(),
            Feature::Cgroup => host.cgroup = false,
        }
    }
    host
}

fn find(state: &Path, folder: &Path) -> HostCapabilities {
    let helper = Helper::new(&std::env::temp_dir()).ok();
    let mut host = HostCapabilities {
        second_uid: geteuid().is_root().then_some((SANDBOX_UID, SANDBOX_UID)),
        namespaces: Ability::Works,
        overlay: Ability::Works,
        landlock_abi: landlock_abi(helper.as_ref()),
        seccomp: seccomp(helper.as_ref()),
        identity: forbidden::identity(),
        cgroup: Cgroup::is_available(),
    };
    // What no level can do without: nothing is ever run, and so nothing tried.
    if host.landlock_abi == 0 || !host.seccomp.works() || !host.identity.works() {
        return host;
    }
    let fails = |why: String| Ability::Fails { why };
    for mode in [Mode::Overlay, Mode::Copy, Mode::Alone] {
        let Err(why) = attempt(state, folder, &host) else {
            break;
        };
        match mode {
            Mode::Overlay => host.overlay = fails(why),
            Mode::Copy => host.namespaces = fails(forbidden::with_setting(why)),
            Mode::Alone => host.identity = fails(why),
        }
    }
    host
}

/// Makes a folder anew, which takes most of what an overlay needs, in a sandbox of a host with
/// these capabilities.
fn attempt(state: &Path, folder: &Path, host: &HostCapabilities) -> Result<(), String> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(attempted(state, folder, host))
    };
    // A thread of its own: this may be called on one that already runs a runtime.
    std::thread::scope(|scope| {
        let thread = scope.spawn(run);
        thread
            .join()
            .unwrap_or_else(|_| Err("the attempt broke".to_owned()))
    })
}

async fn attempted(state: &Path, folder: &Path, host: &HostCapabilities) -> Result<(), String> {
    match made_anew(state, folder, host).await {
        // All layers were proven, and that there is no shell in /usr is no fault of theirs; or the
        // state directory is at fault, of which whoever makes the real sandbox is told.
        Ok(Exit::Code(0) | Exit::NotStarted { .. })
        | Err(SandboxError::Io { .. } | SandboxError::Entries(_)) => Ok(()),
        Ok(exit) => Err(format!("a folder could not be made anew: {exit:?}")),
        Err(SandboxError::NotProven(why) | SandboxError::CannotEnforce { why, .. }) => Err(why),
        Err(
            error @ (SandboxError::Backend(_)
            | SandboxError::Engine { .. }
            | SandboxError::NoEngine(_)
            | SandboxError::NoImage { .. }),
        ) => Err(error.to_string()),
    }
}

async fn made_anew(
    state: &Path,
    folder: &Path,
    host: &HostCapabilities,
) -> Result<Exit, SandboxError> {
    let options = ProcessOptions {
        state: folder.to_owned(),
        // Nobody else's: others may try the same host at the same time.
        run_label: format!("probe-{}", uuid::Uuid::new_v4().simple()),
        without: Vec::new(),
    };
    let sandbox = ProcessSandbox::on(host.clone(), &options, state)?;
    let folder =
        RepoPath::try_from("folder").map_err(|error| SandboxError::Backend(error.to_string()))?;
    let plan = plan(host, folder.clone(), sandbox.level());
    let mut entries = [Ok(SnapshotEntry {
        path: folder,
        kind: FileKind::Directory,
    })]
    .into_iter();
    let snapshot = sandbox.import(&mut entries, &plan).await?;
    let execution = Execution {
        snapshot: &snapshot,
        plan: &plan,
        argv: ["sh", "-c", "rmdir folder && mkdir folder"]
            .map(OsString::from)
            .to_vec(),
        env: BTreeMap::new(),
        stdin: Vec::new(),
        network: Network::None,
        views: Vec::new(),
        timeout: Duration::from_secs(20),
        cancel: CancellationToken::new(),
    };
    let finished = sandbox.execute(execution, &mut Silent).await?;
    Ok(finished.exit)
}

fn plan(host: &HostCapabilities, folder: RepoPath, level: Level) -> Plan {
    Plan {
        version: 1,
        level,
        identity: match host.second_uid {
            Some((uid, gid)) => Identity::SecondUid { uid, gid },
            None => Identity::SameUser,
        },
        grants: vec![
            Grant::Open { path: None },
            Grant::Tree {
                path: folder,
                created: false,
            },
        ],
        in_place: Vec::new(),
        views: Vec::new(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        limits: Limits {
            memory_bytes: 256 << 20,
            cpus: 1.0,
            pids: 64,
            disk_bytes: 1 << 20,
        },
    }
}

struct Silent;

impl OutputSink for Silent {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        tracing::debug!(?stream, text = %String::from_utf8_lossy(chunk), "probe");
    }
}

/// Returns the version of the kernel's Landlock interface that `helper` can use; 0 without any.
fn landlock_abi(helper: Option<&Helper>) -> u32 {
    ask(helper, "landlock-abi").map_or(0, i32::cast_unsigned)
}

/// Says whether `helper` can load a filter of system calls.
fn seccomp(helper: Option<&Helper>) -> Ability {
    match ask(helper, "seccomp") {
        Some(0) => Ability::Works,
        Some(errno) => Ability::Fails {
            why: Errno::from_raw(errno).to_string(),
        },
        None => Ability::Fails {
            why: "the helper that enters sandboxes does not start".to_owned(),
        },
    }
}

/// Returns the exit code by which `helper` answers a question.
fn ask(helper: Option<&Helper>, question: &str) -> Option<i32> {
    let status = Command::new(helper?.path())
        .arg(question)
        .env_clear()
        .status();
    status.ok()?.code()
}
