//! `autoclave status`.

use autoclave_runner::campaign::{latest_progress, running};
use autoclave_runner::decide::progress::Progress;
use autoclave_runner::marker::Status;
use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::Project;
use crate::table::{Column, Table};

/// Show every marker with the state of its newest run
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave status")]
pub struct StatusArgs {}

/// Prints one line a marker.
///
/// # Errors
///
/// Those of the configuration and of a broken ledger.
pub fn run(_args: &StatusArgs, format: Format) -> Result<Exit, Failure> {
    let project = Project::open()?;
    let mut rows = Vec::new();
    for marker in &project.config.file.markers {
        let latest = latest_progress(&project.repo.runs_dir(), &marker.name)?;
        let progress = latest.as_ref().map(|(_, progress)| progress);
        let holder = running(&project.repo.runs_dir(), &marker.name)?;
        rows.push(json!({
            "marker": marker.name,
            "status": match marker.status { Status::Active => "active", Status::Paused => "paused" },
            "run": progress.map(|p| &p.run),
            "state": match progress {
                _ if holder.is_some() => "running",
                None => "never run",
                Some(p) if p.closed.is_some() => "ended",
                Some(_) => "unfinished",
            },
            "pid": holder.and_then(|holder| holder.pid),
            "ended": progress.and_then(|p| p.closed.as_ref()),
            "experiments": progress.map_or(0, Progress::counted),
            "kept": progress.map_or(0, Progress::kept),
            "champion_value": progress.and_then(|p| p.champion_value),
            "champion_tracks": output::tracks(progress.map_or(&[], Progress::champion_tracks)),
            "cost_usd": progress.map(|p| p.spent),
        }));
    }
    match format {
        Format::Json => output::print_json(&json!({"markers": rows}))?,
        Format::Text => output::print(&text(&rows))?,
    }
    Ok(Exit::Done)
}

fn tracked(tracks: &Value) -> String {
    let tracks = tracks.as_object().into_iter().flatten();
    let words: Vec<String> = tracks
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    words.join(", ")
}

fn text(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        Column::Left("marker"),
        Column::Left("status"),
        Column::Left("newest run"),
        Column::Right("experiments"),
        Column::Right("kept"),
        Column::Right("champion"),
        Column::Left("tracked"),
        Column::Left("run"),
    ]);
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for row in rows {
        table.row([
            cell(&row["marker"]),
            cell(&row["status"]),
            cell(&row["state"]),
            cell(&row["experiments"]),
            cell(&row["kept"]),
            cell(&row["champion_value"]),
            tracked(&row["champion_tracks"]),
            cell(&row["run"]),
        ]);
    }
    let mut text = table.lines().join("\n");
    text.push('\n');
    text
}
