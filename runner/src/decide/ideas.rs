//! The backlog of ideas that were not kept: `ideas.md`.

use crate::model::Verdict;

use super::brief::{headline, one_line};
use super::record::ExperimentRecord;

/// Returns `ideas.md`: what was tried and not kept, and why, in order.
pub fn ideas(experiments: &[ExperimentRecord]) -> String {
    let entries = experiments
        .iter()
        .filter(|experiment| matches!(experiment.verdict, Verdict::Discard(_)))
        .map(|experiment| {
            let why = one_line(&experiment.detail);
            format!("\n- {}\n  {why}\n", headline(experiment))
        });
    std::iter::once("# Ideas not kept\n".to_owned())
        .chain(entries)
        .collect()
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
}
