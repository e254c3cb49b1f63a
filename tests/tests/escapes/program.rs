//! The program of all attacks, compiled once.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the path of the program, which is static: it runs in every sandbox, and needs nothing.
///
/// Tests of other processes may make it at the same time: each its own, and the last one stays.
pub fn program() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escapes/programs");
    let mut files: Vec<PathBuf> = fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        fs::read(file).unwrap().hash(&mut hasher);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    let program = folder.join(format!("attack-{:016x}", hasher.finish()));
    if program.exists() {
        return program;
    }
    let own = tempfile::NamedTempFile::new_in(folder).unwrap();
    let made = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-static", "-s", "-o"])
        .arg(own.path())
        .args(
            files
                .iter()
                .filter(|file| file.extension().is_some_and(|e| e == "c")),
        )
        .output()
        .expect("gcc and libc6-dev; tests/run installs them");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "the attacks: {said}");
    own.into_temp_path().persist(&program).unwrap();
    program
}
