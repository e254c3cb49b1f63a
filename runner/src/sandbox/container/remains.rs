//! What an ended execution left: read as changes, or kept as a snapshot.

use std::sync::Arc;

use autoclave_policies::{Grant, Plan, Policy, RepoPath};
use futures::future::BoxFuture;
use tracing::{Instrument, debug_span};

use super::Shared;
use super::archive::{ArchiveError, ReadLimits};
use super::difference::{Difference, Now, compare};
use super::download::stream;
use super::held::Container;
use super::manifest::{Record, record};
use super::snapshot::Frozen;
use crate::model::ChangeKind;
use crate::sandbox::intake::Intake;
use crate::sandbox::{BoxError, ChangeLimits, Changes, Remains, SandboxError, Snapshot};

/// The files of a container in which nothing runs any more.
pub struct ContainerRemains {
    pub container: Container,
    pub frozen: Frozen,
    pub plan: Plan,
    pub shared: Arc<Shared>,
}

impl Remains for ContainerRemains {
    fn changes(
        &self,
        policy: Arc<Policy>,
        limits: ChangeLimits,
    ) -> BoxFuture<'_, Result<Changes, SandboxError>> {
        let span = debug_span!("changes");
        Box::pin(
            async move {
                self.container.ended().await?;
                let manifest = Arc::new(self.frozen.manifest(&self.shared, &self.plan).await?);
                let mut roots = roots(&self.plan);
                // Build output is not worth its way here.
                roots.retain(|root| {
                    let scratch = |root: &RepoPath| policy.is_scratch_throughout(root);
                    !root.as_ref().is_some_and(scratch)
                });
                let mut intake = Intake::new(&policy, limits);
                for root in roots {
                    let (manifest, of) = (Arc::clone(&manifest), root.clone());
                    let read = ReadLimits {
                        changed_bytes: limits.total_bytes,
                        path_bytes: limits.path_bytes,
                        ..everything(&self.plan)
                    };
                    let differences = stream(&self.container, root.as_ref(), move |archive| {
                        compare(archive, of.as_ref(), read, &manifest)
                    })
                    .await?;
                    match differences {
                        Ok(differences) => {
                            for Difference { path, now } in differences {
                                take(&mut intake, path, now);
                            }
                        }
                        Err(ArchiveError::Io(cause)) => return Err(unread(cause.into())),
                        Err(ArchiveError::TooMany(_) | ArchiveError::TooLarge(_)) => {
                            // Nothing beneath can be told from what was not read.
                            if let Some(root) = root {
                                intake.drop(&root, "more beneath it than can be read");
                            }
                        }
                    }
                }
                Ok(intake.finish())
            }
            .instrument(span),
        )
    }

    fn into_snapshot(self: Box<Self>) -> BoxFuture<'static, Result<Snapshot, SandboxError>> {
        Box::pin(async move {
            self.container.ended().await?;
            let image = self.container.commit().await?;
            Ok(Snapshot(Arc::new(Frozen::new(image))))
        })
    }
}

fn take(intake: &mut Intake<'_>, path: RepoPath, now: Now) {
    match now {
        Now::Gone => intake.take(path, ChangeKind::Delete),
        Now::Link { target } => intake.take(path, ChangeKind::Link { target }),
        Now::File {
            bytes,
            is_executable: executable,
        } => intake.take(path, ChangeKind::Write { bytes, executable }),
        Now::Refused(why) => intake.drop(&path, why),
    }
}

/// Records what a container that was never started has beneath the mutable roots.
pub async fn record_roots(container: &Container, plan: &Plan) -> Result<Record, SandboxError> {
    let mut all = Record::new();
    for root in roots(plan) {
        let (limits, of) = (everything(plan), root.clone());
        let recorded = stream(container, root.as_ref(), move |archive| {
            let mut recorded = Record::new();
            record(archive, of.as_ref(), limits, &mut recorded).map(|()| recorded)
        })
        .await?
        .map_err(|error| unread(error.into()))?;
        all.extend(recorded);
    }
    Ok(all)
}

fn unread(cause: BoxError) -> SandboxError {
    SandboxError::Engine {
        action: "read the files of a container",
        cause,
    }
}

/// The bounds of what the disk limit lets a command leave.
fn everything(plan: &Plan) -> ReadLimits {
    ReadLimits {
        entries: 1_000_000,
        bytes: plan.limits.disk_bytes,
        changed_bytes: 0,
        path_bytes: 4096,
    }
}

/// Returns the paths under which a command may write, none beneath another; `None` is all.
fn roots(plan: &Plan) -> Vec<Option<RepoPath>> {
    let mut roots: Vec<Option<RepoPath>> = Vec::new();
    // Sorted by path, so that what is above comes first.
    for grant in &plan.grants {
        let path = match grant {
            Grant::Tree { path, .. } | Grant::File { path } => Some(path.clone()),
            Grant::Open { path } => path.clone(),
        };
        let is_covered = roots.iter().any(|root| match (root, &path) {
            (None, _) => true,
            (Some(root), Some(path)) => path.is_within(root),
            (Some(_), None) => false,
        });
        if !is_covered {
            roots.push(path);
        }
    }
    roots
}
