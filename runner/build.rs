//! Builds the helper that enters the process sandbox, static where the target allows it, so that
//! it starts in well under a millisecond and needs nothing of the host.
//!
//! Never fetches anything: the helper is made of crates that the runner is made of too, and those are
//! there when this starts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=../enter/src");
    println!("cargo:rerun-if-changed=../enter/Cargo.toml");
    println!("cargo:rerun-if-changed=build.rs");
    let (Some(out), Ok(target)) = (env::var_os("OUT_DIR"), env::var("TARGET")) else {
        println!("cargo:warning=not run by cargo");
        return ExitCode::FAILURE;
    };
    let out = PathBuf::from(out);
    for flags in ["-C target-feature=+crt-static", ""] {
        if let Some(binary) = build(&out.join("enter"), &target, flags) {
            if flags.is_empty() {
                println!("cargo:warning=the sandbox helper is not static: executions start slower");
            }
            println!("cargo:rustc-env=AUTOCLAVE_ENTER={}", binary.display());
            return ExitCode::SUCCESS;
        }
    }
    println!("cargo:warning=the sandbox helper `enter` does not build");
    ExitCode::FAILURE
}

fn build(folder: &Path, target: &str, flags: &str) -> Option<PathBuf> {
    let cargo = env::var_os("CARGO")?;
    let manifest = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("../enter/Cargo.toml");
    let mut command = Command::new(cargo);
    // What cargo and clippy set for this build must not leak into the inner one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_outer = text.starts_with("CARGO_") && text != "CARGO_HOME";
        if is_outer || text.starts_with("RUSTC") || text.starts_with("CLIPPY") {
            command.env_remove(&name);
        }
    }
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--offline",
            "--bin",
            "autoclave-enter",
        ])
        // With a target named, procedural macros of the host are not built static.
        .args(["--target", target])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(folder)
        .env("RUSTFLAGS", flags)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    let is_built = command.status().is_ok_and(|status| status.success());
    is_built.then(|| folder.join(target).join("release/autoclave-enter"))
}
