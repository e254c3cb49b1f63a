//! Programs in C that are played inside of sandboxes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the sources and headers in `folder`, which is beneath the tests' own, in order.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("the sources are there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    files
}

/// Compiles `sources`, of which headers are passed over, to `program`; it is static, so that it runs in
/// every sandbox and needs nothing. Headers are also looked for in `include`.
pub fn compile(sources: &[PathBuf], include: &Path, program: &Path) {
    let made = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(["-static", "-s", "-pthread", "-o"])
        .arg(program)
        .arg("-I")
        .arg(include)
        .args(
            sources
                .iter()
                .filter(|file| file.extension().is_some_and(|end| end == "c")),
        )
        .output()
        .expect("gcc and libc6-dev; tests/run installs them");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{}: {said}", program.display());
}
