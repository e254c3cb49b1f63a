//! The winners as clean, reviewable branches, measured afresh.

mod branch;
mod guards;
mod parts;
mod pick;
mod report;
mod rounds;
mod weigh;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::emitter::Emitter;
use super::resume::{latest_progress, lock_marker};
use super::workshop::{Base, HostFacts, Workshop};
use crate::decide::effect::Effect;
use crate::decide::progress::{ExperimentRecord, Progress};
use crate::event::Reporter;
use crate::marker::Marker;
use crate::model::{CommitId, ExperimentNumber, Metric, Verdict};
use crate::repo::{Existing, Repo};

/// What to make of a marker's newest run.
#[derive(Debug)]
pub struct FinalizeRequest {
    pub marker: Marker,
    /// The branch to make; `None` is `autoclave/<marker>-final`.
    pub branch: Option<String>,
    pub shape: Shape,
    /// All winners of a branch in one commit.
    pub squash: bool,
    pub host: HostFacts,
    pub cancel: CancellationToken,
}

/// What the branches hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One branch with all winners.
    Whole,
    /// One branch, without the winners that are not shown to carry their weight.
    Lean,
    /// A branch for each idea that stands alone.
    Split,
}

/// The finished branches and what was measured on them.
#[derive(Debug)]
pub struct Finalized {
    pub run: String,
    pub base: CommitId,
    /// At least one; more only where they were split.
    pub branches: Vec<FinalBranch>,
    /// Winners that were left out, in the order in which they went.
    pub left_out: Vec<LeftOut>,
    /// Winners that could not be put on different branches.
    pub bonds: Vec<Bond>,
    /// The Markdown body for a pull request, as written beside the run.
    pub markdown: String,
    pub markdown_path: PathBuf,
}

/// One finished branch.
#[derive(Debug)]
pub struct FinalBranch {
    pub name: String,
    /// From the base's to the tip's.
    pub commits: Vec<FinalizedCommit>,
    /// In the marker's order; all of them passed.
    pub guards: Vec<PassedGuard>,
    /// Base against branch, in the order measured.
    pub pairs: Vec<(Metric, Metric)>,
    pub effect: Effect,
    /// In the marker's order.
    pub tracks: Vec<TrackedChange>,
}

/// One commit of a finished branch.
#[derive(Debug, Clone)]
pub struct FinalizedCommit {
    pub commit: CommitId,
    pub subject: String,
    pub experiments: Vec<ExperimentNumber>,
    /// Its share of the gain; `None` where the branch has no other commit.
    pub share: Option<Share>,
}

/// What the branch loses without one of its commits.
#[derive(Debug, Clone)]
pub enum Share {
    Measured(MeasuredShare),
    /// Later commits build on it, so that they cannot be measured without it.
    BuiltOnBy(Vec<ExperimentNumber>),
    /// Without it there is no metric; says why.
    Needed(String),
}

/// The branch without one commit against the whole branch.
#[derive(Debug, Clone)]
pub struct MeasuredShare {
    pub effect: Effect,
    pub pairs: Vec<(Metric, Metric)>,
    /// It is shown to gain something, among all commits tested (Holm) at the marker's `alpha`.
    pub carries: bool,
}

/// A winner that is on no branch.
#[derive(Debug, Clone)]
pub struct LeftOut {
    pub experiment: ExperimentNumber,
    pub subject: String,
    pub share: MeasuredShare,
}

/// Two winners that are on one branch, and why.
#[derive(Debug, Clone)]
pub struct Bond {
    pub earlier: ExperimentNumber,
    pub later: ExperimentNumber,
    pub why: String,
}

/// A guard that was run on a finished branch.
#[derive(Debug, Clone)]
pub struct PassedGuard {
    pub name: String,
    /// That it passed, and how many tests did; what is remarked where it is soft. A fragment.
    pub detail: String,
}

/// A number that is tracked, on the base and on a finished branch.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackedChange {
    pub name: String,
    pub base: Metric,
    pub tip: Metric,
}

/// What all steps of one finalization need.
struct Work<'a> {
    workshop: &'a Workshop,
    progress: &'a Progress,
    base: Base,
    squash: bool,
    cancel: &'a CancellationToken,
}

/// Cherry-picks the kept commits of the newest run onto its base, checks and measures the results
/// and makes the branches. The checkout, index and HEAD are not touched.
///
/// # Errors
///
/// [`CampaignError::Nothing`] when nothing was kept, [`CampaignError::Conflict`] when two winners
/// do not fit together, [`CampaignError::BaselineNotGreen`] when a guard fails on the result.
pub async fn finalize(
    repo: Repo,
    request: FinalizeRequest,
    reporter: &mut dyn Reporter,
) -> Result<Finalized, CampaignError> {
    let cancel = request.cancel.clone();
    let ended = pick_and_measure(repo, request, reporter).await;
    ended.map_err(|error| error.unless_cancelled(&cancel))
}

async fn pick_and_measure(
    repo: Repo,
    request: FinalizeRequest,
    reporter: &mut dyn Reporter,
) -> Result<Finalized, CampaignError> {
    let FinalizeRequest {
        mut marker,
        branch,
        shape,
        squash,
        host,
        cancel,
    } = request;
    // No agent works here.
    marker.sandbox.keep_measurements();
    let nothing = |problem: String| CampaignError::Nothing { problem };
    repo.ignore_runs()?;
    // A run that goes on moves the champion, and measures on the same machine.
    let _lock = lock_marker(&repo.runs_dir(), &marker.name)?;
    let (folder, progress) = latest_progress(&repo.runs_dir(), &marker.name)?
        .ok_or_else(|| nothing(format!("marker `{}` has no run yet", marker.name)))?;
    let kept: Vec<&ExperimentRecord> = progress
        .experiments
        .iter()
        .filter(|e| e.verdict == Verdict::Keep)
        .collect();
    if kept.is_empty() {
        return Err(nothing(format!("run `{}` kept nothing", progress.run)));
    }
    let name = branch.unwrap_or_else(|| format!("autoclave/{}-final", marker.name));
    // Measuring takes long: what would be refused in the end is refused now.
    for name in branch::possible_names(&name, shape, kept.len()) {
        repo.check_new_branch(&name)?;
    }
    let mut emitter = Emitter::unrecorded(reporter);
    let workshop = Workshop::open(repo, marker, progress.base.clone(), &host).await?;
    let made = async {
        let work = Work {
            base: workshop.ready_base(&mut emitter, &cancel).await?,
            workshop: &workshop,
            progress: &progress,
            squash,
            cancel: &cancel,
        };
        let _turn = workshop.turn(&mut emitter, &cancel).await?;
        match shape {
            Shape::Split => parts::split(&work, &kept, &name, &mut emitter).await,
            Shape::Whole | Shape::Lean => {
                let may_leave_out = shape == Shape::Lean;
                branch::whole(&work, &kept, &name, may_leave_out, &mut emitter).await
            }
        }
    };
    let made = made.await;
    workshop.close().await;
    let made = made?;
    let mut finalized = Finalized {
        run: progress.run.to_string(),
        base: progress.base.clone(),
        branches: made.branches,
        left_out: made.left_out,
        bonds: made.bonds,
        markdown: String::new(),
        markdown_path: folder.path().join("finalize.md"),
    };
    finalized.markdown = report::markdown(&finalized, &workshop.marker, &kept);
    // The report is there before the branches: who sees a branch can read why.
    folder.write("finalize.md", finalized.markdown.as_bytes())?;
    for branch in &finalized.branches {
        let tip = &branch.commits.last().expect("no branch is empty").commit;
        workshop
            .repo
            .create_branch(&branch.name, tip, Existing::Refuse)?;
    }
    Ok(finalized)
}

/// What was made of the winners.
struct Made {
    branches: Vec<FinalBranch>,
    left_out: Vec<LeftOut>,
    bonds: Vec<Bond>,
}
