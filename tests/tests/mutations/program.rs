//! The program that says of each layer whether it is in force.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules;

/// Makes the program in `folder`: static, so that it runs in every sandbox.
pub fn make(folder: &Path) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/programs");
    fs::write(folder.join("rules.h"), rules::header()).unwrap();
    let files = fs::read_dir(&sources).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let program = folder.join("layers");
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
    assert!(made.status.success(), "the layers' program: {said}");
    program
}
