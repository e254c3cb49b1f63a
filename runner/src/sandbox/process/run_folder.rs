//! The private folder of a run. Its owner says when the run is dead; see [`sweep`](super::sweep).

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::ProcessOptions;
use super::layer::During;
use super::removal::remove_tree;
use crate::sandbox::SandboxError;

/// One run's folder; removed when dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    name: String,
}

impl RunFolder {
    /// Makes the folder.
    pub fn new(options: &ProcessOptions) -> Result<Self, SandboxError> {
        let path = options.state.join(&options.run_label);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .during("make", &path)?;
        Ok(Self {
            path,
            name: options.run_label.clone(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What no other run on this host is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}
