//! `autoclave finalize`.

use autoclave_runner::campaign::{
    self, FinalBranch, FinalizeRequest, Finalized, FinalizedCommit, MeasuredShare, Shape, Share,
};
use autoclave_runner::decide::noise::median_reading;
use autoclave_runner::model::Metric;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::{reporter, runtime};

/// Make a clean branch of the newest run's winners, measured afresh
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave finalize -m sort-speed --branch faster-sort")]
pub struct FinalizeArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
    /// The branch to make, instead of autoclave/NAME-final
    #[arg(long, value_name = "B")]
    branch: Option<String>,
    /// Put all winners of a branch into one commit
    #[arg(long)]
    squash: bool,
    /// Leave out winners that are not shown to carry their weight, one at a time
    #[arg(long, conflicts_with = "split")]
    lean: bool,
    /// Make a branch for each idea that stands alone: B-1, B-2 and so on
    #[arg(long)]
    split: bool,
}

/// Makes the branches and prints what they hold.
///
/// # Errors
///
/// As the exit codes say.
pub fn run(args: FinalizeArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let host = project::host_facts()?;
    let mut reporter = reporter::standard(Format::Text);
    let shape = match (args.split, args.lean) {
        (true, _) => Shape::Split,
        (false, true) => Shape::Lean,
        (false, false) => Shape::Whole,
    };
    let finalized = runtime::block_on(async |cancel| {
        let FinalizeArgs { branch, squash, .. } = args;
        let request = FinalizeRequest {
            marker,
            branch,
            shape,
            squash,
            host,
            cancel,
        };
        Ok(campaign::finalize(project.repo, request, reporter.as_mut()).await?)
    })?;
    match format {
        Format::Json => output::print_json(&to_json(&finalized, shape))?,
        Format::Text => output::print(&format!(
            "{}\n{} ready; this text is in {}.\n",
            finalized.markdown,
            named(&finalized.branches),
            finalized.markdown_path.display()
        ))?,
    }
    Ok(Exit::Done)
}

/// Names the branches, with the verb that follows them.
pub(super) fn named(branches: &[FinalBranch]) -> String {
    let names: Vec<&str> = branches.iter().map(|branch| branch.name.as_str()).collect();
    match names.as_slice() {
        [one] => format!("Branch {one} is"),
        several => format!("Branches {} are", several.join(", ")),
    }
}

/// The shape that scripts rely on; additive only. One branch is the object itself, several are
/// under `branches`.
fn to_json(finalized: &Finalized, shape: Shape) -> Value {
    let common = json!({
        "run": finalized.run,
        "base": finalized.base,
        "left_out": finalized.left_out.iter().map(|one| json!({
            "experiment": one.experiment,
            "subject": one.subject,
            "share": measured_share(&one.share),
        })).collect::<Vec<_>>(),
    });
    let rest = match (shape, finalized.branches.as_slice()) {
        (Shape::Whole | Shape::Lean, [only]) => branch(only),
        (_, branches) => json!({
            "branches": branches.iter().map(branch).collect::<Vec<_>>(),
            "bonds": finalized.bonds.iter().map(|bond| json!({
                "earlier": bond.earlier,
                "later": bond.later,
                "why": bond.why,
            })).collect::<Vec<_>>(),
        }),
    };
    merged(common, rest)
}

fn branch(branch: &FinalBranch) -> Value {
    let guards = branch.guards.iter();
    let tracks: Map<String, Value> = branch
        .tracks
        .iter()
        .map(|track| {
            let values = json!({"base": track.base, "final": track.tip});
            (track.name.clone(), values)
        })
        .collect();
    json!({
        "branch": branch.name,
        "commits": branch.commits.iter().map(commit).collect::<Vec<_>>(),
        "guards": guards
            .map(|guard| json!({"name": guard.name, "passed": true, "detail": guard.detail}))
            .collect::<Vec<_>>(),
        "tracks": tracks,
        "metric": {
            "base": median_of(&branch.pairs, |pair| pair.0),
            "final": median_of(&branch.pairs, |pair| pair.1),
            "gain": branch.effect.gain,
            "interval": [branch.effect.interval.0, branch.effect.interval.1],
            "p_value": branch.effect.p_value,
            "pairs": branch.pairs.len(),
            "readings": branch.pairs,
        },
    })
}

fn commit(commit: &FinalizedCommit) -> Value {
    json!({
        "commit": commit.commit,
        "subject": commit.subject,
        "experiments": commit.experiments,
        "share": match &commit.share {
            None => Value::Null,
            Some(Share::Measured(share)) => measured_share(share),
            Some(Share::BuiltOnBy(experiments)) => json!({"built_on_by": experiments}),
            Some(Share::Needed(why)) => json!({"needed": why}),
        },
    })
}

fn measured_share(share: &MeasuredShare) -> Value {
    json!({
        "gain": share.effect.gain,
        "interval": [share.effect.interval.0, share.effect.interval.1],
        "p_value": share.effect.p_value,
        "carries": share.carries,
        "readings": share.pairs,
    })
}

fn median_of(pairs: &[(Metric, Metric)], side: impl Fn(&(Metric, Metric)) -> Metric) -> Metric {
    let readings: Vec<Metric> = pairs.iter().map(side).collect();
    median_reading(&readings)
}

/// Returns the fields of both objects.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut one, other) {
        fields.extend(more);
    }
    one
}
