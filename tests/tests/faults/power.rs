//! Power cuts: whatever part of the files of a run reached the disk, it goes on or refuses by name.
//!
//! Every prefix of a ledger is read in `ledger/mod.rs`; here the binary is run on those that differ.

use std::fs;
use std::path::PathBuf;

use e2e::stage::Setup;
use serde_json::Value;

use crate::scene::{KEEP, RUN, Scene, copy};

e2e::journeys!(process, Process, Process, Tester: [
    any_part_of_a_ledger_goes_on_to_the_same_end,
    any_part_of_the_files_beside_the_ledger_is_enough,
    broken_line_before_others_is_refused_by_name_and_another_run_can_start,
]);

/// A finished run of one experiment, of which parts are put back.
struct Finished {
    scene: Scene,
    run: PathBuf,
    saved: PathBuf,
    ledger: Vec<u8>,
}

impl Finished {
    fn new(setup: Setup) -> Self {
        let scene = Scene::with(setup, crate::scene::AGENT, |config| {
            config.replace("max_experiments: 2", "max_experiments: 1")
        });
        scene.stage.autoclave(&RUN).expect(0);
        let run = scene.runs().remove(0);
        let saved = scene.stage.outside("saved");
        copy(&run, &saved);
        let ledger = fs::read(run.join("ledger.jsonl")).unwrap();
        Self {
            scene,
            run,
            saved,
            ledger,
        }
    }

    fn restore(&self) {
        fs::remove_dir_all(&self.run).unwrap();
        copy(&self.saved, &self.run);
    }

    /// Puts the run back with `ledger`; looks at it, and runs it to the same end.
    #[track_caller]
    fn goes_on_with(&mut self, ledger: &[u8], what: &str) {
        self.restore();
        let path = self.run.join("ledger.jsonl");
        fs::write(&path, ledger).unwrap();
        let whole = ledger.split(|byte| *byte == 0).next().unwrap();
        let has_begun = whole.contains(&b'\n');
        for command in ["status", "results"] {
            let seen = self.scene.stage.autoclave(&[command, "--json"]);
            let is_told = seen.code
                == Some(if has_begun || command == "status" {
                    0
                } else {
                    3
                });
            assert!(is_told, "{what}: {command}: {seen}");
        }
        self.scene.stage.autoclave(&RUN).expect(0);
        let runs = self.scene.runs();
        assert_eq!(runs.len(), 1, "{what}");
        let after = fs::read(runs[0].join("ledger.jsonl")).unwrap();
        if has_begun {
            assert_eq!(runs[0], self.run, "{what}: the same run goes on");
            let cut = whole.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
            assert_eq!(
                after[..cut],
                whole[..cut],
                "{what}: nothing that was decided is lost"
            );
        } else {
            // It had never begun; another has.
            copy(&runs[0], &self.run);
            fs::remove_dir_all(&runs[0]).unwrap();
        }
        assert_eq!(self.scene.stage.verdicts("smaller"), [KEEP], "{what}");
        let table = fs::read_to_string(self.run.join("results.tsv")).unwrap();
        assert_eq!(table.lines().count(), 2, "{what}: {table}");
        assert_eq!(self.scene.leftovers(), Vec::<String>::new(), "{what}");
    }
}

fn any_part_of_a_ledger_goes_on_to_the_same_end(setup: Setup) {
    let mut run = Finished::new(setup);
    let ledger = run.ledger.clone();
    let ends = (0..ledger.len()).filter(|at| ledger[*at] == b'\n');
    let ends: Vec<usize> = ends.map(|at| at + 1).collect();
    assert_eq!(ends.len(), 5, "opened, baseline, started, decided, closed");
    for (line, end) in ends.iter().enumerate() {
        run.goes_on_with(&ledger[..end - 1], &format!("line {line} without its end"));
        if line + 1 < ends.len() {
            let hole = [&ledger[..*end], &[0; 512]].concat();
            run.goes_on_with(&hole, &format!("a hole after line {line}"));
        }
    }
    run.goes_on_with(b"", "nothing");
    run.goes_on_with(&ledger[..=ends[2]], "a byte after what was started");
    run.goes_on_with(&ledger[..ends[3]], "up to what was decided");
}

/// What reached the disk of a file's bytes.
type Part = fn(&[u8]) -> Vec<u8>;

fn any_part_of_the_files_beside_the_ledger_is_enough(setup: Setup) {
    let mut run = Finished::new(setup);
    let ledger = run.ledger.clone();
    // Decided and not closed: the run goes on, and has something to tell.
    let unclosed = ledger[..ledger.len() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap()
        + 1;
    let names = [
        "events.jsonl",
        "results.tsv",
        "ideas.md",
        "plan.json",
        "marker.yaml",
    ];
    let whole = names.map(|name| fs::read(run.saved.join(name)).unwrap());
    let parts: [Part; 4] = [
        |_| Vec::new(),
        |whole| whole[..whole.len() / 2].to_owned(),
        |whole| [&whole[..whole.len() / 2], &[0; 700], b"}\n"].concat(),
        |_| vec![0; 4096],
    ];
    for (number, part) in parts.iter().enumerate() {
        for (name, whole) in names.iter().zip(&whole) {
            fs::write(run.saved.join(name), part(whole)).unwrap();
        }
        run.goes_on_with(&ledger[..unclosed], &format!("part {number} of the files"));
        let events = fs::read_to_string(run.run.join("events.jsonl")).unwrap();
        let mut told = 0;
        for (line, seq) in events.lines().zip(1..) {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["seq"], seq, "part {number}");
            told += u32::from(event["event"] == "decided");
        }
        assert_eq!(told, 1, "part {number}: the verdict is told once");
        // Both are written anew, as they were.
        for (name, whole) in names.iter().zip(&whole).skip(1).take(2) {
            assert_eq!(fs::read(run.run.join(name)).unwrap(), *whole, "{name}");
        }
    }
}

fn broken_line_before_others_is_refused_by_name_and_another_run_can_start(setup: Setup) {
    let run = Finished::new(setup);
    let path = run.run.join("ledger.jsonl");
    let text = String::from_utf8(run.ledger.clone()).unwrap();
    let [first, rest] = [0, 1].map(|at| text.splitn(2, '\n').nth(at).unwrap());
    for broken in [
        format!("{first}\n{{\"record\":\n{rest}"),
        format!("{first}\n\0\0\0\n{rest}"),
    ] {
        fs::write(&path, &broken).unwrap();
        let named = format!("ledger `{}`, line 2, is broken", path.display());
        for command in [&RUN[..], &["results"], &["show", "1"], &["finalize"]] {
            let refused = run.scene.stage.autoclave(command).expect(6);
            refused.says(&named);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), broken, "left as it is");
        let afresh = [&RUN[..], &["--new"]].concat();
        run.scene.stage.autoclave(&afresh).expect(0);
        assert_eq!(run.scene.stage.verdicts("smaller"), [KEEP]);
        // The newest is whole: nothing is in the way any more.
        run.scene.stage.autoclave(&["status"]).expect(0);
        for newer in run.scene.runs() {
            if newer != run.run {
                fs::remove_dir_all(newer).unwrap();
            }
        }
    }
}
