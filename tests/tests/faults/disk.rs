//! A run whose folder cannot be written stops, says so, and goes on when it can.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use e2e::stage::autoclave;
use e2e::toy::Toy;

const HINT: &str = "The run's folder must be writable and the disk not full; \
                    then `autoclave run` goes on where this stopped.";

/// Runs on a disk that is enlarged by a page whenever it is full, then on one that is read-only.
const SCRIPT: &str = r#"
mkdir -p .autoclave/runs
size=4
mount -t tmpfs -o size=${size}k none .autoclave/runs || exit 99
while :; do
    "$0" run --experiments 3 >out 2>err
    code=$?
    echo "$size $code"
    [ $code = 0 ] && break
    cat err >>"$1/errors"
    size=$((size + 4))
    mount -o remount,size=${size}k .autoclave/runs || exit 99
    [ $size = 400 ] && exit 98
done
mount -o remount,ro .autoclave/runs
"$0" run --new 2>>"$1/errors"
echo "read-only $?"
cp -r .autoclave/runs "$1/runs"
"#;

#[test]
fn a_run_on_a_full_disk_stops_and_goes_on_when_there_is_room() {
    let stage = Toy::new();
    if !nix::unistd::geteuid().is_root() {
        return without_permission(&stage);
    }
    let saved = stage.root().join("saved");
    fs::create_dir(&saved).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SCRIPT]);
    let mut command = stage.dressed(command, &[]);
    let output = command.arg(autoclave()).arg(&saved).output().unwrap();
    let codes = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{codes}");
    let (stopped, ends): (Vec<&str>, Vec<&str>) = codes
        .lines()
        .partition(|line| !line.starts_with("read-only") && line.ends_with(" 6"));
    assert!(stopped.len() > 5, "it was full often: {codes}");
    assert_eq!(ends.len(), 2, "{codes}");
    assert!(ends[0].ends_with(" 0"), "{codes}");
    assert_eq!(ends[1], "read-only 6");

    let errors = fs::read_to_string(saved.join("errors")).unwrap();
    assert!(errors.contains(HINT), "{errors}");
    assert!(
        errors.contains("cause: No space left on device (os error 28)"),
        "{errors}"
    );
    assert!(
        errors.contains("cause: Read-only file system (os error 30)"),
        "{errors}"
    );
    let mut runs: Vec<_> = fs::read_dir(saved.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("ledger.jsonl").exists())
        .collect();
    runs.sort();
    assert_eq!(stage.ledger(&runs[0]), undisturbed(&stage));
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
