//! The machine's own folders, which no play may change, whatever it removes.

use std::fs;
use std::os::unix::fs::MetadataExt;

const FOLDERS: [&str; 7] = ["/", "/usr", "/usr/bin", "/etc", "/var", "/var/tmp", "/tmp"];

/// How they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(Vec<(&'static str, u32, u32, u32)>);

impl Machine {
    pub fn now() -> Self {
        let folders = FOLDERS.map(|path| {
            let found = fs::metadata(path).unwrap();
            (path, found.mode(), found.uid(), found.gid())
        });
        Self(folders.to_vec())
    }

    /// Stops everything where the machine is not as it was: the next play may do worse.
    pub fn assert_unchanged(&self, played: &[&str]) {
        assert_eq!(
            *self,
            Self::now(),
            "THE MACHINE'S OWN FOLDERS WERE CHANGED while {played:?} was played: set them right by hand"
        );
    }
}
