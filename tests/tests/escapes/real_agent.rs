//! The same attacks by the real Claude Code, in a real run: what its Bash tool gets is what the table
//! says.

use e2e::stage::{Checkout, processes_with};

use crate::canary::Canaries;
use crate::case::{Case, Group, Reach};
use crate::document::GROUPS;
use crate::measured::Measured;
use crate::place::nonce_of;
use crate::play::Scene;
use crate::row::Row;

const SCRIPT: &str = "
sessions:
  - - tools: [{name: Bash, input: {command: './attack < cases'}}]
    - text: Nothing.
";

#[test]
fn on_the_process_backend_as_root() {
    play(Row::SealedAsRoot);
}

#[test]
fn on_the_process_backend_as_an_ordinary_user() {
    play(Row::SealedAsUser);
}

#[test]
fn on_docker() {
    play(Row::Docker);
}

fn play(row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let scene = Scene::new(row, "model: sonnet", &[]);
    let mut lines = String::new();
    let mut harms = Vec::new();
    for group in GROUPS {
        let surroundings = (group.surroundings)(&scene.place);
        for case in reachable(group) {
            let argument = scene.place.fill_in(case.argument, &surroundings);
            lines += &format!(
                "{}: {}\t{}\t{argument}\n",
                group.name, case.name, case.attack
            );
        }
        harms.push(surroundings.harm);
    }
    scene.stage.write("cases", lines);
    scene.stage.commit_all("the cases");
    let scene = scene.with_script(SCRIPT);
    let before = Checkout::of(&scene.stage.repo());
    let canaries = Canaries::of(&scene.canaries());

    // 3: nothing was kept, as nobody tried.
    let ended = scene.stage.autoclave(&["run", "-m", "escapes"]).expect(3);

    let mut wrong = canaries.changed_since(&scene.canaries());
    wrong.extend(harms.into_iter().flat_map(|harm| harm()));
    for process in processes_with(&nonce_of(scene.place.folder())) {
        wrong.push(format!("still there: {process:?}"));
    }
    let measured = Measured::parse(&scene.stage.told());
    for group in GROUPS {
        for case in reachable(group) {
            let came_to = measured.get(&format!("{}: {}", group.name, case.name));
            let came_to = came_to.cloned().unwrap_or_else(Measured::missing);
            if !came_to.is(case.expected_on(row)) {
                let expected = case.expected_on(row);
                wrong.push(format!("{}: {came_to}, not {expected:?}", case.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the agent on {}:\n{}\n{ended}",
        row.words(),
        wrong.join("\n")
    );
    before.assert_unchanged(&scene.stage.repo());
}

fn reachable(group: &Group) -> impl Iterator<Item = &Case> {
    let cases = group.cases.iter();
    cases.filter(|case| case.reach == Reach::Agent)
}
