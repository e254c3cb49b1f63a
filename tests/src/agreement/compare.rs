//! Asks the model, lets the prober ask the kernel, and compares.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use autoclave_policies::{
    Access, AccessParts, Decision, HostPolicy, HostSide, Layer, Operation, Plan, RepoPath,
};
use autoclave_runner::model::FileKind;
use nix::errno::Errno;

use super::kept;
use super::row::{Row, Stage};
use super::world::World;
use crate::containers::Outcome;

/// What was asked, and every answer in which model and kernel differ.
#[derive(Debug, Default)]
pub struct Comparison {
    pub pairs: usize,
    /// How many of them the model allows.
    pub allowed: usize,
    /// Changes whose fate was compared.
    pub fates: usize,
    /// Each with all that is needed to understand it.
    pub disagreements: Vec<String>,
}

/// One question: a path, in the workspace or absolute, and an operation.
pub(super) struct Pair {
    path: Vec<u8>,
    operation: Operation,
    decision: Decision,
    /// Links lead it out of the workspace, to what need not be there.
    is_led_outside: bool,
    /// The kernel's own ways to say "allowed, but not like this".
    other_ways: Vec<Errno>,
}

/// Compares model and kernel for the worlds of `seeds` on `row`. `secret` is a file of the caller's
/// on the host that no sandbox may see.
///
/// # Errors
///
/// Those of the sandbox: a backend that is not there is one.
pub async fn compare(
    row: &Row,
    seeds: &[u64],
    (state, prober, secret): (&Path, &Path, &Path),
) -> Outcome<Comparison> {
    let stage = Stage::new(row, state, prober).await?;
    let mut comparison = Comparison::default();
    for world in seeds.iter().copied().map(World::new) {
        let plan = stage.plan(&world)?;
        let snapshot = stage.import(&world, &plan).await?;
        let host_policy = host_policy();
        let side = HostSide {
            policy: &host_policy,
            home: secret.parent(),
            protects_hard_links: protects_hard_links()?,
        };
        let access = Access::new(AccessParts {
            policy: &world.policy,
            tree: &world.tree,
            plan: &plan,
            backend: row.backend(),
            host: &side,
        });
        let pairs = questions(&world, &plan, &access, row, secret);
        let asked = encode(pairs.iter().map(|pair| (pair.operation, &pair.path[..])));
        let probed = stage.probe((&snapshot, &plan), &[], asked).await;
        let (finished, printed) = probed.map_err(|error| context(&world, &error.to_string()))?;
        let answers: Vec<i32> = printed.lines().map(str::parse).collect::<Result<_, _>>()?;
        if answers.len() != pairs.len() {
            return Err(context(&world, "the prober lost its count").into());
        }
        comparison.pairs += pairs.len();
        comparison.allowed += pairs.iter().filter(|pair| pair.decision.is_allowed).count();
        for (pair, errno) in pairs.iter().zip(answers) {
            if let Some(why) = pair.differs(errno) {
                comparison.disagreements.push(pair.told(&world, why, errno));
            }
        }
        drop(finished);
        let fates = kept::compare(&stage, &world, (&snapshot, &plan), &access).await;
        let (fates, differences) = fates.map_err(|error| context(&world, &error.to_string()))?;
        comparison.fates += fates;
        comparison.disagreements.extend(differences);
    }
    stage.sandbox.close().await;
    Ok(comparison)
}

/// Returns every question about a world, with the model's answer.
fn questions(
    world: &World,
    plan: &Plan,
    access: &Access<'_>,
    row: &Row,
    secret: &Path,
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for path in world.paths(plan) {
        for operation in Operation::ALL {
            let decision = access.decide(&path, operation);
            pairs.push(Pair {
                path: path.as_bytes().to_vec(),
                operation,
                is_led_outside: decision.rule.is_outside(),
                decision,
                other_ways: other_ways(operation, world, &path),
            });
        }
    }
    for (path, operations) in outside(row, secret) {
        for operation in operations {
            pairs.push(Pair {
                path: path.as_os_str().as_encoded_bytes().to_vec(),
                operation: *operation,
                decision: access.decide_outside(path, *operation),
                is_led_outside: false,
                other_ways: Vec::new(),
            });
        }
    }
    pairs
}

/// Returns what the kernel says when all that permits has agreed, and the file system does not do
/// it in one step: these come after every check of rights; see vfs_rename and vfs_rmdir.
fn other_ways(operation: Operation, world: &World, path: &RepoPath) -> Vec<Errno> {
    match operation {
        // An overlay moves no directory of a lower layer: mv(1) then copies.
        Operation::RenameAway
            if !matches!(
                world.kind_of(path),
                Some(FileKind::File { .. } | FileKind::Symlink { .. })
            ) =>
        {
            vec![Errno::EXDEV]
        }
        Operation::RemoveDirectory => vec![Errno::ENOTEMPTY],
        _ => Vec::new(),
    }
}

/// Returns paths outside of the workspace that are there, or can be made, on every row.
fn outside<'a>(row: &Row, secret: &'a Path) -> Vec<(&'a Path, &'static [Operation])> {
    const MAKE: &[Operation] = &[
        Operation::CreateFile,
        Operation::CreateDirectory,
        Operation::CreateLink,
    ];
    const PROGRAM: &[Operation] = &[
        Operation::Read,
        Operation::Write,
        Operation::Truncate,
        Operation::Append,
        Operation::RemoveFile,
        Operation::RenameAway,
        Operation::RenameOver,
        Operation::HardLink,
        Operation::Chmod,
        Operation::SetTimes,
        Operation::Execute,
    ];
    const FILE: &[Operation] = &[
        Operation::Read,
        Operation::Write,
        Operation::Truncate,
        Operation::Append,
        Operation::RemoveFile,
        Operation::RenameAway,
        Operation::RenameOver,
        Operation::HardLink,
        Operation::Chmod,
        Operation::SetTimes,
    ];
    const DEVICE: &[Operation] = &[
        Operation::Write,
        Operation::RemoveFile,
        Operation::RenameAway,
        Operation::Chmod,
        Operation::SetTimes,
    ];
    let mut asked = vec![
        (Path::new("/usr/bin/env"), PROGRAM),
        (Path::new("/usr/new"), MAKE),
        (Path::new("/etc/passwd"), FILE),
        (Path::new("/etc/new"), MAKE),
        (Path::new("/tmp/new"), MAKE),
        (Path::new("/home/agent/new"), MAKE),
        (Path::new("/home/agent"), &[Operation::List]),
        (Path::new("/dev/null"), DEVICE),
        (Path::new("/dev/zero"), &[Operation::Read]),
        (
            Path::new("/proc/version"),
            &[Operation::Read, Operation::Write],
        ),
        (Path::new("/root"), &[Operation::List]),
        (Path::new("/new"), MAKE),
    ];
    if *row != Row::Landlock {
        asked.push((Path::new("/dev/shm/new"), MAKE));
    }
    asked.push((secret, FILE));
    asked
}

impl Pair {
    /// Returns how model and kernel differ, if they do.
    fn differs(&self, errno: i32) -> Option<&'static str> {
        let is_done = errno == 0 || self.other_ways.iter().any(|way| *way as i32 == errno);
        match (self.decision.is_allowed, is_done) {
            (true, true) => None,
            // What is outside of the workspace the model does not know: only what may be done.
            _ if self.is_about_another_kind(errno) => None,
            (true, false) => Some("the model allows what the kernel refuses"),
            (false, true) => Some("the model refuses what the kernel allows"),
            (false, false) => {
                let expected = errnos(self.decision.layer);
                let is_expected = expected.iter().any(|other| *other as i32 == errno);
                (!is_expected).then_some("the kernel refuses for another reason")
            }
        }
    }

    fn is_about_another_kind(&self, errno: i32) -> bool {
        let unknown = [
            Errno::ENOENT,
            Errno::ENOTDIR,
            Errno::EISDIR,
            Errno::EEXIST,
            Errno::EXDEV,
        ];
        // A directory cannot be executed.
        let is_directory = self.operation == Operation::Execute && errno == Errno::EACCES as i32;
        self.is_led_outside && (is_directory || unknown.iter().any(|other| *other as i32 == errno))
    }

    fn told(&self, world: &World, why: &str, errno: i32) -> String {
        let path = String::from_utf8_lossy(&self.path);
        let kernel = if errno == 0 {
            "done".to_owned()
        } else {
            Errno::from_raw(errno).to_string()
        };
        let answer = format!(
            "{why}: `{}` of {path:?}; model: {} (layer {:?}); kernel: {kernel}",
            self.operation, self.decision, self.decision.layer,
        );
        context(world, &answer)
    }
}

/// Returns how the kernel says that a layer holds something off.
fn errnos(layer: Layer) -> &'static [Errno] {
    match layer {
        Layer::Absent => &[Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP],
        // Rights may be looked at first.
        Layer::Kind => &[
            Errno::EEXIST,
            Errno::EISDIR,
            Errno::ENOTDIR,
            Errno::ENOTEMPTY,
            Errno::EACCES,
            Errno::EPERM,
        ],
        Layer::Ownership => &[Errno::EACCES, Errno::EPERM],
        // Without the right to move between directories, it is another device for the command.
        Layer::Landlock => &[Errno::EACCES, Errno::EXDEV],
        Layer::ReadOnlyMount => &[
            Errno::EROFS,
            Errno::EACCES,
            Errno::EPERM,
            Errno::EXDEV,
            Errno::EBUSY,
        ],
        Layer::MountNamespace => &[Errno::ENOENT, Errno::EACCES],
        Layer::NetworkNamespace | Layer::Seccomp | Layer::Gateway | Layer::Ungoverned => &[],
    }
}

/// Writes down questions for the prober.
pub(super) fn encode<'a>(asked: impl Iterator<Item = (Operation, &'a [u8])>) -> Vec<u8> {
    let mut input = Vec::new();
    for (operation, path) in asked {
        let position = Operation::ALL.iter().position(|other| *other == operation);
        let number = position.and_then(|position| u8::try_from(position + 1).ok());
        input.push(number.expect("there are few operations"));
        input.extend_from_slice(path);
        input.push(0);
    }
    input
}

/// Adds what the world is to a sentence about it.
pub(super) fn context(world: &World, said: &str) -> String {
    let mut text = format!("seed {}: {said}\n  {:?}\n ", world.seed, world.rules);
    for entry in world.visible() {
        // Writing to a string does not fail.
        let _ = write!(text, " {}", entry.path);
    }
    text
}

fn protects_hard_links() -> Outcome<bool> {
    let text = std::fs::read_to_string("/proc/sys/fs/protected_hardlinks")?;
    Ok(text.trim() == "1")
}

fn host_policy() -> HostPolicy {
    HostPolicy {
        name: "none".to_owned(),
        read: Vec::new(),
        deny: Vec::new(),
        path: Vec::new(),
        env: BTreeMap::new(),
    }
}
