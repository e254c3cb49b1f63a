//! The machine's own folders, which no play may change, whatever it removes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 7] = ["/", "/usr", "/usr/bin", "/etc", "/var", "/var/tmp", "/tmp"];

/// How they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(Vec<(PathBuf, u32, u32, u32)>);

impl Machine {
    pub fn now() -> Self {
        Self::of(&FOLDERS.map(Path::new))
    }

    fn of(folders: &[&Path]) -> Self {
        let folders = folders.iter().map(|path| {
            let found = fs::metadata(path).unwrap();
            (path.to_path_buf(), found.mode(), found.uid(), found.gid())
        });
        Self(folders.collect())
    }

    /// Stops everything where the machine is not as it was: the next play may do worse.
    pub fn assert_unchanged(&self, played: &[&str]) {
        let folders: Vec<&Path> = self.0.iter().map(|(path, ..)| path.as_path()).collect();
        assert_eq!(
            *self,
            Self::of(&folders),
            "THE MACHINE'S OWN FOLDERS WERE CHANGED while {played:?} was played: set them right by hand"
        );
    }
}

#[test]
#[should_panic(expected = "the play that did it")]
fn a_changed_mode_stops_everything() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::of(&[folder.path()]);
    machine.assert_unchanged(&["a play that did nothing"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    machine.assert_unchanged(&["the play that did it"]);
}
