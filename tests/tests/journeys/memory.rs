//! A command that takes more memory than it may.

use e2e::stage::{Setup, Stage};

use crate::toy;

e2e::journeys!(container_alone: [what_runs_out_of_memory_is_said_to_have]);

fn what_runs_out_of_memory_is_said_to_have(setup: Setup) {
    let config = toy::MARKER.replace("BACKEND", "BACKEND, limits: {memory: 100M}");
    let measure = "python3 -c \"bytearray(MIB << 20)\" || exit 3\ncat src/number.txt\n";
    let with = |mib: &str| {
        let measure = measure.replace("MIB", mib);
        let mut files = toy::FILES.to_vec();
        files[1].1 = &measure;
        Stage::new(setup, &config, &files).autoclave(&["check"])
    };
    // The kernel kills one process; the script ends by itself.
    let check = with("300");
    assert!(
        check
            .stdout
            .contains("the metric command ran out of memory"),
        "{check}"
    );
    // The control: as much as there is.
    let check = with("20");
    assert!(check.stdout.contains("ok    metric: 100"), "{check}");
}
