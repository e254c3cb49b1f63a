//! The backlog of ideas that were not kept: `ideas.md`.

use crate::model::Verdict;

use super::brief::{headline, one_line};
use super::record::ExperimentRecord;

/// Returns `ideas.md`: what was tried and not kept, and why, in order; near misses first.
pub fn ideas(experiments: &[ExperimentRecord]) -> String {
    let entry = |experiment: &ExperimentRecord| {
        let why = one_line(&experiment.detail);
        format!("\n- {}\n  {why}\n", headline(experiment))
    };
    let discarded = experiments
        .iter()
        .filter(|experiment| matches!(experiment.verdict, Verdict::Discard(_)));
    let (near, others): (Vec<_>, Vec<_>) =
        discarded.partition(|experiment| experiment.is_near_miss());
    let mut text = String::new();
    if !near.is_empty() {
        text.push_str("# Near misses: perhaps better, and not decided\n");
        text.extend(near.into_iter().map(entry));
        text.push('\n');
    }
    text.push_str("# Ideas not kept\n");
    text.extend(others.into_iter().map(entry));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{experiment, kept};
    use crate::model::DiscardReason;

    #[test]
    fn only_what_was_discarded_is_listed_with_its_reason() {
        let worse = experiment(2, Verdict::Discard(DiscardReason::Worse));
        assert_eq!(
            ideas(&[kept(1), worse]),
            "# Ideas not kept\n\n- 2. discard(worse), gain +0.0 %: Idea 2\n  worse\n"
        );
    }

    #[test]
    fn near_misses_are_told_apart_from_what_is_no_better() {
        let undecided = |n, gain| ExperimentRecord {
            gain: Some(gain),
            ..experiment(n, Verdict::Discard(DiscardReason::Inconclusive))
        };
        assert_eq!(
            ideas(&[undecided(1, 0.018), undecided(2, -0.01)]),
            "# Near misses: perhaps better, and not decided\n\n\
             - 1. discard(inconclusive), gain +1.8 %: Idea 1\n  inconclusive\n\n\
             # Ideas not kept\n\n- 2. discard(inconclusive), gain -1.0 %: Idea 2\n  inconclusive\n"
        );
    }
}
