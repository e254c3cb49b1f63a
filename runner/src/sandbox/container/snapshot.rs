//! Snapshots: an image, and what was changed since it was made.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use autoclave_policies::{Plan, RepoPath};
use tokio::sync::OnceCell;

use super::Shared;
use super::archive::{Manifest, Recorded};
use super::image::{Container, Image, now};
use super::pack::Packer;
use super::remains::record_roots;
use crate::model::{FileKind, SnapshotEntry};
use crate::sandbox::owners::Owners;
use crate::sandbox::{SandboxError, Snapshot, SnapshotParts};

/// The container backend's snapshot.
///
/// What changed travels into each container of it on the command's way in, written by the helper
/// as the command's own uid; so only what that uid may write can be in a delta. Anything else
/// makes a new image.
#[derive(Debug, Clone)]
pub struct Frozen {
    pub image: Arc<Image>,
    pub delta: Delta,
    /// Of the image alone, made when first needed.
    recorded: Arc<OnceCell<Manifest>>,
}

/// What differs from an image.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    pub removals: BTreeSet<RepoPath>,
    pub writes: BTreeMap<RepoPath, FileKind>,
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
    pub fn new(image: Arc<Image>) -> Self {
        Self {
            image,
            delta: Delta::default(),
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
        let delta = self.delta.then(own, removed);
        if roots.is_empty() {
            return Ok(Self {
                image: Arc::clone(&self.image),
                delta,
                recorded: Arc::clone(&self.recorded),
            });
        }
        Ok(Self {
            image: Arc::new(self.with(shared, &roots, plan).await?),
            delta,
            recorded: Arc::default(),
        })
    }

    /// Makes an image that is this one's with root's files put over it.
    async fn with(
        &self,
        shared: &Arc<Shared>,
        added: &[SnapshotEntry],
        plan: &Plan,
    ) -> Result<Image, SandboxError> {
        let container = Container::still(shared, &self.image.id).await?;
        let archive = shared.new_file();
        let during = |cause| SandboxError::Io {
            action: "write",
            path: archive.clone(),
            cause,
        };
        let owners = Owners::new(plan);
        let file = File::create_new(&archive).map_err(during)?;
        let reading = File::open(&archive).map_err(during)?;
        std::fs::remove_file(&archive).map_err(during)?;
        let mut packer = Packer::new(BufWriter::new(file), &owners, now());
        for entry in added {
            packer.entry(entry).map_err(during)?;
        }
        let writer = packer.finish().map_err(during)?;
        drop(
            writer
                .into_inner()
                .map_err(|error| during(error.into_error()))?,
        );
        container.upload(tokio::fs::File::from_std(reading)).await?;
        container.commit(Some(Arc::clone(&self.image))).await
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
                record_roots(&container, plan).await
            })
            .await?;
        let mut manifest = recorded.clone();
        for path in &self.delta.removals {
            manifest.remove(path);
        }
        for (path, kind) in &self.delta.writes {
            let recorded = match kind {
                FileKind::Directory => Recorded::Directory,
                FileKind::File { bytes, executable } => Recorded::file(bytes, *executable),
                FileKind::Symlink { target } => Recorded::Link {
                    target: target.clone(),
                },
            };
            manifest.insert(path.clone(), recorded);
        }
        Ok(manifest)
    }
}

impl Delta {
    /// Returns this delta followed by another. What was written over needs no removal: removing
    /// comes first, and would follow a link that took a directory's place.
    fn then(&self, added: Vec<SnapshotEntry>, removed: Vec<RepoPath>) -> Self {
        let mut delta = self.clone();
        for path in removed {
            delta.writes.remove(&path);
            delta.removals.insert(path);
        }
        for SnapshotEntry { path, kind } in added {
            delta.writes.insert(path, kind);
        }
        let is_written_above = |path: &RepoPath| {
            std::iter::successors(Some(path.clone()), RepoPath::parent).any(|above| {
                let written = delta.writes.get(&above);
                written.is_some_and(|kind| *kind != FileKind::Directory)
            })
        };
        let removals = delta.removals.iter();
        let kept = removals
            .filter(|path| !is_written_above(path))
            .cloned()
            .collect();
        delta.removals = kept;
        delta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn link(name: &str) -> SnapshotEntry {
        SnapshotEntry {
            path: path(name),
            kind: FileKind::Symlink {
                target: b"elsewhere".to_vec(),
            },
        }
    }

    #[test]
    fn a_directory_that_became_a_link_is_not_removed_through_it() {
        let delta = Delta::default().then(vec![link("a")], vec![path("a/b"), path("c")]);
        assert_eq!(delta.removals, BTreeSet::from([path("c")]));
        assert_eq!(delta.writes.keys().collect::<Vec<_>>(), [&path("a")]);
    }

    #[test]
    fn what_was_written_and_then_removed_is_gone() {
        let delta = Delta::default().then(vec![link("a")], Vec::new());
        let delta = delta.then(Vec::new(), vec![path("a")]);
        assert!(delta.writes.is_empty());
        assert_eq!(delta.removals, BTreeSet::from([path("a")]));
    }
}
