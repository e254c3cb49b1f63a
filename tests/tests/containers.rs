//! The container backend without a run around it: what it leaves, and in which order it works.

use autoclave_runner::sandbox::{Sandbox, SandboxError};
use e2e::containers::{Spans, Stage, file};
use e2e::stage::Backend;

/// Returns the tests' engine, except where whoever runs them does without.
fn engine() -> Option<String> {
    if Backend::Container.is_skipped() {
        return None;
    }
    let engine = std::env::var("AUTOCLAVE_TEST_ENGINE");
    Some(engine.expect("AUTOCLAVE_TEST_ENGINE names the engine; tests/run sets it"))
}

#[test]
fn container_is_removed_before_the_next_command_begins() {
    let Some(engine) = engine() else { return };
    let (spans, _collecting) = Spans::collected();
    let stage = Stage::new(&engine).unwrap();
    stage.runtime.block_on(stage.run_true()).unwrap();
    // The one that the snapshot was made in has gone while the first one started.
    spans.take();
    stage.runtime.block_on(stage.run_true()).unwrap();
    let mut ended: Vec<&str> = spans.take().into_iter().map(|(name, _)| name).collect();
    ended.retain(|name| ["remove", "prove", "command"].contains(name));
    assert_eq!(ended, ["remove", "prove", "command"]);
    stage.close();
}

#[test]
fn file_that_cannot_be_read_ends_an_import_and_leaves_nothing() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new(&engine).unwrap();
    // The one that the stage's snapshot was made in goes with the next call.
    assert_eq!(stage.left_on_the_engine().unwrap().len(), 1);
    let mut entries = (0..2000)
        .map(|n| file(&format!("src/{n}"), "text\n"))
        .chain([Err("a broken object".into())]);
    let imported = stage.sandbox.import(&mut entries, &stage.plan);
    match stage.runtime.block_on(imported) {
        Err(SandboxError::Entries(cause)) => assert_eq!(cause.to_string(), "a broken object"),
        other => panic!("{other:?}"),
    }
    stage.runtime.block_on(stage.sandbox.close());
    let left = stage.left_on_the_engine().unwrap();
    assert_eq!(left, Vec::<String>::new());
    stage.close();
}

#[test]
fn entry_after_entry_arrives_whatever_the_archive_is_cut_into() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new(&engine).unwrap();
    let large = "0123456789abcdef".repeat(200_000);
    let mut entries = (0..1000)
        .map(|n| file(&format!("src/{n}"), &"x".repeat(n)))
        .chain([file("src/large", &large)]);
    let snapshot = stage.sandbox.import(&mut entries, &stage.plan);
    let snapshot = stage.runtime.block_on(snapshot).unwrap();
    let look = "cd src && ls | wc -l && cat ? ?? ??? | wc -c && sha256sum <large";
    let (_, printed) = stage
        .runtime
        .block_on(stage.run(&snapshot, &["sh", "-c", look]))
        .unwrap();
    let digest = "69cc92e41a3c392a040d45bd229a7e094995e7626c894611fc5864f2c4817c38";
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        format!("1001\n499500\n{digest}  -\n")
    );
    drop(snapshot);
    stage.close();
}
