//! Disks that are full or read-only: a run stops, says so, and goes on when it can.
//!
//! Root makes small disks in a mount namespace; an ordinary user is stopped by permissions, which
//! root is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::stage::{Setup, autoclave};
use e2e::toy::Toy;

use crate::scene::{KEEP, RUN, Scene, WORSE};

e2e::journeys!(process_of_ordinary_user, Process, Process, OrdinaryUser: [
    what_an_ordinary_user_may_not_write_stops_a_run_which_goes_on_when_he_may,
]);

const ROOM: &str = "must be writable and";
const GOES_ON: &str = "then `autoclave run` goes on where this stopped.";

/// Runs on a disk at `$2` that is enlarged by `$4` KiB whenever it is full, then on one that is
/// read-only.
const SCRIPT: &str = r#"
mkdir -m 700 -p "$2" && cp -a "$2/." "$1/content" || exit 97
mount -t tmpfs -o mode=700 none "$2" && cp -a "$1/content/." "$2" || exit 99
size=$(($3 + $(du -sk "$2" | cut -f1)))
mount -o remount,size=${size}k "$2" || exit 98
for _ in $(seq 60); do
    "$0" run --experiments 3 >out 2>err
    code=$?
    echo "$size $code"
    [ $code = 0 ] && break
    cat err >>"$1/errors"
    size=$((size + $4))
    mount -o remount,size=${size}k "$2" || exit 98
done
mount -o remount,ro "$2"
"$0" run --new 2>>"$1/errors"
echo "read-only $?"
cp -a "$2/." "$1/after"
"#;

/// What became of runs on a small disk.
struct Small {
    toy: Toy,
    saved: PathBuf,
    errors: String,
}

/// Runs with `place`, from the toy's root, on a disk that is `kib` KiB larger than what is there, and
/// grows by `more` at a time; on a disk of that size it is full at least `often` times.
#[track_caller]
fn on_a_small_disk(place: &str, kib: u32, more: u32, often: usize) -> Small {
    let toy = Toy::new();
    let saved = toy.root().join("saved");
    fs::create_dir_all(saved.join("content")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SCRIPT]);
    let mut command = toy.dressed(command, &[]);
    command
        .arg(autoclave())
        .arg(&saved)
        .arg(toy.root().join(place));
    let output = command
        .args([kib.to_string(), more.to_string()])
        .output()
        .unwrap();
    let codes = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = fs::read_to_string(saved.join("errors")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{codes}{output:?}{errors}");
    let (stopped, ends): (Vec<&str>, Vec<&str>) = codes
        .lines()
        .partition(|line| !line.starts_with("read-only") && line.ends_with(" 6"));
    assert!(stopped.len() >= often, "it was full often: {codes}");
    assert_eq!(ends.len(), 2, "{codes}{errors}");
    assert!(ends[0].ends_with(" 0"), "{codes}{errors}");
    assert_eq!(ends[1], "read-only 6", "{errors}");
    assert!(errors.contains("Read-only file system"), "{errors}");
    assert_eq!(toy.leftovers(), Vec::<String>::new());
    Small { toy, saved, errors }
}

#[test]
fn a_run_on_a_full_disk_stops_and_goes_on_when_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        return without_permission(&Toy::new());
    }
    let Small { toy, saved, errors } = on_a_small_disk("repo/.autoclave/runs", 4, 8, 4);
    assert!(
        errors.contains(ROOM) && errors.contains(GOES_ON),
        "{errors}"
    );
    let mut runs: Vec<_> = fs::read_dir(saved.join("after"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("ledger.jsonl").exists())
        .collect();
    runs.sort();
    assert_eq!(toy.ledger(&runs[0]), undisturbed(&toy));
}

#[test]
fn a_full_state_directory_stops_a_run_which_goes_on_when_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        return without_permission(&Toy::new());
    }
    let Small { toy, errors, .. } = on_a_small_disk("state", 4, 400, 1);
    assert!(
        errors.contains(ROOM) && errors.contains(GOES_ON),
        "{errors}"
    );
    let run = toy.run_folders().remove(0);
    assert_eq!(toy.ledger(&run), undisturbed(&toy));
}

#[test]
fn a_full_object_database_stops_a_run_which_goes_on_when_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        return without_permission(&Toy::new());
    }
    // An experiment that is reworked makes two commits, which are others each time.
    let Small { toy, saved, errors } = on_a_small_disk("repo/.git/objects", 4, 8, 2);
    let (errors, _) = errors.split_once("Read-only").unwrap();
    assert!(errors.contains("No space left on device"), "{errors}");
    assert!(!errors.contains("names no commit"), "{errors}");
    let after = saved.join("after");
    crate::scene::copy(&after, &toy.repo().join(".git/objects"));
    let run = toy.run_folders().remove(0);
    assert_eq!(toy.ledger(&run), undisturbed(&toy));
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains(words), "{said}");
}

fn what_an_ordinary_user_may_not_write_stops_a_run_which_goes_on_when_he_may(setup: Setup) {
    let mut scene = Scene::new(setup);
    let repo = scene.stage.repo();
    let run = scene.held_at(crate::scene::Step::Agent);
    crate::scene::signal(&run, nix::sys::signal::Signal::SIGKILL);
    crate::scene::ended(run);
    scene.go(crate::scene::Step::Agent);
    let folder = scene.runs().remove(0);
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let pins = repo
        .join(".git/refs/autoclave")
        .join(folder.file_name().unwrap());
    for place in [
        repo.join(".autoclave/runs/smaller.lock"),
        folder.join("experiments"),
        folder.join("ledger.jsonl"),
        folder.join("events.jsonl"),
        folder.join("results.tsv"),
        pins,
        repo.join(".git/objects"),
    ] {
        let mode = place.metadata().unwrap().permissions().mode() & 0o7777;
        set(&place, mode & 0o555);
        let stopped = scene.stage.command(&RUN).output().unwrap();
        refused(&stopped, "ermission denied");
        set(&place, mode);
        scene.assert_readable();
    }
    let verdicts = scene.stage.verdicts("smaller");
    assert!(
        verdicts.len() <= 1,
        "at most what had been decided: {verdicts:?}"
    );
    scene.stage.autoclave(&RUN).expect(0);
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
}

/// Returns what the ledger of the same run is without any trouble.
fn undisturbed(stage: &Toy) -> Vec<serde_json::Value> {
    let run = stage.run(&["run", "--new", "--experiments", "3"]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    stage.ledger(stage.run_folders().last().unwrap())
}

/// An ordinary user mounts nothing, but is stopped by permissions, which root is not.
fn without_permission(stage: &Toy) {
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    fs::create_dir_all(stage.runs()).unwrap();
    set(&stage.runs(), 0o555);
    let refused = stage.run(&["run", "--experiments", "3"]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("cause: Permission denied (os error 13)"),
        "{said}"
    );
    set(&stage.runs(), 0o755);
    assert_eq!(undisturbed(stage).len(), 9);
}
