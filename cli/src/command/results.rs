//! `autoclave results`.

use autoclave_runner::campaign::latest_progress;
use autoclave_runner::decide::progress::{ExperimentRecord, Progress};
use autoclave_runner::model::Metric;
use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::Project;
use crate::reporter::words::one_line;
use crate::table::{Column, Table};

/// Show what the newest run of a marker tried and what came of it
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave results -m sort-speed --json")]
pub struct ResultsArgs {
    /// The marker; may be left out when there is only one
    #[arg(short, long, value_name = "NAME")]
    marker: Option<String>,
}

/// Prints the results.
///
/// # Errors
///
/// [`Exit::NothingKept`] when the marker has no run.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: ResultsArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let marker = project.marker(args.marker.as_deref())?;
    let Some((_, progress)) = latest_progress(&project.repo.runs_dir(), &marker.name)? else {
        let message = format!("marker `{}` has no run yet", marker.name);
        return Err(Failure::new(Exit::NothingKept, message).hint("`autoclave run` starts one."));
    };
    match format {
        Format::Json => {
            output::print_json(&to_json(&marker.name, &progress))?;
        }
        Format::Text => {
            let mut lines = table(&progress).lines();
            lines.push(String::new());
            output::print(&lines.join("\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// The shape that scripts rely on; additive only.
fn to_json(marker: &str, progress: &Progress) -> Value {
    let baseline = progress.baseline.as_ref().map(|baseline| baseline.value);
    json!({
        "marker": marker,
        "run": progress.run,
        "direction": progress.direction,
        "baseline": {
            "commit": progress.base,
            "value": baseline,
            "tracks": output::tracks(progress.baseline.as_ref().map_or(&[], |b| &b.tracks)),
        },
        "champion": {
            "commit": progress.champion,
            "value": progress.champion_value,
            "tracks": output::tracks(progress.champion_tracks()),
        },
        "experiments": progress.experiments.iter().map(experiment).collect::<Vec<_>>(),
    })
}

fn experiment(experiment: &ExperimentRecord) -> Value {
    json!({
        "n": experiment.n,
        "verdict": experiment.verdict.word(),
        "reason": experiment.verdict.reason(),
        "commit": experiment.commit,
        "value": experiment.value,
        "gain": experiment.gain,
        "pairs": experiment.pairs,
        "turns": experiment.usage.turns,
        "input_tokens": experiment.usage.input_tokens,
        "output_tokens": experiment.usage.output_tokens,
        "cost_usd": experiment.usage.cost_usd,
        "seconds": experiment.seconds,
        "denied": experiment.denied,
        "summary": experiment.summary,
        "remarks": experiment.remarks,
        "tracks": output::tracks(&experiment.tracks),
    })
}

fn table(progress: &Progress) -> Table {
    let mut table = Table::new(&[
        Column::Right("#"),
        Column::Left("verdict"),
        Column::Right("value"),
        Column::Right("gain"),
        Column::Right("pairs"),
        Column::Right("denied"),
        Column::Right("cost"),
        Column::Left("summary"),
    ]);
    let number = |value: Option<Metric>| value.map(|value| value.to_string()).unwrap_or_default();
    for e in &progress.experiments {
        table.row([
            e.n.to_string(),
            e.verdict.to_string(),
            number(e.value),
            e.gain
                .map(|gain| format!("{:+.1} %", 100.0 * gain))
                .unwrap_or_default(),
            e.pairs.to_string(),
            e.denied.to_string(),
            e.usage.cost_usd.to_string(),
            one_line(&e.summary, usize::MAX),
        ]);
    }
    table
}
