//! Snapshots: an image, and what was changed since it was made.

use std::any::Any;
use std::sync::Arc;

use autoclave_policies::{Plan, RepoPath};
use tokio::sync::OnceCell;

use super::Shared;
use super::delta::Delta;
use super::held::{Container, Image};
use super::manifest::{Manifest, Record};
use super::pack::Packer;
use super::remains::record_roots;
use crate::model::SnapshotEntry;
use crate::sandbox::batch::blocking;
use crate::sandbox::{SandboxError, Snapshot, SnapshotParts};

/// The container backend's snapshot.
///
/// What changed travels into each container of it on the command's way in, written by the helper
/// as the command's own uid; so only what that uid may write can be in a delta. Anything else
/// makes a new image.
#[derive(Debug, Clone)]
pub struct Frozen {
    pub image: Arc<Image>,
    pub delta: Arc<Delta>,
    /// Of the image alone, made when first needed.
    recorded: Arc<OnceCell<Arc<Record>>>,
}

impl SnapshotParts for Frozen {}

/// Returns the snapshot as this backend made it.
pub fn frozen(snapshot: &Snapshot) -> Result<&Frozen, SandboxError> {
    let parts: &dyn Any = &*snapshot.0;
    parts
        .downcast_ref::<Frozen>()
        .ok_or_else(|| SandboxError::Backend("a snapshot of another backend".to_owned()))
}

impl Frozen {
    pub fn new(image: Image) -> Self {
        Self {
            image: Arc::new(image),
            delta: Arc::default(),
            recorded: Arc::default(),
        }
    }

    /// Returns this snapshot with more files written and some gone.
    pub async fn derive(
        &self,
        shared: &Arc<Shared>,
        added: Vec<SnapshotEntry>,
        removed: Vec<RepoPath>,
        plan: &Plan,
    ) -> Result<Self, SandboxError> {
        let is_own = |path: &RepoPath| {
            path.as_bytes().starts_with(b".git/")
                || plan.is_writable(path)
                || plan.can_create_in(path.parent().as_ref())
        };
        let (own, roots): (Vec<_>, Vec<_>) =
            added.into_iter().partition(|entry| is_own(&entry.path));
        let delta = Arc::new(self.delta.then(own, removed));
        if roots.is_empty() {
            return Ok(Self {
                image: Arc::clone(&self.image),
                delta,
                recorded: Arc::clone(&self.recorded),
            });
        }
        Ok(Self {
            image: Arc::new(self.with(shared, roots, plan).await?),
            delta,
            recorded: Arc::default(),
        })
    }

    /// Makes an image that is this one's with root's files put over it.
    async fn with(
        &self,
        shared: &Arc<Shared>,
        added: Vec<SnapshotEntry>,
        plan: &Plan,
    ) -> Result<Image, SandboxError> {
        let container = Container::still(shared, &self.image.id).await?;
        let mut entries = added.into_iter().map(Ok);
        container.fill(Packer::new(plan), &mut entries).await?;
        container.commit().await
    }

    /// Returns what the snapshot holds beneath the roots that `plan` lets a command write.
    pub async fn manifest(
        &self,
        shared: &Arc<Shared>,
        plan: &Plan,
    ) -> Result<Manifest, SandboxError> {
        let recorded = self
            .recorded
            .get_or_try_init(|| async {
                let container = Container::still(shared, &self.image.id).await?;
                record_roots(&container, plan).await.map(Arc::new)
            })
            .await?;
        let (recorded, delta) = (Arc::clone(recorded), Arc::clone(&self.delta));
        blocking(move || Ok(Manifest::new(recorded, &delta))).await
    }
}
