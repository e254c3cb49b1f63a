//! The program that says of each layer whether it is in force, and that of the escape suite.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::c_program;

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

fn compile(sources: &str, folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    c_program::compile(&c_program::files(sources), folder, &program);
    program
}
