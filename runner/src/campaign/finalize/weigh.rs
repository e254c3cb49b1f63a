//! What each commit of a branch carries: the branch without it against the whole.

use super::pick::Line;
use super::rounds::{Contrast, Need, Side};
use super::{MeasuredShare, Share, Work};
use crate::campaign::CampaignError;
use crate::campaign::emitter::Emitter;
use crate::decide::effect::{effect, holm, rounds};
use crate::decide::progress::ExperimentRecord;
use crate::sandbox::Snapshot;

/// A branch, measured as a whole and without each of its commits.
pub(super) struct Weighed {
    /// Base against branch.
    pub contrast: Contrast,
    /// Of each commit, in order; `None` for the only one.
    pub shares: Vec<Option<Share>>,
}

/// What is known of a commit's share before it is measured.
enum Without {
    /// Where the side is among those that are measured.
    Side(usize),
    Known(Share),
}

impl Work<'_> {
    /// Measures the base, `line` as `whole` holds it, and `line` without each of its commits, in
    /// the same rounds.
    ///
    /// # Errors
    ///
    /// Those of the repository and the sandbox; [`CampaignError::BaselineNotGreen`] when base or
    /// branch have no metric.
    pub(super) async fn weigh(
        &self,
        line: &Line,
        winners: &[&ExperimentRecord],
        whole: &Snapshot,
        emitter: &mut Emitter<'_>,
    ) -> Result<Weighed, CampaignError> {
        let mut sides = self.base_and(whole).await?;
        let mut withouts = Vec::new();
        if line.commits.len() > 1 {
            for commit in &line.commits {
                let others: Vec<&ExperimentRecord> = winners
                    .iter()
                    .copied()
                    .filter(|winner| !commit.experiments.contains(&winner.n))
                    .collect();
                withouts.push(match self.pick(&others)? {
                    Err(clash) => Without::Known(Share::BuiltOnBy(vec![clash.experiment])),
                    Ok(rest) => {
                        let measured = self.workshop.measured(&self.base, &rest.tip).await?;
                        let name = format!("without {}", commit.commit.short());
                        sides.push(self.side(name, &measured, Need::Answer).await?);
                        Without::Side(sides.len() - 1)
                    }
                });
            }
        }
        let tests = sides.len() - 1;
        self.measure(&mut sides, 2, self.rounds(tests), emitter)
            .await?;
        let shares = self.shares(withouts, &sides, line.commits.len());
        Ok(Weighed {
            contrast: sides[0].against(&sides[1]),
            shares,
        })
    }

    /// Measures the base and `whole` alone.
    ///
    /// # Errors
    ///
    /// As for [`Self::weigh`].
    pub(super) async fn confirm(
        &self,
        whole: &Snapshot,
        emitter: &mut Emitter<'_>,
    ) -> Result<Contrast, CampaignError> {
        let mut sides = self.base_and(whole).await?;
        self.measure(&mut sides, 2, self.rounds(1), emitter).await?;
        Ok(sides[0].against(&sides[1]))
    }

    /// Returns how many rounds `tests` comparisons take.
    pub(super) fn rounds(&self, tests: usize) -> u32 {
        let noise = self.progress.noise().unwrap_or(0.0);
        let metric = &self.workshop.marker.metric;
        rounds(noise, metric.design_effect, metric.alpha, tests)
    }

    async fn base_and(&self, whole: &Snapshot) -> Result<Vec<Side>, CampaignError> {
        let base = &self.base.measured;
        Ok(vec![
            self.side("the base".into(), base, Need::Metric).await?,
            self.side("the branch".into(), whole, Need::Metric).await?,
        ])
    }

    /// Judges the measured shares together.
    fn shares(&self, withouts: Vec<Without>, sides: &[Side], commits: usize) -> Vec<Option<Share>> {
        let metric = &self.workshop.marker.metric;
        let measured: Vec<(usize, MeasuredShare)> = sides
            .iter()
            .enumerate()
            .skip(2)
            .filter(|(_, side)| side.failed.is_none())
            .map(|(index, side)| {
                let pairs = side.paired(&sides[1]);
                let effect = effect(&pairs, metric.direction);
                let carries = false;
                (
                    index,
                    MeasuredShare {
                        effect,
                        pairs,
                        carries,
                    },
                )
            })
            .collect();
        let p_values: Vec<f64> = measured.iter().map(|(_, s)| s.effect.p_value).collect();
        let holds = holm(&p_values, metric.alpha);
        let mut judged: Vec<(usize, MeasuredShare)> = measured
            .into_iter()
            .zip(holds)
            .map(|((index, share), carries)| (index, MeasuredShare { carries, ..share }))
            .collect();
        if withouts.is_empty() {
            return vec![None; commits];
        }
        withouts
            .into_iter()
            .map(|without| {
                Some(match without {
                    Without::Known(share) => share,
                    Without::Side(index) => {
                        match judged.iter().position(|(judged, _)| *judged == index) {
                            Some(position) => Share::Measured(judged.swap_remove(position).1),
                            None => {
                                let why = sides[index].failed.clone();
                                Share::Needed(why.expect("a side without readings failed"))
                            }
                        }
                    }
                })
            })
            .collect()
    }
}
