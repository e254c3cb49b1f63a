//! Model and kernel agree: what `policies` says of thousands of paths and operations, a prober in
//! each sandbox tries.
//!
//! Generated repositories and policies, by fixed seeds; a disagreement names its seed, and
//! `target/debug/agreement ROW SEED ...` plays it alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "how much was compared is shown")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use e2e::stage::{Backend, Caller, Setup};

/// Worlds of every row, and those that once showed a disagreement or kept a sandbox from starting.
const WORLDS: &str = "0..10,28";
/// An engine takes longer for each.
const WORLDS_OF_ENGINES: &str = "0..4,28";
/// In any row, so that nobody compares nothing.
const LEAST_PAIRS: usize = 3000;

e2e::journeys!(each_backend: [], each_caller: [model_and_kernel_agree]);

#[test]
fn model_and_kernel_agree_without_overlays() {
    agree("copied", WORLDS, setup(Backend::Process, Caller::Tester));
}

#[test]
fn model_and_kernel_agree_at_the_landlock_level() {
    agree("landlock", WORLDS, setup(Backend::Process, Caller::Tester));
}

#[test]
fn model_and_kernel_agree_at_the_landlock_level_of_an_ordinary_user() {
    agree(
        "landlock",
        WORLDS,
        setup(Backend::Process, Caller::OrdinaryUser),
    );
}

fn model_and_kernel_agree(setup: Setup) {
    match setup.backend {
        Backend::Process => agree("sealed", WORLDS, setup),
        Backend::Container | Backend::ContainerOnPodman => {
            agree(&setup.address(), WORLDS_OF_ENGINES, setup);
        }
    }
}

fn setup(backend: Backend, caller: Caller) -> Setup {
    Setup {
        backend,
        measured_in: backend,
        caller,
    }
}

/// Compares on one row, as its caller.
fn agree(row: &str, worlds: &str, setup: Setup) {
    if setup.is_skipped() {
        return;
    }
    // Where no sandbox has something of its own, so that a path means the same in each.
    let folder = tempfile::Builder::new()
        .prefix("autoclave-agreement-")
        .tempdir_in("/srv")
        .unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let place = |name: &str| folder.path().join(name);
    for (name, built) in [
        ("agreement", env!("CARGO_BIN_EXE_agreement")),
        ("prober", env!("CARGO_BIN_EXE_prober")),
    ] {
        fs::copy(built, place(name)).unwrap();
        fs::set_permissions(place(name), Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(place("secret"), "secret\n").unwrap();
    fs::create_dir(place("state")).unwrap();
    for name in ["secret", "state"] {
        setup.caller.own(&place(name));
    }
    let mut command = setup.caller.command(&place("agreement"));
    command
        .args([row, worlds])
        .args(["state", "prober", "secret"].map(place))
        .current_dir(folder.path())
        .env("PATH", "/usr/bin:/bin");
    if setup.uses_containers() {
        command.env("AUTOCLAVE_TEST_IMAGE", Backend::image());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert_secret_is_whole(&place("secret"));
    let pairs: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(pairs >= LEAST_PAIRS, "only {pairs} pairs were compared");
}

fn assert_secret_is_whole(secret: &Path) {
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret\n");
}
