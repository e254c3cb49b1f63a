//! Lets the prober change things for good, and compares what becomes of them with the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use autoclave_policies::{Access, Operation, Outcome as Fate, Plan, RepoPath};
use autoclave_runner::model::FileKind;
use autoclave_runner::sandbox::{ChangeLimits, Snapshot};

use super::compare::{context, encode};
use super::dice::Dice;
use super::row::Stage;
use super::world::World;
use crate::containers::Outcome;

/// Makes one change at each of many paths that do not touch one another. Returns how many, and
/// where the model foretold something else than what was read at the end.
///
/// # Errors
///
/// Those of the sandbox and the prober.
pub async fn compare(
    stage: &Stage,
    world: &World,
    (snapshot, plan): (&Snapshot, &Plan),
    access: &Access<'_>,
) -> Outcome<(usize, Vec<String>)> {
    let changes = choose(world, plan, access);
    let asked = encode(
        changes
            .iter()
            .map(|(path, operation, _)| (*operation, path.as_bytes())),
    );
    let probed = stage.probe((snapshot, plan), &["keep"], asked);
    let (finished, printed) = probed.await?;
    let policy = Arc::new(world.policy.clone());
    let read = finished.remains.changes(policy, ChangeLimits::default());
    let read = read.await?;
    let accepted: BTreeSet<&RepoPath> = read.accepted.iter().map(|change| &change.path).collect();
    let dropped: BTreeSet<&RepoPath> = read.dropped.iter().map(|dropped| &dropped.path).collect();
    let mut differences = Vec::new();
    for ((path, operation, fate), errno) in changes.iter().zip(printed.lines()) {
        let found = match (accepted.contains(path), dropped.contains(path)) {
            (true, false) => Fate::Kept,
            (false, true) => Fate::Dropped,
            (false, false) => Fate::ThrownAway,
            (true, true) => return Err(context(world, "a change is taken and dropped").into()),
        };
        if found != *fate {
            let said = format!(
                "`{operation}` of `{path}` (errno {errno}): the model says `{fate}`, it was `{found}`"
            );
            differences.push(context(world, &said));
        }
    }
    Ok((changes.len(), differences))
}

/// Chooses allowed changes at paths that no link leads to and of which none lies in another.
fn choose(world: &World, plan: &Plan, access: &Access<'_>) -> Vec<(RepoPath, Operation, Fate)> {
    let mut dice = Dice::new(world.seed ^ 0xfa7e);
    let mut chosen: Vec<(RepoPath, Operation, Fate)> = Vec::new();
    for path in world.paths(plan) {
        let operations: &[Operation] = match world.kind_of(&path) {
            Some(FileKind::File { .. }) => &[
                Operation::Write,
                Operation::Truncate,
                Operation::Append,
                Operation::RemoveFile,
                Operation::Chmod,
                Operation::SetTimes,
            ],
            Some(FileKind::Symlink { .. }) => &[Operation::RemoveFile],
            Some(FileKind::Directory) => continue,
            None if world.is_directory(&path) => &[Operation::SetTimes],
            None => &[Operation::CreateFile, Operation::CreateDirectory],
        };
        let operation = dice.pick(operations);
        let is_through_link = std::iter::successors(path.parent(), RepoPath::parent)
            .any(|above| world.kind_of(&above).is_some());
        let clashes = |(other, _, _): &(RepoPath, Operation, Fate)| {
            path.is_within(other) || other.is_within(&path)
        };
        if let Some(fate) = access.decide(&path, operation).outcome
            && !is_through_link
            && !chosen.iter().any(clashes)
        {
            chosen.push((path, operation, fate));
        }
    }
    chosen
}
