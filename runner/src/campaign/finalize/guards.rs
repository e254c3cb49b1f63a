//! What guards say of a finished branch, and what is tracked on it.

use super::{PassedGuard, TrackedChange, Work};
use crate::campaign::CampaignError;
use crate::campaign::golden::GOLDEN;
use crate::decide::bound::{Held, judge_lines};
use crate::decide::lines::Lines;
use crate::decide::progress::GuardBase;
use crate::decide::tests_passed;
use crate::marker::LineGuard;
use crate::sandbox::Snapshot;

/// A tree that all guards passed on.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// In the marker's order.
    pub guards: Vec<PassedGuard>,
    /// What they printed of what is tracked.
    pub lines: Lines,
}

impl Work<'_> {
    /// Runs all guards on a finished tree, which must pass them.
    ///
    /// # Errors
    ///
    /// Those of the sandbox; [`CampaignError::BaselineNotGreen`] for the first that fails.
    pub(super) async fn pass_guards(&self, measured: &Snapshot) -> Result<Guarded, CampaignError> {
        self.check_guards(measured).await?.map_err(|failed| {
            CampaignError::BaselineNotGreen(format!("{failed}, on the finished branch"))
        })
    }

    /// Runs all guards on a tree; the inner `Err` says which failed, and how.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn check_guards(
        &self,
        measured: &Snapshot,
    ) -> Result<Result<Guarded, String>, CampaignError> {
        let baseline = self.progress.baseline.as_ref();
        let mut guarded = Guarded::default();
        for guard in &self.workshop.marker.guards {
            let base = baseline.and_then(|baseline| baseline.guard(&guard.name));
            let result = self
                .workshop
                .run_guard(guard, base, measured, self.cancel)
                .await?;
            let name = guard.name.clone();
            if let Held::Broken { why } = &result.held {
                return Ok(Err(format!("guard `{name}`: {why}\n{}", result.output)));
            }
            let detail = match (&result.held, tests_passed::words(&result.tests)) {
                (Held::Kept, Some(words)) => words,
                (held, Some(words)) => format!("{}; {words}", held.detail()),
                (held, None) => held.detail().to_owned(),
            };
            guarded.guards.push(PassedGuard { name, detail });
            guarded.lines.add(result.lines);
        }
        if let (Some(_), Some(baseline)) = (&self.workshop.marker.golden, baseline) {
            let sides = (&self.base.measured, measured);
            let difference = self
                .workshop
                .golden_difference(sides, &baseline.golden, self.cancel)
                .await?;
            if let Some(difference) = difference {
                return Ok(Err(difference.told()));
            }
            guarded.guards.push(PassedGuard {
                name: GOLDEN.to_owned(),
                detail: format!("{} outputs are as on the base", baseline.golden.len()),
            });
        }
        Ok(Ok(guarded))
    }

    /// Returns what is tracked on both sides; what only guards print was read on the base by the
    /// run.
    pub(super) fn tracks(&self, [base, tip]: &[Lines; 2], guards: &Lines) -> Vec<TrackedChange> {
        let track = &self.workshop.marker.track;
        let mut before = Lines::tracked(track, &[base]);
        let baseline = self.progress.baseline.iter();
        before.extend(baseline.flat_map(|baseline| baseline.tracks.clone()));
        let after = Lines::tracked(track, &[tip, guards]);
        let changes = after.into_iter().filter_map(|after| {
            let before = before.iter().find(|before| before.name == after.name)?;
            Some(TrackedChange {
                name: after.name,
                base: before.value,
                tip: after.value,
            })
        });
        changes.collect()
    }
}

/// Holds what the measurements of a branch printed against those of the base.
///
/// # Errors
///
/// Which of `guards` the branch breaks, and how.
pub(super) fn pass_line_guards(
    guards: &[LineGuard],
    [base, tip]: &[Lines; 2],
) -> Result<Vec<PassedGuard>, String> {
    let bases: Vec<GuardBase> = judge_lines(guards, &[], base)
        .into_iter()
        .map(|result| GuardBase {
            name: result.name,
            value: result.value,
            tests: Vec::new(),
        })
        .collect();
    let results = judge_lines(guards, &bases, tip);
    let passed = results.into_iter().map(|result| match &result.held {
        Held::Broken { why } => Err(format!("guard `{}`: {why}", result.name)),
        held => Ok(PassedGuard {
            name: result.name,
            detail: held.detail().to_owned(),
        }),
    });
    passed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marker::{Strictness, Tolerance};
    use crate::model::Direction;

    /// What guards say of a branch that prints `tip` where the base prints `base`.
    fn held(base: &str, tip: &str) -> Result<Vec<PassedGuard>, String> {
        let guard = LineGuard {
            name: "memory".into(),
            line: "rss".into(),
            threshold: None,
            direction: Direction::Lower,
            strictness: Strictness::Soft {
                tolerance: Tolerance::Amount(1.0),
            },
        };
        let lines = [base, tip].map(|printed| Lines::read(["rss"], printed.as_bytes()));
        pass_line_guards(&[guard], &lines)
    }

    #[test]
    fn a_branch_is_held_against_what_the_base_printed_in_the_same_rounds() {
        let detail = |tip| held("METRIC rss=5\n", tip).map(|passed| passed[0].detail.clone());
        assert_eq!(detail("METRIC rss=4\n").unwrap(), "passed");
        assert_eq!(
            detail("METRIC rss=6\n").unwrap(),
            "6 is above 5, within the tolerated 1"
        );
        assert_eq!(
            detail("METRIC rss=7\n").unwrap_err(),
            "guard `memory`: 7 is above 5 by more than the tolerated 1"
        );
        assert!(detail("").unwrap_err().starts_with("guard `memory`: "));
    }
}
