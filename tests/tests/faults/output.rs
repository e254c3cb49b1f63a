//! Whoever reads what a run prints goes away, or has no room: the run goes on.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use e2e::stage::Setup;

use crate::scene::{KEEP, RUN, Scene, Step, WORSE, ended};

e2e::journeys!(process, Process, Process, Tester: [
    readers_that_have_gone_stop_no_run,
    full_disk_behind_what_is_printed_stops_no_run,
]);

fn readers_that_have_gone_stop_no_run(setup: Setup) {
    for format in [&[][..], &["--json"]] {
        let mut scene = Scene::new(setup);
        scene.hold(Step::Agent);
        let mut command = scene.stage.command(&[&RUN[..], format].concat());
        command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        scene.wait_for(Step::Agent);
        drop((run.stdout.take(), run.stderr.take()));
        scene.go(Step::Agent);
        assert_eq!(ended(run).status.code(), Some(0));
        scene.remember();
        scene.assert_clean();
        assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
    }
}

fn full_disk_behind_what_is_printed_stops_no_run(setup: Setup) {
    let scene = Scene::new(setup);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = scene.stage.command(&RUN);
    let run = command.stdout(full()).stderr(full()).spawn().unwrap();
    assert_eq!(ended(run).status.code(), Some(0));
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
}
