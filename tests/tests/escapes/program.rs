//! The program of all attacks, compiled once.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use e2e::c_program;

/// Returns the path of the program, which is static: it runs in every sandbox, and needs nothing.
///
/// Tests of other processes may make it at the same time: each its own, and the last one stays.
pub fn program() -> PathBuf {
    let files = c_program::files("tests/escapes/programs");
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
    c_program::compile(&files, folder, own.path());
    own.into_temp_path().persist(&program).unwrap();
    program
}
