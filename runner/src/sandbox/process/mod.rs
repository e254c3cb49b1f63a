//! The process backend: namespaces, an overlay, ownership, Landlock and seccomp.

mod cgroup;
mod enforcement;
mod helper;
mod keep;
mod launch;
mod layer;
mod mode;
mod places;
mod probe;
mod proof;
mod remains;
mod run_folder;
mod seccomp;
mod skeleton;
mod stack;
mod unmounted;
mod upper;

use std::any::Any;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoclave_policies::{Grant, HostCapabilities, Level, Plan, RepoPath};
use futures::future::BoxFuture;

use self::helper::Helper;
use self::layer::{During, Layer, LayerWriter, Layers};
use self::mode::Mode;
pub use self::probe::{Feature, probe};
use self::run_folder::RunFolder;
use super::{
    BoxError, Enforcement, Execution, Finished, OutputSink, Sandbox, SandboxError, Snapshot,
};
use crate::model::SnapshotEntry;

/// Runs commands as processes of this host, each in namespaces of its own.
#[derive(Debug)]
pub struct ProcessSandbox {
    shared: Arc<Shared>,
}

/// Where the backend keeps its files, and whose they are.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// A private directory for snapshots, made if absent; on a disk with space for them.
    pub state: PathBuf,
    /// Names this run's folder and cgroups for people: letters, digits, dashes.
    pub run_label: String,
    /// What to do without although the host may have it. Never weakens silently: what is then
    /// missing is refused or named as it is on a host that lacks it.
    pub without: Vec<Feature>,
}

/// What every part of the backend needs.
#[derive(Debug)]
struct Shared {
    helper: Helper,
    folder: RunFolder,
    host: HostCapabilities,
    mode: Mode,
    counter: AtomicU64,
}

impl Shared {
    /// Returns a path that nobody else gets, and its number.
    fn new_path(&self, kind: &str) -> (PathBuf, u64) {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        (self.folder.path().join(format!("{kind}-{number}")), number)
    }

    fn new_folder(&self, kind: &str) -> Result<(PathBuf, u64), SandboxError> {
        let (path, number) = self.new_path(kind);
        layer::make_directory(&path).during("make", &path)?;
        Ok((path, number))
    }
}

impl ProcessSandbox {
    /// Makes the run's private folder, removing what dead runs left under the state directory.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when the directory cannot be made, [`SandboxError::CannotEnforce`]
    /// when this host lacks a layer that every level needs.
    pub fn new(options: ProcessOptions) -> Result<Self, SandboxError> {
        let host = probe(&options.state, &options.without);
        Self::on(host, &options)
    }

    /// As [`Self::new`], on a host of which everything is known.
    fn on(host: HostCapabilities, options: &ProcessOptions) -> Result<Self, SandboxError> {
        let mode = Mode::on(&host)?;
        let folder = RunFolder::new(&options.state, &options.run_label)?;
        if let (Mode::Alone, Some((uid, _))) = (mode, host.second_uid) {
            let_through(&options.state, folder.path(), uid)?;
        }
        let helper = Helper::new().during("prepare", folder.path())?;
        Ok(Self {
            shared: Arc::new(Shared {
                helper,
                folder,
                host,
                mode,
                counter: AtomicU64::new(0),
            }),
        })
    }

    fn level(&self) -> Level {
        self.shared.mode.level()
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

/// Lets `uid` pass through `state` to `folder`, which no mount shows it: not list, not read.
fn let_through(state: &Path, folder: &Path, uid: u32) -> Result<(), SandboxError> {
    for directory in folder.ancestors() {
        let mode = fs::metadata(directory)
            .during("look at", directory)?
            .permissions()
            .mode();
        if mode & 0o001 != 0 {
            continue;
        }
        if !directory.starts_with(state) {
            return Err(SandboxError::CannotEnforce {
                rule: "identity".to_owned(),
                why: format!(
                    "uid {uid}, which commands run as, cannot pass through `{}`; keep the state \
                     directory elsewhere",
                    directory.display()
                ),
            });
        }
        fs::set_permissions(directory, Permissions::from_mode(mode | 0o011))
            .during("set the mode of", directory)?;
    }
    Ok(())
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
        Enforcement {
            backend: "process".to_owned(),
            level: self.level(),
            layers: enforcement::layers(&self.shared.host, self.shared.mode),
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
            if execution.plan.level != self.level() {
                return Err(SandboxError::CannotEnforce {
                    rule: format!("level {:?}", execution.plan.level),
                    why: format!("this host reaches {:?}", self.level()),
                });
            }
            launch::run(&self.shared, layers, execution, output).await
        })
    }
}

#[cfg(test)]
mod tests;
