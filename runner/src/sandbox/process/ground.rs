//! What lies beneath every snapshot: the system and the mount points of views, made once.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autoclave_enter::Bind;

use super::layer::{During, Layer, make_directory};
use super::skeleton::Skeleton;
use crate::sandbox::SandboxError;

/// The lowest layers of one sandbox, topmost first, and all that is bound on its root, in order.
#[derive(Debug, Clone)]
pub struct Ground {
    pub layers: Vec<PathBuf>,
    pub binds: Vec<Bind>,
}

/// What was made so far.
#[derive(Debug, Default)]
pub struct Grounds(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    skeletons: HashMap<(u32, u32), Arc<Skeleton>>,
    points: HashMap<Vec<Point>, Arc<Layer>>,
}

/// A place to mount something on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    target: PathBuf,
    is_directory: bool,
}

impl Grounds {
    /// Returns the ground for a command that is `ids` and sees `views`, if it was laid before.
    pub fn find(&self, ids: (u32, u32), views: &[Bind]) -> Result<Option<Ground>, SandboxError> {
        let made = self.lock();
        let Some(skeleton) = made.skeletons.get(&ids) else {
            return Ok(None);
        };
        let (points, binds) = plan(skeleton, views)?;
        let system = skeleton.layer.path().to_owned();
        if points.is_empty() {
            let layers = vec![system];
            return Ok(Some(Ground { layers, binds }));
        }
        Ok(made.points.get(&points).map(|layer| Ground {
            layers: vec![layer.path().to_owned(), system],
            binds,
        }))
    }

    /// Returns the same, making what is missing at paths that `new_path` gives.
    ///
    /// Blocks: the first for a user takes some tens of milliseconds.
    pub fn lay(
        &self,
        ids: (u32, u32),
        views: &[Bind],
        new_path: impl Fn() -> PathBuf,
    ) -> Result<Ground, SandboxError> {
        let known = self.lock().skeletons.get(&ids).cloned();
        let skeleton = match known {
            Some(skeleton) => skeleton,
            None => Arc::new(Skeleton::build(new_path(), ids)?),
        };
        let (points, _) = plan(&skeleton, views)?;
        self.lock().skeletons.entry(ids).or_insert(skeleton);
        if !points.is_empty() {
            let layer = Layer::new(new_path())?;
            for point in &points {
                make(layer.path(), point)?;
            }
            self.lock().points.entry(points).or_insert(Arc::new(layer));
        }
        self.find(ids, views)?
            .ok_or_else(|| SandboxError::Backend("the ground of a sandbox is gone".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a sandbox needs mount points for beside the skeleton's, and all that is bound.
fn plan(skeleton: &Skeleton, views: &[Bind]) -> Result<(Vec<Point>, Vec<Bind>), SandboxError> {
    let mut points = Vec::new();
    let mut binds = skeleton.binds.clone();
    for view in views {
        let target = skeleton.resolve(&view.target);
        let is_bound = binds.iter().any(|bind| target.starts_with(&bind.target));
        if is_bound || skeleton.has(&target) {
            continue;
        }
        let source = &view.source;
        let is_directory = fs::metadata(source).during("look at", source)?.is_dir();
        points.push(Point {
            target: target.clone(),
            is_directory,
        });
        binds.push(Bind {
            source: source.clone(),
            target,
        });
    }
    Ok((points, binds))
}

/// Makes what is mounted on: a directory for a directory, a file for anything else.
fn make(folder: &Path, point: &Point) -> Result<(), SandboxError> {
    let target = point.target.strip_prefix("/").unwrap_or(&point.target);
    let directory = if point.is_directory {
        target
    } else {
        target.parent().unwrap_or(Path::new(""))
    };
    let mut at = folder.to_owned();
    for component in directory {
        at.push(component);
        if !at.is_dir() {
            make_directory(&at).during("make", &at)?;
        }
    }
    let target = folder.join(target);
    if !point.is_directory && !target.exists() {
        File::create(&target).during("make", &target)?;
    }
    Ok(())
}
