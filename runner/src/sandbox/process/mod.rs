//! The process backend: namespaces, an overlay, ownership, Landlock and seccomp.

mod berth;
mod cgroup;
mod etc;
mod ground;
mod helper;
mod hull;
mod keep;
mod launch;
mod layer;
mod probe;
mod proof;
mod remains;
mod seccomp;
mod skeleton;
mod stack;
mod upper;

use std::any::Any;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoclave_policies::{Grant, Level, Plan, RepoPath};
use futures::future::BoxFuture;

use self::berth::Berths;
use self::ground::Grounds;
use self::helper::Helper;
use self::layer::{During, Layer, LayerWriter, Layers};
pub use self::probe::{HostProbe, probe};
use super::{
    BoxError, Enforcement, Execution, Finished, OutputSink, Sandbox, SandboxError, Snapshot,
};
use crate::model::{FileKind, SnapshotEntry};

const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// Runs commands as processes of this host, each in namespaces of its own.
#[derive(Debug)]
pub struct ProcessSandbox {
    shared: Arc<Shared>,
    probe: HostProbe,
}

/// Where the backend keeps its files, and whose they are.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// A private directory for snapshots, made if absent; on a disk with space for them.
    pub state: PathBuf,
    /// Tells this run's leftovers from others': letters, digits, dashes.
    pub run_label: String,
}

/// What every part of the backend needs.
#[derive(Debug)]
struct Shared {
    helper: Helper,
    folder: PathBuf,
    label: String,
    counter: AtomicU64,
    berths: Berths,
    grounds: Grounds,
}

impl Shared {
    /// Returns a path that nobody else gets, and its number.
    fn new_path(&self, kind: &str) -> (PathBuf, u64) {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        (self.folder.join(format!("{kind}-{number}")), number)
    }

    /// A file that everybody might read and no sandbox may see.
    fn secret_canary(&self) -> PathBuf {
        self.folder.join("canary")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        layer::remove_tree(&self.folder);
    }
}

/// Removes what a dead process left under its label; returns whether all of it is gone.
pub fn sweep(options: &ProcessOptions) -> bool {
    let folder = options.state.join(&options.run_label);
    let are_groups_gone = cgroup::Cgroup::sweep(&options.run_label);
    layer::remove_tree(&folder);
    are_groups_gone && !folder.exists()
}

impl ProcessSandbox {
    /// Makes the private directory, removing what an earlier, dead run of this label left.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when the directory cannot be made, [`SandboxError::CannotEnforce`]
    /// when this host lacks a layer.
    pub fn new(options: ProcessOptions) -> Result<Self, SandboxError> {
        let probe = probe();
        for (is_there, rule, why) in [
            (probe.namespaces, "view", "namespaces are not allowed here"),
            (probe.overlay, "view", "the kernel has no overlayfs"),
            (
                probe.seccomp,
                "syscalls",
                "the kernel has no seccomp filters",
            ),
        ] {
            if !is_there {
                return Err(SandboxError::CannotEnforce {
                    rule: rule.to_owned(),
                    why: why.to_owned(),
                });
            }
        }
        probe::landlock_abi()?;
        sweep(&options);
        let folder = options.state.join(&options.run_label);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .during("make", &folder)?;
        let shared = Shared {
            helper: Helper::new(&folder).during("prepare", &folder)?,
            folder,
            label: options.run_label,
            counter: AtomicU64::new(0),
            berths: Berths::default(),
            grounds: Grounds::default(),
        };
        let canary = shared.secret_canary();
        fs::write(&canary, "secret")
            .and_then(|()| fs::set_permissions(&canary, Permissions::from_mode(0o644)))
            .during("write", &canary)?;
        let shared = Arc::new(shared);
        Ok(Self { shared, probe })
    }

    fn new_layer(&self) -> Result<Layer, SandboxError> {
        Layer::new(self.shared.new_path("layer").0)
    }

    async fn imported(
        &self,
        entries: &mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
        plan: &Plan,
    ) -> Result<Snapshot, SandboxError> {
        let layer = Arc::new(self.new_layer()?);
        let mut writer = LayerWriter::new(&layer, plan)?;
        writer.home()?;
        loop {
            let batch = next_batch(entries)?;
            if batch.is_empty() {
                break;
            }
            writer = blocking(move || {
                batch.iter().try_for_each(|entry| writer.write(entry))?;
                Ok(writer)
            })
            .await?;
        }
        for grant in &plan.grants {
            if let Grant::Tree {
                path,
                created: true,
            } = grant
            {
                writer.directory(path)?;
            }
        }
        Ok(Snapshot(Arc::new(Layers(vec![layer]))))
    }

    async fn derived(
        &self,
        base: &Snapshot,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &Plan,
    ) -> Result<Snapshot, SandboxError> {
        let mut layers = layers(base)?.to_vec();
        let layer = Arc::new(self.new_layer()?);
        let writer = LayerWriter::new(&layer, plan)?;
        blocking(move || {
            added.iter().try_for_each(|entry| writer.write(entry))?;
            removed.iter().try_for_each(|path| writer.remove(path))
        })
        .await?;
        layers.insert(0, layer);
        Ok(Snapshot(Arc::new(Layers(layers))))
    }
}

/// Takes as many entries as are read in a few milliseconds; none at the end.
fn next_batch(
    entries: &mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
) -> Result<Vec<SnapshotEntry>, SandboxError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES {
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(SandboxError::Entries)?;
        if let FileKind::File { bytes: text, .. } = &entry.kind {
            bytes += text.len();
        }
        batch.push(entry);
    }
    Ok(batch)
}

/// Does what waits for files where the runtime's one thread does not wait with it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(SandboxError::Backend(error.to_string())))
}

/// Returns the layers of a snapshot of this backend.
fn layers(snapshot: &Snapshot) -> Result<&[Arc<Layer>], SandboxError> {
    let parts: &dyn Any = &*snapshot.0;
    parts
        .downcast_ref::<Layers>()
        .map(|layers| layers.0.as_slice())
        .ok_or_else(|| SandboxError::Backend("a snapshot of another backend".to_owned()))
}

impl Sandbox for ProcessSandbox {
    fn enforcement(&self) -> Enforcement {
        let layer = |name: &str, detail: String| super::Layer {
            name: name.to_owned(),
            detail,
        };
        let identity = match self.probe.second_uid {
            Some((uid, _)) => format!("uid {uid} of its own, no groups, no capabilities"),
            None => "the user's uid in a user namespace, no capabilities".to_owned(),
        };
        let limits = if self.probe.cgroup {
            "wall clock, cgroup for memory, processor and processes, tmpfs size for disk"
        } else {
            "wall clock, rlimits for memory and processes, tmpfs size for disk"
        };
        Enforcement {
            backend: "process".to_owned(),
            level: Level::Sealed,
            layers: vec![
                layer("identity", identity),
                layer(
                    "view",
                    "mount namespace, read-only system, overlay".to_owned(),
                ),
                layer(
                    "paths",
                    format!("Landlock {}, fully enforced", self.probe.landlock_abi),
                ),
                layer("syscalls", "seccomp filter".to_owned()),
                layer("network", "empty network namespace".to_owned()),
                layer("processes", "pid namespace: all die with it".to_owned()),
                layer("limits", limits.to_owned()),
            ],
        }
    }

    fn import<'a>(
        &'a self,
        entries: &'a mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>> {
        Box::pin(self.imported(entries, plan))
    }

    fn derive<'a>(
        &'a self,
        base: &'a Snapshot,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>> {
        Box::pin(self.derived(base, added, removed, plan))
    }

    fn execute<'a>(
        &'a self,
        execution: Execution<'a>,
        output: &'a mut dyn OutputSink,
    ) -> BoxFuture<'a, Result<Finished, SandboxError>> {
        Box::pin(async move {
            let layers = layers(execution.snapshot)?;
            launch::run(&self.shared, layers, execution, output).await
        })
    }
}

#[cfg(test)]
mod tests;
