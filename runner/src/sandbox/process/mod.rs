//! The process backend: namespaces, an overlay, ownership, Landlock and seccomp.

mod cgroup;
mod describe;
mod enforcement;
mod etc;
mod forbidden;
mod ground;
pub(super) mod helper;
mod hull;
mod keep;
mod launch;
mod layer;
mod mode;
mod places;
mod privileges;
mod probe;
mod proof;
mod remains;
mod removal;
mod run_folder;
pub(super) mod seccomp;
mod skeleton;
mod slot;
mod stack;
mod unmounted;
mod upper;
mod watch;

use std::any::Any;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use autoclave_policies::{Grant, HostCapabilities, Level, Plan, RepoPath};
use futures::future::BoxFuture;

use self::ground::Grounds;
use self::helper::Helper;
use self::layer::{During, Layer, LayerWriter, Layers};
use self::mode::Mode;
pub use self::probe::{Feature, probe};
use self::run_folder::RunFolder;
use self::slot::Slots;
use super::batch::{Entries, blocking, next_batch};
use super::{Enforcement, Execution, Finished, OutputSink, Sandbox, SandboxError, Snapshot};
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
    /// Names this run's folder and cgroups, and no other run's: letters, digits, dashes.
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
    slots: Slots,
    grounds: Grounds,
}

impl Shared {
    /// Returns a path that nobody else gets, and its number.
    fn new_path(&self, kind: &str) -> (PathBuf, u64) {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        (self.folder.path().join(format!("{kind}-{number}")), number)
    }

    /// A file that everybody might read and no sandbox may see.
    fn secret_canary(&self) -> PathBuf {
        self.folder.path().join("canary")
    }
}

/// Removes what a dead process left in `state` under its label, what still runs of it first;
/// returns whether all of it is gone.
pub fn sweep(state: &Path, run_label: &str) -> bool {
    let folder = state.join(run_label);
    let are_groups_gone = cgroup::Cgroup::sweep(run_label);
    removal::remove_tree(&folder);
    are_groups_gone && !folder.exists()
}

impl ProcessSandbox {
    /// Makes the run's private folder. What else lies there already is not its own and stays.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Io`] when the directory cannot be made, [`SandboxError::CannotEnforce`]
    /// when this host lacks a layer that every level needs.
    pub fn new(options: &ProcessOptions) -> Result<Self, SandboxError> {
        let host = probe(&options.state, &options.state, &options.without);
        Self::on(host, options, &options.state)
    }

    /// As [`Self::new`], on a host of which everything is known. `private` is the outermost
    /// directory that is ours alone: `options.state`, or one above it.
    fn on(
        host: HostCapabilities,
        options: &ProcessOptions,
        private: &Path,
    ) -> Result<Self, SandboxError> {
        let mode = Mode::on(&host)?;
        let folder = RunFolder::new(options)?;
        if let (Mode::Alone, Some((uid, _))) = (mode, host.second_uid) {
            let_through(private, folder.path(), uid)?;
        }
        let shared = Shared {
            helper: Helper::new(folder.path()).during("prepare", folder.path())?,
            folder,
            host,
            mode,
            counter: AtomicU64::new(0),
            slots: Slots::default(),
            grounds: Grounds::default(),
        };
        let canary = shared.secret_canary();
        fs::write(&canary, "secret")
            .and_then(|()| fs::set_permissions(&canary, Permissions::from_mode(0o644)))
            .during("write", &canary)?;
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    fn level(&self) -> Level {
        self.shared.mode.level()
    }

    fn new_layer(&self) -> Result<Layer, SandboxError> {
        Layer::new(self.shared.new_path("layer").0)
    }

    async fn imported(
        &self,
        entries: &mut Entries<'_>,
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

/// Lets `uid` pass through `private` to `folder`, which no mount shows it: not list, not read.
fn let_through(private: &Path, folder: &Path, uid: u32) -> Result<(), SandboxError> {
    for directory in folder.ancestors() {
        let mode = fs::metadata(directory)
            .during("look at", directory)?
            .permissions()
            .mode();
        if mode & 0o001 != 0 {
            continue;
        }
        if !directory.starts_with(private) {
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
            warnings: Vec::new(),
        }
    }

    fn import<'a>(
        &'a self,
        entries: &'a mut Entries<'_>,
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
            if execution.plan.level != self.level() {
                return Err(SandboxError::CannotEnforce {
                    rule: format!("level {:?}", execution.plan.level),
                    why: format!("this host reaches {:?}", self.level()),
                });
            }
            launch::run(&self.shared, layers, execution, output).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // Layers and folders go with what is dropped.
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests;
