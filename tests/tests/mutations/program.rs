//! The program that says of each layer whether it is in force, and that of the escape suite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules;

/// Makes the program of this suite in `folder`.
pub fn make(folder: &Path) -> PathBuf {
    fs::write(folder.join("rules.h"), rules::header()).unwrap();
    compile("tests/mutations/programs", folder, "layers")
}

/// Makes the program of all attacks in `folder`.
pub fn make_attacks(folder: &Path) -> PathBuf {
    compile("tests/escapes/programs", folder, "attack")
}

/// Makes a program of `sources`: static, so that it runs in every sandbox.
fn compile(sources: &str, folder: &Path, name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(sources);
    let files = fs::read_dir(&sources).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let program = folder.join(name);
    let made = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-static", "-s", "-pthread", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(folder)
        .args(files.filter(|file| file.extension().is_some_and(|end| end == "c")))
        .output()
        .expect("gcc and libc6-dev; tests/run installs them");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{name}: {said}");
    program
}
