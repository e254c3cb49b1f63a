//! The user goes on working in the repository of a run, or takes away what the run stands on.

use std::fs;

use e2e::stage::Setup;
use nix::sys::signal::Signal;

use crate::scene::{CANCELLED, KEEP, RUN, Scene, Step, WORSE, ended, expect, says, signal};

e2e::journeys!(process, Process, Process, Tester: [
    user_who_rewrites_switches_and_collects_disturbs_no_run,
    base_that_is_on_no_branch_any_more_is_still_there_for_a_resume,
    refs_that_the_user_removed_are_missed_by_name,
    champion_branch_in_a_work_tree_is_named_and_the_keep_is_not_lost,
]);

/// What people do to their repositories, roughly.
fn rewrite_everything(scene: &mut Scene) {
    let stage = &scene.stage;
    stage.git(&["checkout", "-q", "-b", "elsewhere"]);
    stage.write("src/number.txt", "7\n");
    stage.write(".autoclave/config.yaml", "markers: []\n");
    stage.commit_all("another start");
    stage.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    // What the base is a commit of has no name any more.
    let tree = stage.git(&["rev-parse", "HEAD^{tree}"]);
    let orphan = stage.git(&["commit-tree", "-m", "a beginning", &tree]);
    stage.git(&["update-ref", "refs/heads/main", &orphan]);
    stage.git(&["update-ref", "refs/heads/elsewhere", &orphan]);
    stage.git(&["reflog", "expire", "--expire=now", "--all"]);
    stage.git(&["gc", "-q", "--prune=now"]);
    scene.user_has_changed_it();
}

/// Makes the configuration the one that the run was started with.
fn put_config_back(scene: &mut Scene, config: &str) {
    scene.stage.write(".autoclave/config.yaml", config);
    scene.user_has_changed_it();
}

fn user_who_rewrites_switches_and_collects_disturbs_no_run(setup: Setup) {
    let mut scene = Scene::new(setup);
    for step in [Step::Agent, Step::Measure] {
        let run = scene.held_at(step);
        let config = fs::read_to_string(scene.stage.repo().join(".autoclave/config.yaml"));
        let base = scene.stage.git(&["rev-parse", "main"]);
        rewrite_everything(&mut scene);
        scene.go(step);
        expect(&ended(run), 0);
        put_config_back(&mut scene, &config.unwrap());
        scene.assert_clean();
        assert_eq!(scene.stage.verdicts("smaller"), [KEEP, WORSE]);
        let number = scene
            .stage
            .git(&["show", "autoclave/smaller:src/number.txt"]);
        assert_eq!(number, "50");
        fs::remove_dir_all(scene.stage.repo().join(".autoclave/runs")).unwrap();
        scene.stage.git(&["branch", "-D", "autoclave/smaller"]);
        scene.stage.git(&["checkout", "-qf", "-B", "main", &base]);
        scene.stage.git(&["branch", "-D", "elsewhere"]);
        scene.user_has_changed_it();
    }
}

fn base_that_is_on_no_branch_any_more_is_still_there_for_a_resume(setup: Setup) {
    let mut scene = Scene::new(setup);
    let run = scene.held_at(Step::Agent);
    signal(&run, Signal::SIGTERM);
    expect(&ended(run), 130);
    scene.go(Step::Agent);
    let config = fs::read_to_string(scene.stage.repo().join(".autoclave/config.yaml"));
    rewrite_everything(&mut scene);
    put_config_back(&mut scene, &config.unwrap());
    scene.goes_on(&[CANCELLED]);
    // Who cleans up gives the base free as well.
    scene.stage.autoclave(&["clean", "--kept"]).expect(0);
    assert_eq!(scene.stage.git(&["for-each-ref", "refs/autoclave"]), "");
}

fn refs_that_the_user_removed_are_missed_by_name(setup: Setup) {
    let mut scene = Scene::new(setup);
    let run = scene.held_at(Step::Agent);
    let base = scene.stage.git(&["rev-parse", "main"]);
    signal(&run, Signal::SIGKILL);
    ended(run);
    scene.go(Step::Agent);
    scene.wait_for_death();
    let config = fs::read_to_string(scene.stage.repo().join(".autoclave/config.yaml"));
    for name in scene
        .stage
        .git(&["for-each-ref", "--format=%(refname)", "refs/autoclave"])
        .lines()
    {
        scene.stage.git(&["update-ref", "-d", name]);
    }
    rewrite_everything(&mut scene);
    put_config_back(&mut scene, &config.unwrap());
    let refused = scene.stage.autoclave(&RUN).expect(6);
    says(&refused, &[&base[..10], "--new"]);
    scene.assert_readable();
    // Its own base has neither agent nor number: another run is refused for what it lacks, not for
    // what went before.
    scene.stage.write("tests/guard.sh", "exit 0\n");
    scene.stage.commit_all("green");
    scene.user_has_changed_it();
    let afresh = [&RUN[..], &["--new"]].concat();
    scene.stage.autoclave(&afresh).expect(3);
    assert_eq!(scene.runs().len(), 2);
    scene.assert_clean();
}

fn champion_branch_in_a_work_tree_is_named_and_the_keep_is_not_lost(setup: Setup) {
    let mut scene = Scene::new(setup);
    let run = scene.held_at(Step::Agent);
    scene
        .stage
        .git(&["checkout", "-q", "-b", "autoclave/smaller"]);
    scene.user_has_changed_it();
    scene.go(Step::Agent);
    let said = expect(&ended(run), 6);
    assert!(said.contains("autoclave/smaller"), "{said}");
    scene.assert_clean();
    assert_eq!(scene.stage.verdicts("smaller"), [KEEP], "it was decided");
    scene.stage.git(&["checkout", "-q", "main"]);
    scene.user_has_changed_it();
    scene.comes_to(0, &[KEEP, WORSE]);
    let number = scene
        .stage
        .git(&["show", "autoclave/smaller:src/number.txt"]);
    assert_eq!(number, "50");
}
