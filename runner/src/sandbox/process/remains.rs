//! What an ended execution left: read as changes, or kept as a snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use autoclave_policies::RepoPath;
use futures::future::BoxFuture;

use super::launch::Hull;
use super::layer::{Layer, Layers};
use super::{Shared, keep, upper};
use crate::sandbox::{ChangeLimits, Changes, Remains, SandboxError, Snapshot};

/// The files of a sandbox in which nothing runs any more.
pub struct ProcessRemains {
    /// The overlay's upper directory, by a descriptor of the outer stage.
    pub upper: PathBuf,
    pub layers: Vec<Arc<Layer>>,
    pub shared: Arc<Shared>,
    /// Keeps the sandbox's tmpfs alive.
    pub hull: Hull,
}

impl Remains for ProcessRemains {
    fn changes<'a>(
        &'a self,
        accept: &'a (dyn Fn(&RepoPath) -> bool + Sync),
        limits: ChangeLimits,
    ) -> BoxFuture<'a, Result<Changes, SandboxError>> {
        Box::pin(async move { upper::changes(&self.upper, &self.layers, accept, limits) })
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        Box::pin(async move {
            let (path, _) = self.shared.new_path("layer");
            let layer = keep::copy(&self.upper, path)?;
            drop(self.hull);
            let mut layers = vec![Arc::new(layer)];
            layers.extend(self.layers);
            Ok(Snapshot(Arc::new(Layers(layers))))
        })
    }
}
