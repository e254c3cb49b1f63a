//! The process backend: namespaces, an overlay, ownership, Landlock and seccomp.

mod cgroup;
mod helper;
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
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoclave_policies::{Grant, Level, Plan, RepoPath};
use futures::future::BoxFuture;

use self::helper::Helper;
use self::layer::{During, Layer, LayerWriter, Layers};
pub use self::probe::{HostProbe, probe};
use super::{
    BoxError, Enforcement, Execution, Finished, OutputSink, Sandbox, SandboxError, Snapshot,
};
use crate::model::SnapshotEntry;

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
}

impl Shared {
    /// Returns a path that nobody else gets, and its number.
    fn new_path(&self, kind: &str) -> (PathBuf, u64) {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        (self.folder.join(format!("{kind}-{number}")), number)
    }

    fn new_folder(&self, kind: &str) -> Result<(PathBuf, u64), SandboxError> {
        let (path, number) = self.new_path(kind);
        layer::make_directory(&path).during("make", &path)?;
        Ok((path, number))
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
        let helper = Helper::new().during("prepare", &folder)?;
        Ok(Self {
            shared: Arc::new(Shared {
                helper,
                folder,
                label: options.run_label,
                counter: AtomicU64::new(0),
            }),
            probe,
        })
    }

    fn new_layer(&self) -> Result<Layer, SandboxError> {
        Layer::new(self.shared.new_path("layer").0)
    }

    fn imported(
        &self,
        entries: &mut (dyn Iterator<Item = Result<SnapshotEntry, BoxError>> + Send),
        plan: &Plan,
    ) -> Result<Snapshot, SandboxError> {
        let layer = self.new_layer()?;
        let writer = LayerWriter::new(&layer, plan)?;
        writer.home()?;
        for entry in entries {
            writer.write(&entry.map_err(SandboxError::Entries)?)?;
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
        Ok(Snapshot(Arc::new(Layers(vec![Arc::new(layer)]))))
    }

    fn derived(
        &self,
        base: &Snapshot,
        added: &[SnapshotEntry],
        removed: &[RepoPath],
        plan: &Plan,
    ) -> Result<Snapshot, SandboxError> {
        let mut layers = layers(base)?.to_vec();
        let layer = self.new_layer()?;
        let writer = LayerWriter::new(&layer, plan)?;
        for entry in added {
            writer.write(entry)?;
        }
        for path in removed {
            writer.remove(path)?;
        }
        layers.insert(0, Arc::new(layer));
        Ok(Snapshot(Arc::new(Layers(layers))))
    }
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
        Box::pin(async move { self.imported(entries, plan) })
    }

    fn derive<'a>(
        &'a self,
        base: &'a Snapshot,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<Snapshot, SandboxError>> {
        Box::pin(async move { self.derived(base, &added, &removed, plan) })
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
