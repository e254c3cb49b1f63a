//! What an ended execution left: read as changes, or kept as a snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use autoclave_policies::Policy;
use futures::future::BoxFuture;

use super::hull::Hull;
use super::layer::{Layer, Layers};
use super::upper::{self, Holds};
use super::{Shared, blocking, keep};
use crate::sandbox::{ChangeLimits, Changes, Remains, SandboxError, Snapshot};

/// The files of a sandbox in which nothing runs any more.
pub struct ProcessRemains {
    /// The overlay's upper directory or the copy, by a descriptor of the outer stage where it lies
    /// in the sandbox's tmpfs.
    pub upper: PathBuf,
    pub holds: Holds,
    pub layers: Vec<Arc<Layer>>,
    pub shared: Arc<Shared>,
    /// Keeps the sandbox's tmpfs alive.
    pub hull: Hull,
}

impl Remains for ProcessRemains {
    fn changes(
        &self,
        policy: Arc<Policy>,
        limits: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>> {
        let (upper, holds, layers) = (self.upper.clone(), self.holds, self.layers.clone());
        let read = move || upper::changes((&upper, holds), &layers, &policy, limits);
        Box::pin(blocking(read))
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        Box::pin(blocking(move || {
            let (path, _) = self.shared.new_path("layer");
            let layer = keep::copy(&self.upper, path)?;
            drop(self.hull);
            let mut layers = vec![Arc::new(layer)];
            if self.holds == Holds::Touched {
                layers.extend(self.layers);
            }
            Ok(Snapshot(Arc::new(Layers(layers))))
        }))
    }
}

/// Nothing: the command was never started.
pub struct Untouched(pub Vec<Arc<Layer>>);

impl Remains for Untouched {
    fn changes(
        &self,
        _: Arc<Policy>,
        _: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>> {
        Box::pin(std::future::ready(Ok(Changes::default())))
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        let snapshot = Snapshot(Arc::new(Layers(self.0)));
        Box::pin(std::future::ready(Ok(snapshot)))
    }
}
