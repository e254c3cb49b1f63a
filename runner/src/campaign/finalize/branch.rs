//! One branch with all winners, or with those that carry their weight.

use super::guards::{Guarded, pass_line_guards};
use super::pick::{Line, subject};
use super::rounds::Contrast;
use super::{FinalBranch, FinalizedCommit, LeftOut, Made, Shape, Share, Work};
use crate::campaign::CampaignError;
use crate::campaign::emitter::Emitter;
use crate::decide::effect::effect;
use crate::decide::progress::ExperimentRecord;

/// Makes one branch of `winners`; where it `may_leave_out`, without those that do not carry their
/// weight, one at a time, because two that do the same are each dispensable and not both.
///
/// # Errors
///
/// See [`super::finalize`].
pub(super) async fn whole(
    work: &Work<'_>,
    winners: &[&ExperimentRecord],
    name: &str,
    may_leave_out: bool,
    emitter: &mut Emitter<'_>,
) -> Result<Made, CampaignError> {
    let mut winners = winners.to_vec();
    let mut left_out: Vec<LeftOut> = Vec::new();
    let branch = loop {
        let mut line = work.fit_together(&winners)?;
        let measured = work.workshop.measured(&work.base, &line.tip).await?;
        let guarded = work.pass_guards(&measured).await?;
        let weighed = work.weigh(&line, &winners, &measured, emitter).await?;
        for (commit, share) in line.commits.iter_mut().zip(weighed.shares) {
            commit.share = share;
        }
        if may_leave_out && let Some(weakest) = weakest(&line.commits) {
            let experiments = weakest.experiments.clone();
            let Some(Share::Measured(share)) = &weakest.share else {
                unreachable!("only a measured share is weak")
            };
            for winner in winners.iter().filter(|w| experiments.contains(&w.n)) {
                left_out.push(LeftOut {
                    experiment: winner.n,
                    subject: subject(winner),
                    share: share.clone(),
                });
            }
            winners.retain(|winner| !experiments.contains(&winner.n));
            continue;
        }
        // Pairs that had a say in what is left out would flatter what is left.
        let contrast = if left_out.is_empty() {
            weighed.contrast
        } else {
            work.confirm(&measured, emitter).await?
        };
        break work.finish(line, name.to_owned(), guarded, contrast)?;
    };
    Ok(Made {
        branches: vec![branch],
        left_out,
        bonds: Vec::new(),
    })
}

/// Returns the names that branches may get, all of which must be free.
pub(super) fn possible_names(name: &str, shape: Shape, winners: usize) -> Vec<String> {
    match shape {
        Shape::Whole | Shape::Lean => vec![name.to_owned()],
        Shape::Split => (1..=winners).map(|n| part_name(name, n)).collect(),
    }
}

/// Returns the name of the `n`th branch, from 1, of those that `name` is split into.
pub(super) fn part_name(name: &str, n: usize) -> String {
    format!("{name}-{n}")
}

impl Work<'_> {
    /// Picks `winners`, which must fit together and come to something.
    pub(super) fn fit_together(
        &self,
        winners: &[&ExperimentRecord],
    ) -> Result<Line, CampaignError> {
        let clash = match self.pick(winners)? {
            Ok(line) if line.commits.is_empty() => {
                let run = &self.progress.run;
                let problem = format!("what run `{run}` kept comes to no change of its base");
                return Err(CampaignError::Nothing { problem });
            }
            Ok(line) => return Ok(line),
            Err(clash) => clash,
        };
        let earlier: Vec<_> = winners
            .iter()
            .copied()
            .take_while(|winner| winner.n != clash.experiment)
            .collect();
        let earlier = self.last_to_change(&clash.paths, &earlier)?;
        Err(CampaignError::Conflict {
            earlier: earlier.map_or_else(|| "the base".into(), |n| n.to_string()),
            later: clash.experiment.to_string(),
            paths: clash.paths.iter().map(ToString::to_string).collect(),
        })
    }

    /// Puts together what is known of a measured branch.
    ///
    /// # Errors
    ///
    /// Those of the repository; [`CampaignError::BaselineNotGreen`] when what its measurements
    /// printed breaks a guard.
    pub(super) fn finish(
        &self,
        line: Line,
        name: String,
        guarded: Guarded,
        contrast: Contrast,
    ) -> Result<FinalBranch, CampaignError> {
        let Contrast { pairs, lines } = contrast;
        let marker = &self.workshop.marker;
        let on_lines = pass_line_guards(&marker.line_guards, &lines)
            .map_err(|failed| CampaignError::BaselineNotGreen(format!("{failed}, on `{name}`")))?;
        let tracks = self.tracks(&lines, &guarded.lines);
        let mut guards = guarded.guards;
        guards.extend(on_lines);
        let commits = if self.squash {
            vec![self.squash(&line)?]
        } else {
            line.commits
        };
        let effect = effect(&pairs, marker.metric.direction);
        Ok(FinalBranch {
            name,
            commits,
            guards,
            pairs,
            effect,
            tracks,
        })
    }
}

/// Returns the commit that is least likely to carry its weight, of those that are not shown to;
/// none where only one is left.
fn weakest(commits: &[FinalizedCommit]) -> Option<&FinalizedCommit> {
    let weak = commits.iter().filter_map(|commit| match &commit.share {
        Some(Share::Measured(share)) if !share.carries => Some((share.effect.p_value, commit)),
        _ => None,
    });
    weak.max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, commit)| commit)
}
