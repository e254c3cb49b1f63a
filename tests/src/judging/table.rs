//! The scores of all rules in all worlds as a Markdown table.

use super::rules::Rule;
use super::worlds::World;
use super::{Candidates, play};

/// Plays all rules in all worlds, `sessions` times each.
pub fn table(sessions: u32) -> String {
    let mut text = String::from(
        "| noise | rule | false keeps per 100 null | gain reported / true, null | true 3 % gains kept | \
         neutral kept | 3 % regressions kept | gain reported / true, mixed | runs per experiment |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for world in World::ALL {
        for rule in Rule::ALL {
            let null = play(rule, world, Candidates::Null, sessions);
            let mixed = play(rule, world, Candidates::Mixed, sessions);
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            let gains = |reported: f64, truth: f64| {
                // Adding 0 makes -0 a 0.
                let rounded = |gain: f64| (1000.0 * gain).round() / 10.0 + 0.0;
                format!("{:+.1} / {:+.1} %", rounded(reported), rounded(truth))
            };
            let runs = f64::from(null.runs + mixed.runs) / f64::from(200 * sessions);
            text.push_str(&format!(
                "| {} | {} | {:.2} | {} | {} | {} | {} | {} | {runs:.1} |\n",
                world.name(),
                rule.name(),
                f64::from(null.neutral.kept) / f64::from(sessions),
                gains(null.reported_gain(), null.true_gain()),
                percent(mixed.better.share()),
                percent(mixed.neutral.share()),
                percent(mixed.worse.share()),
                gains(mixed.reported_gain(), mixed.true_gain()),
            ));
        }
    }
    text
}
