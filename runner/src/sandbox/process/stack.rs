//! What a stack of layers shows at a path, as overlayfs would.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layer::{Layer, is_opaque, is_whiteout};

/// A read-only look through layers, topmost first.
pub struct Stack<'a>(pub &'a [Arc<Layer>]);

/// What one layer says about a path.
enum Seen {
    Here(PathBuf),
    /// Not in this layer; the next one decides.
    Beneath,
    Nowhere,
}

impl Stack<'_> {
    /// Returns the host path of what is visible at `path` (relative to the root), links not
    /// followed; for a directory, its topmost part.
    pub fn find(&self, path: &Path) -> Option<PathBuf> {
        for layer in self.0 {
            match look(layer.path(), path) {
                Seen::Here(found) => return Some(found),
                Seen::Beneath => {}
                Seen::Nowhere => return None,
            }
        }
        None
    }

    /// Returns the names visible in the directory `path`, sorted.
    pub fn names(&self, path: &Path) -> BTreeSet<OsString> {
        let mut names = BTreeSet::new();
        for layer in self.0 {
            match look(layer.path(), path) {
                Seen::Here(found) => {
                    let entries = fs::read_dir(&found).into_iter().flatten().flatten();
                    names.extend(entries.map(|entry| entry.file_name()));
                    if !found.is_dir() || is_opaque(&found) {
                        break;
                    }
                }
                Seen::Beneath => {}
                Seen::Nowhere => break,
            }
        }
        names.retain(|name| self.find(&path.join(name)).is_some());
        names
    }
}

fn look(layer: &Path, path: &Path) -> Seen {
    let mut at = layer.to_owned();
    let mut missing = Seen::Beneath;
    let mut components = path.iter().peekable();
    while let Some(component) = components.next() {
        at.push(component);
        let Ok(found) = fs::symlink_metadata(&at) else {
            return missing;
        };
        if is_whiteout(&found) {
            return Seen::Nowhere;
        }
        if found.is_dir() {
            if is_opaque(&at) {
                missing = Seen::Nowhere;
            }
        } else if components.peek().is_some() {
            return Seen::Nowhere;
        }
    }
    Seen::Here(at)
}
