//! What an ended execution left: read as changes, or kept as a snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::hull::Hull;
use super::layer::{Layer, Layers};
use super::{Shared, blocking, keep, upper};
use crate::sandbox::{Accept, ChangeLimits, Changes, Remains, SandboxError, Snapshot};

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
    fn changes(
        &self,
        accept: Accept,
        limits: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>> {
        let (upper, layers) = (self.upper.clone(), self.layers.clone());
        let read = move || upper::changes(&upper, &layers, &*accept, limits);
        Box::pin(blocking(read))
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        Box::pin(blocking(move || {
            let (path, _) = self.shared.new_path("layer");
            let layer = keep::copy(&self.upper, path)?;
            drop(self.hull);
            let mut layers = vec![Arc::new(layer)];
            layers.extend(self.layers);
            Ok(Snapshot(Arc::new(Layers(layers))))
        }))
    }
}
