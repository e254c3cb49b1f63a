//! The winners as a clean, reviewable branch, measured afresh.

use autoclave_policies::RepoPath;
use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::clock;
use super::emitter::Emitter;
use super::resume::{latest_progress, lock_marker};
use super::workshop::{HostFacts, Workshop};
use crate::decide::bound::{Held, judge_lines};
use crate::decide::lines::Lines;
use crate::decide::progress::{ExperimentRecord, GuardBase, Progress};
use crate::decide::{noise, tests_passed};
use crate::event::Reporter;
use crate::marker::Marker;
use crate::model::{CommitId, ExperimentNumber, Metric, Verdict};
use crate::repo::{Existing, Picked, Repo};
use crate::sandbox::Snapshot;

/// What to make of a marker's newest run.
#[derive(Debug)]
pub struct FinalizeRequest {
    pub marker: Marker,
    /// The branch to make; `None` is `autoclave/<marker>-final`.
    pub branch: Option<String>,
    /// All winners in one commit.
    pub squash: bool,
    pub host: HostFacts,
    pub cancel: CancellationToken,
}

/// The finished branch and what was measured on it.
#[derive(Debug)]
pub struct Finalized {
    pub run: String,
    pub branch: String,
    pub base: CommitId,
    pub commits: Vec<FinalizedCommit>,
    /// Name, result and detail of each guard on the branch, in order.
    pub guards: Vec<(String, bool, String)>,
    pub base_value: Metric,
    pub final_value: Metric,
    /// Relative gain, positive is better, with its interval.
    pub gain: f64,
    pub interval: (f64, f64),
    pub pairs: u32,
    /// Name, base and final value of what is tracked, on both.
    pub tracks: Vec<(String, Metric, Metric)>,
    /// The Markdown body for a pull request, as written beside the run.
    pub markdown: String,
    pub markdown_path: std::path::PathBuf,
}

/// One commit of the finished branch.
#[derive(Debug)]
pub struct FinalizedCommit {
    pub commit: CommitId,
    pub subject: String,
    pub experiments: Vec<ExperimentNumber>,
}

/// Cherry-picks the kept commits of the newest run onto its base, checks the result and makes the
/// branch. The checkout, index and HEAD are not touched.
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
        marker,
        branch,
        squash,
        host,
        cancel,
    } = request;
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
    let branch = branch.unwrap_or_else(|| format!("autoclave/{}-final", marker.name));
    // Measuring takes long: what would be refused in the end is refused now.
    repo.check_new_branch(&branch)?;
    let mut emitter = Emitter::unrecorded(reporter);
    let workshop = Workshop::open(repo, marker, progress.base.clone(), &host).await?;
    let (tip, commits) = pick(&workshop, &progress, &kept, squash)?;
    let base = workshop.base().await?;
    let base = workshop.prepare(base, &mut emitter, &cancel).await?;
    let measured = workshop.measured(&base, &tip).await?;
    let (mut guards, guard_lines) = check_guards(&workshop, &progress, &measured, &cancel).await?;
    let compared = measure(&workshop, &progress, [&base.measured, &measured], &cancel).await?;
    drop((base, measured));
    workshop.sandbox.close().await;
    guards.extend(check_line_guards(&workshop.marker, &compared)?);
    let tracks = tracks(&workshop.marker, &progress, &compared, &guard_lines);
    let mut finalized = Finalized {
        run: progress.run.to_string(),
        branch: branch.clone(),
        base: progress.base.clone(),
        commits,
        guards,
        base_value: compared.base,
        final_value: compared.tip,
        gain: compared.gain,
        interval: compared.interval,
        pairs: compared.pairs,
        tracks,
        markdown: String::new(),
        markdown_path: folder.path().join("finalize.md"),
    };
    finalized.markdown = markdown(&finalized, &workshop.marker, &kept);
    // The report is there before the branch: who sees the branch can read why.
    folder.write("finalize.md", finalized.markdown.as_bytes())?;
    workshop
        .repo
        .create_branch(&branch, &tip, Existing::Refuse)?;
    Ok(finalized)
}

/// Builds the commits of the branch in the object database.
fn pick(
    workshop: &Workshop,
    progress: &Progress,
    kept: &[&ExperimentRecord],
    squash: bool,
) -> Result<(CommitId, Vec<FinalizedCommit>), CampaignError> {
    let repo = &workshop.repo;
    let mut tip = progress.base.clone();
    let mut commits: Vec<FinalizedCommit> = Vec::new();
    let mut before = progress.baseline.as_ref().map(|baseline| baseline.value);
    for (position, experiment) in kept.iter().enumerate() {
        let commit = experiment
            .commit
            .as_ref()
            .expect("a kept experiment has a commit");
        let subject = subject(experiment);
        let message = message(&subject, workshop, progress, experiment, before);
        match repo.cherry_pick(&tip, commit, &message, clock::now_seconds())? {
            Picked::Done(picked) => {
                tip = picked.clone();
                commits.push(FinalizedCommit {
                    commit: picked,
                    subject,
                    experiments: vec![experiment.n],
                });
            }
            Picked::Empty => {
                if let Some(last) = commits.last_mut() {
                    last.experiments.push(experiment.n);
                }
            }
            Picked::Conflict { paths } => {
                let earlier = last_to_change(&paths, repo, progress, &kept[..position])?;
                return Err(CampaignError::Conflict {
                    earlier: earlier.map_or_else(|| "the base".into(), |n| n.to_string()),
                    later: experiment.n.to_string(),
                    paths: paths.iter().map(ToString::to_string).collect(),
                });
            }
        }
        before = experiment.value;
    }
    if squash {
        let subject = match kept {
            [only] => self::subject(only),
            _ => format!(
                "Improve {} ({} experiments)",
                workshop.marker.name,
                kept.len()
            ),
        };
        let list: String = kept
            .iter()
            .map(|e| format!("- {}\n", self::subject(e)))
            .collect();
        let text = format!("{subject}\n\n{list}\nAutoclave-Run: {}\n", progress.run);
        let squashed = repo.squash(&progress.base, &tip, &text, clock::now_seconds())?;
        let experiments = kept.iter().map(|e| e.n).collect();
        return Ok((
            squashed.clone(),
            vec![FinalizedCommit {
                commit: squashed,
                subject,
                experiments,
            }],
        ));
    }
    Ok((tip, commits))
}

/// Returns the last of `kept` that changed one of `paths`.
fn last_to_change(
    paths: &[RepoPath],
    repo: &Repo,
    progress: &Progress,
    kept: &[&ExperimentRecord],
) -> Result<Option<ExperimentNumber>, CampaignError> {
    let commits: Vec<(ExperimentNumber, &CommitId)> = kept
        .iter()
        .filter_map(|e| Some((e.n, e.commit.as_ref()?)))
        .collect();
    for (index, (number, commit)) in commits.iter().enumerate().rev() {
        let before = match index {
            0 => &progress.base,
            _ => commits[index - 1].1,
        };
        let changes = repo.changes_between(before, commit)?;
        if changes.iter().any(|change| paths.contains(&change.path)) {
            return Ok(Some(*number));
        }
    }
    Ok(None)
}

fn subject(experiment: &ExperimentRecord) -> String {
    let line = experiment.summary.lines().next().unwrap_or("").trim();
    if line.is_empty() {
        format!("Experiment {}", experiment.n)
    } else {
        line.to_owned()
    }
}

fn message(
    subject: &str,
    workshop: &Workshop,
    progress: &Progress,
    experiment: &ExperimentRecord,
    before: Option<Metric>,
) -> String {
    let name = workshop.marker.metric.name.as_deref().unwrap_or("metric");
    let unit = workshop.marker.metric.unit.as_deref().unwrap_or("");
    let mut text = format!("{subject}\n\n");
    if let (Some(before), Some(after)) = (before, experiment.value) {
        text.push_str(&format!(
            "Autoclave-Metric: {name} {before}{unit} -> {after}{unit}\n"
        ));
    }
    if let Some(gain) = experiment.gain {
        let percent = 100.0 * gain;
        text.push_str(&format!(
            "Autoclave-Evidence: {percent:+.2} % over {} pairs\n",
            experiment.pairs
        ));
    }
    text.push_str(&format!(
        "Autoclave-Run: {}\nAutoclave-Experiment: {}\n",
        progress.run, experiment.n
    ));
    text
}

async fn check_guards(
    workshop: &Workshop,
    progress: &Progress,
    measured: &Snapshot,
    cancel: &CancellationToken,
) -> Result<(Vec<(String, bool, String)>, Lines), CampaignError> {
    let baseline = progress.baseline.as_ref();
    let mut results = Vec::new();
    let mut lines = Lines::default();
    for guard in &workshop.marker.guards {
        let base = baseline.and_then(|baseline| baseline.guard(&guard.name));
        let result = workshop.run_guard(guard, base, measured, cancel).await?;
        if let Held::Broken { why } = &result.held {
            return Err(CampaignError::BaselineNotGreen(format!(
                "guard `{}` on the finished branch: {why}\n{}",
                guard.name, result.output
            )));
        }
        lines.add(result.lines);
        let detail = match (&result.held, tests_passed::words(&result.tests)) {
            (Held::Kept, Some(words)) => words,
            (held, Some(words)) => format!("{}; {words}", held.detail()),
            (held, None) => held.detail().to_owned(),
        };
        results.push((guard.name.clone(), true, detail));
    }
    Ok((results, lines))
}

/// Holds what the measurements of the branch printed against those of the base.
fn check_line_guards(
    marker: &Marker,
    compared: &Remeasured,
) -> Result<Vec<(String, bool, String)>, CampaignError> {
    let [base, tip] = &compared.lines;
    let bases = judge_lines(&marker.line_guards, &[], base);
    let bases: Vec<GuardBase> = bases
        .into_iter()
        .map(|result| GuardBase {
            name: result.name,
            value: result.value,
            tests: Vec::new(),
        })
        .collect();
    let results = judge_lines(&marker.line_guards, &bases, tip);
    let told = results.into_iter().map(|result| match &result.held {
        Held::Broken { why } => Err(CampaignError::BaselineNotGreen(format!(
            "guard `{}` on the finished branch: {why}",
            result.name
        ))),
        held => Ok((result.name, true, held.detail().to_owned())),
    });
    told.collect()
}

/// Returns what is tracked on both sides; what only guards print was read on the base by the run.
fn tracks(
    marker: &Marker,
    progress: &Progress,
    compared: &Remeasured,
    guards: &Lines,
) -> Vec<(String, Metric, Metric)> {
    let [base, tip] = &compared.lines;
    let mut before = Lines::tracked(&marker.track, &[base]);
    before.extend(progress.baseline.iter().flat_map(|b| b.tracks.clone()));
    let after = Lines::tracked(&marker.track, &[tip, guards]);
    let pairs = after.into_iter().filter_map(|after| {
        let before = before.iter().find(|before| before.name == after.name)?;
        Some((after.name, before.value, after.value))
    });
    pairs.collect()
}

/// Base against the finished branch, in fresh pairs.
struct Remeasured {
    base: Metric,
    tip: Metric,
    gain: f64,
    interval: (f64, f64),
    pairs: u32,
    /// What base and branch printed of what guards and tracks read.
    lines: [Lines; 2],
}

async fn measure(
    workshop: &Workshop,
    progress: &Progress,
    [base, tip]: [&Snapshot; 2],
    cancel: &CancellationToken,
) -> Result<Remeasured, CampaignError> {
    let build = |what: &'static str, built: Result<_, String>| {
        built.map_err(|why| CampaignError::BaselineNotGreen(format!("{what}: {why}")))
    };
    let base_built = build("the base", workshop.build(base, cancel).await?)?;
    let tip_built = build("the finished branch", workshop.build(tip, cancel).await?)?;
    let noise = progress
        .baseline
        .as_ref()
        .map_or(0.0, |baseline| baseline.noise);
    let pairs = if noise == 0.0 { 2 } else { 10 };
    let mut readings = Vec::new();
    let mut lines = [Lines::default(), Lines::default()];
    for pair in 0..pairs {
        let mut order = [(&base_built, 0), (&tip_built, 1)];
        if clock::dice() & 1 == 1 {
            order.reverse();
        }
        let mut values = [None, None];
        for (snapshot, side) in order {
            let reading = workshop.read_metric(snapshot, cancel).await?;
            let value = reading.value.map_err(|why| {
                CampaignError::BaselineNotGreen(format!("no metric: {why}\n{}", reading.output))
            })?;
            values[side] = Some(value);
            lines[side].add(reading.lines);
        }
        let [Some(base), Some(tip)] = values else {
            unreachable!("both sides were read")
        };
        tracing::debug!(pair, %base, %tip, "measured");
        readings.push((base, tip));
    }
    Ok(summarize(workshop, &readings, lines))
}

fn summarize(workshop: &Workshop, readings: &[(Metric, Metric)], lines: [Lines; 2]) -> Remeasured {
    let sign = workshop.marker.metric.direction.sign();
    let gains: Vec<f64> = readings
        .iter()
        .map(|(base, tip)| {
            sign * (base.get() - tip.get()) / base.get().abs().max(f64::MIN_POSITIVE)
        })
        .collect();
    let (gain, interval) = noise::mean_interval(&gains);
    let bases: Vec<Metric> = readings.iter().map(|r| r.0).collect();
    let tips: Vec<Metric> = readings.iter().map(|r| r.1).collect();
    Remeasured {
        base: noise::median_reading(&bases),
        tip: noise::median_reading(&tips),
        gain,
        interval,
        pairs: u32::try_from(readings.len()).unwrap_or(u32::MAX),
        lines,
    }
}

fn markdown(finalized: &Finalized, marker: &Marker, kept: &[&ExperimentRecord]) -> String {
    let name = marker.metric.name.as_deref().unwrap_or("metric");
    let unit = marker.metric.unit.as_deref().unwrap_or("");
    let percent = |fraction: f64| format!("{:+.2} %", 100.0 * fraction);
    let mut text = format!(
        "# {}\n\n",
        if marker.description.is_empty() {
            &marker.name
        } else {
            &marker.description
        }
    );
    text.push_str(&format!(
        "| | base | this branch | gain | interval (95 %) | pairs |\n|---|---|---|---|---|---|\n\
         | {name} | {}{unit} | {}{unit} | {} | {} to {} | {} |\n\n",
        finalized.base_value,
        finalized.final_value,
        percent(finalized.gain),
        percent(finalized.interval.0),
        percent(finalized.interval.1),
        finalized.pairs,
    ));
    text.push_str(
        "Measured afresh on the finished branch, in sandboxes the agent never touched.\n\n",
    );
    if !finalized.tracks.is_empty() {
        text.push_str("| tracked | base | this branch |\n|---|---|---|\n");
        for (name, base, tip) in &finalized.tracks {
            text.push_str(&format!("| {name} | {base} | {tip} |\n"));
        }
        text.push('\n');
    }
    text.push_str("## Commits\n\n");
    for commit in &finalized.commits {
        let numbers: Vec<String> = commit.experiments.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "- `{}` {} (experiment {})\n",
            commit.commit.short(),
            commit.subject,
            numbers.join(", ")
        ));
    }
    if !finalized.guards.is_empty() {
        text.push_str("\n## Guards\n\n");
        for (guard, passed, detail) in &finalized.guards {
            let word = if *passed { "passed" } else { "failed" };
            text.push_str(&format!(
                "- {guard}: {word}{}\n",
                if detail == "passed" {
                    String::new()
                } else {
                    format!(" ({detail})")
                }
            ));
        }
    }
    let cost: crate::model::Cost = kept.iter().map(|e| e.usage.cost_usd).sum();
    text.push_str(&format!(
        "\nRun `{}`, base `{}`; the kept experiments cost {cost}.\n",
        finalized.run,
        finalized.base.short()
    ));
    text
}
