//! Where attacks are played: the same files with and without a sandbox.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use e2e::stage::Caller;

/// The folders that attacks meet.
///
/// In `workspace`: `open/` is mutable with all beneath; `fixed/` is not; of `mixed/` what ends in
/// `.txt` is, but for `mixed/fixed.txt`. Each has a `file.txt` and a `dir/file.txt`, and `attack`
/// is the program itself. In `outside` and `shown`, which are the caller's: `canary` that its owner
/// may write, `loose` that everybody may, `secret` that only its owner may read; and the
/// directories `dir` and `loose-dir` with a `canary` each.
#[derive(Debug)]
pub struct Place {
    pub workspace: PathBuf,
    pub outside: PathBuf,
    pub shown: PathBuf,
    pub caller: Caller,
}

/// What a group needs beside files: processes, sockets. Ends with this value.
pub struct Surroundings {
    /// Words for `{WORD}` in arguments, and what they stand for.
    pub words: Vec<(&'static str, String)>,
    /// What the caller's environment has beside what every caller's has.
    pub env: Vec<(&'static str, String)>,
    /// Returns what has come to harm, for people; called when everything has been played.
    pub harm: Box<dyn FnOnce() -> Vec<String>>,
}

impl Surroundings {
    pub fn none(_: &Place) -> Self {
        Self {
            words: Vec::new(),
            env: Vec::new(),
            harm: Box::new(Vec::new),
        }
    }
}

/// The files of a workspace, beside the program; all hold the text `fixed`.
pub const FILES: &[&str] = &[
    "open/file.txt",
    "open/dir/file.txt",
    "open/old/file.txt",
    "open/away/file.txt",
    "open/linked.txt",
    "open/gone.txt",
    "open/moved.txt",
    "open/out.txt",
    "open/exchanged.txt",
    "open/over.txt",
    "open/over2.txt",
    "open/over3.txt",
    "open/mine.txt",
    "fixed/file.txt",
    "fixed/dir/file.txt",
    "mixed/file.txt",
    "mixed/fixed.txt",
    "mixed/over.txt",
    "mixed/mine.txt",
    "mixed/dir/file.txt",
    "README.md",
];

impl Place {
    /// Makes the same files for an attack that nothing confines, in `folder`.
    pub fn unconfined(folder: &Path, caller: Caller, program: &Path) -> Self {
        let place = Self {
            workspace: folder.join("workspace"),
            outside: folder.join("outside"),
            shown: folder.join("shown"),
            caller,
        };
        for file in FILES {
            let path = place.workspace.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "fixed\n").unwrap();
        }
        // One inode: hundreds of copies take their time.
        fs::hard_link(program, place.workspace.join("attack")).unwrap();
        for name in ["home", "tmp"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        fill(&place.outside);
        fill(&place.shown);
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        caller.own(folder);
        place.link();
        place
    }

    /// Makes a file of the workspace another name of one outside.
    pub fn link(&self) {
        let linked = self.workspace.join("open/linked.txt");
        fs::remove_file(&linked).unwrap();
        fs::hard_link(self.outside.join("linked"), linked).unwrap();
    }

    /// Returns the folder that all of it is in, but what is shown.
    pub fn folder(&self) -> &Path {
        self.outside.parent().unwrap()
    }

    /// Returns `argument` with what its words stand for here.
    pub fn fill_in(&self, argument: &str, surroundings: &Surroundings) -> String {
        let mut text = argument
            .replace("{outside}", self.outside.to_str().unwrap())
            .replace("{shown}", self.shown.to_str().unwrap())
            .replace("{nonce}", &nonce_of(self.folder()));
        for (word, value) in &surroundings.words {
            text = text.replace(&format!("{{{word}}}"), value);
        }
        text
    }
}

/// Returns a word that nothing else on this machine has, for what attacks in `folder` and beneath
/// leave behind.
pub fn nonce_of(folder: &Path) -> String {
    let mut names = folder.iter().filter_map(|name| name.to_str());
    let unique = names.find(|name| name.starts_with(".tmp"));
    format!("left-by-{}", unique.unwrap())
}

/// Makes `folder` with the files that must not change.
pub fn fill(folder: &Path) {
    for (name, mode) in [("", 0o755), ("dir", 0o755), ("loose-dir", 0o777)] {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    for (name, mode) in [
        ("canary", 0o644),
        ("loose", 0o666),
        ("secret", 0o600),
        ("linked", 0o644),
        ("dir/canary", 0o644),
        ("loose-dir/canary", 0o666),
    ] {
        let path = folder.join(name);
        fs::write(&path, "fixed\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}
