//! The Markdown body for a pull request: what the branches hold and every pair that was measured.

use super::{FinalBranch, Finalized, FinalizedCommit, MeasuredShare, Share};
use crate::decide::effect::Effect;
use crate::decide::progress::ExperimentRecord;
use crate::marker::Marker;
use crate::model::{Cost, Metric};

const HOW: &str = "Measured afresh in pairs, in sandboxes the agent never touched; the number of \
                   pairs was fixed before the first.";

/// Returns the report of `finalized`.
pub(super) fn markdown(
    finalized: &Finalized,
    marker: &Marker,
    kept: &[&ExperimentRecord],
) -> String {
    let title = match marker.description.as_str() {
        "" => &marker.name,
        description => description,
    };
    let mut text = format!("# {title}\n\n{}\n{HOW}\n", gains(finalized, marker));
    for branch in &finalized.branches {
        if finalized.branches.len() > 1 {
            text.push_str(&format!("\n## Branch `{}`\n", branch.name));
        }
        text.push_str(&tracks(branch));
        text.push_str(&commits(branch));
        text.push_str(&guards(branch));
    }
    text.push_str(&left_out(finalized));
    text.push_str(&bonds(finalized));
    text.push_str(&pairs(finalized));
    let cost: Cost = kept.iter().map(|e| e.usage.cost_usd).sum();
    text.push_str(&format!(
        "\nRun `{}`, base `{}`; the kept experiments cost {cost}.\n",
        finalized.run,
        finalized.base.short()
    ));
    text
}

fn gains(finalized: &Finalized, marker: &Marker) -> String {
    let name = marker.metric.name.as_deref().unwrap_or("metric");
    let unit = marker.metric.unit.as_deref().unwrap_or("");
    let is_split = finalized.branches.len() > 1;
    let mut text = "| | base | this branch | gain | interval (95 %) | pairs |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for branch in &finalized.branches {
        let (base, tip) = medians(&branch.pairs);
        let row = if is_split { &branch.name } else { name };
        text.push_str(&format!(
            "| {row} | {base}{unit} | {tip}{unit} | {} | {} | {} |\n",
            percent(branch.effect.gain),
            interval(&branch.effect),
            branch.pairs.len(),
        ));
    }
    text
}

fn tracks(branch: &FinalBranch) -> String {
    if branch.tracks.is_empty() {
        return String::new();
    }
    let mut text = "\n| tracked | base | this branch |\n|---|---|---|\n".to_owned();
    for track in &branch.tracks {
        let (name, base, tip) = (&track.name, track.base, track.tip);
        text.push_str(&format!("| {name} | {base} | {tip} |\n"));
    }
    text
}

fn commits(branch: &FinalBranch) -> String {
    let mut text = "\n## Commits\n\n".to_owned();
    for commit in &branch.commits {
        text.push_str(&format!(
            "- `{}` {} (experiment {}){}\n",
            commit.commit.short(),
            commit.subject,
            numbers(commit),
            commit
                .share
                .as_ref()
                .map(|share| format!(": {}", told(share)))
                .unwrap_or_default()
        ));
    }
    text
}

/// Says for people what a commit carries.
fn told(share: &Share) -> String {
    match share {
        Share::Measured(share) => {
            let gains = format!(
                "{} ({})",
                percent(share.effect.gain),
                interval(&share.effect)
            );
            if share.carries {
                gains
            } else {
                format!("{gains}, **not shown to carry its weight**")
            }
        }
        Share::BuiltOnBy(experiments) => {
            let numbers: Vec<String> = experiments.iter().map(ToString::to_string).collect();
            format!("experiment {} builds on it", numbers.join(", "))
        }
        Share::Needed(why) => {
            let why = why.lines().next().unwrap_or_default();
            format!("needed, since without it: {why}")
        }
    }
}

fn guards(branch: &FinalBranch) -> String {
    if branch.guards.is_empty() {
        return String::new();
    }
    let mut text = "\n## Guards\n\n".to_owned();
    for guard in &branch.guards {
        let detail = match guard.detail.as_str() {
            "passed" => String::new(),
            detail => format!(" ({detail})"),
        };
        text.push_str(&format!("- {}: passed{detail}\n", guard.name));
    }
    text
}

fn left_out(finalized: &Finalized) -> String {
    if finalized.left_out.is_empty() {
        return String::new();
    }
    let mut text =
        "\n## Left out\n\nWithout these the branch is not measurably worse.\n\n".to_owned();
    for one in &finalized.left_out {
        text.push_str(&format!(
            "- {} (experiment {}): {} ({})\n",
            one.subject,
            one.experiment,
            percent(one.share.effect.gain),
            interval(&one.share.effect)
        ));
    }
    text
}

fn bonds(finalized: &Finalized) -> String {
    if finalized.bonds.is_empty() {
        return String::new();
    }
    let mut text = "\n## Not to be separated\n\n".to_owned();
    for bond in &finalized.bonds {
        text.push_str(&format!(
            "- experiments {} and {}: {}\n",
            bond.earlier, bond.later, bond.why
        ));
    }
    text
}

/// Every reading, for who wants to judge anew.
fn pairs(finalized: &Finalized) -> String {
    let mut text = "\n<details><summary>All pairs</summary>\n\n".to_owned();
    for branch in &finalized.branches {
        text.push_str(&table(
            &format!("base and `{}`", branch.name),
            &branch.pairs,
        ));
        for commit in &branch.commits {
            if let Some(Share::Measured(MeasuredShare { pairs, .. })) = &commit.share {
                let title = format!("without and with `{}`", commit.commit.short());
                text.push_str(&table(&title, pairs));
            }
        }
    }
    for one in &finalized.left_out {
        let title = format!("without and with experiment {}", one.experiment);
        text.push_str(&table(&title, &one.share.pairs));
    }
    text.push_str("</details>\n");
    text
}

fn table(title: &str, pairs: &[(Metric, Metric)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} {b}")).collect();
    format!("{title}:\n\n```\n{}\n```\n\n", pairs.join("\n"))
}

fn numbers(commit: &FinalizedCommit) -> String {
    let numbers: Vec<String> = commit.experiments.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

fn percent(fraction: f64) -> String {
    format!("{:+.2} %", 100.0 * fraction)
}

fn interval(effect: &Effect) -> String {
    let (low, high) = effect.interval;
    format!("{} to {}", percent(low), percent(high))
}

/// Returns the median reading of each side.
fn medians(pairs: &[(Metric, Metric)]) -> (Metric, Metric) {
    let (base, tip): (Vec<Metric>, Vec<Metric>) = pairs.iter().copied().unzip();
    (
        crate::decide::noise::median_reading(&base),
        crate::decide::noise::median_reading(&tip),
    )
}
