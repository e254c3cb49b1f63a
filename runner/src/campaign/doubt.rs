//! A second measurement of what is too good to be believed at once.

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::compare::{Pairs, purpose};
use super::workshop::Workshop;
use crate::decide::dice::Dice;
use crate::decide::effect::effect;
use crate::decide::plausible::{Accounts, Doubt, Stopwatch};
use crate::marker::MetricSpec;
use crate::model::{DiscardReason, Metric, Verdict, VoidReason};
use crate::sandbox::Snapshot;

/// How many pairs a second measurement has.
const PAIRS: usize = 3;

/// Whose gain is in doubt; none of the snapshots is built.
pub(super) struct Doubted<'a> {
    pub doubt: Doubt,
    pub champion: &'a Snapshot,
    pub candidate: &'a Snapshot,
    pub base: &'a Snapshot,
    /// Of the experiment.
    pub dice: Dice,
}

impl Workshop {
    /// Returns the stopwatch of the marker's metric, where it is a time.
    pub(super) fn stopwatch(&self) -> Option<Stopwatch> {
        let MetricSpec {
            unit, direction, ..
        } = &self.marker.metric;
        Stopwatch::of(unit.as_deref(), *direction)
    }

    /// Builds both sides anew and measures three fresh pairs: [`Verdict::Keep`] where they settle
    /// the doubt, and what there is to tell.
    ///
    /// # Errors
    ///
    /// Those of the sandbox.
    pub(super) async fn measure_again(
        &self,
        doubted: Doubted<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Verdict, String), CampaignError> {
        let champion = match self.build(doubted.champion, cancel).await? {
            Ok(built) => built,
            Err(why) => return Ok((Verdict::Void(VoidReason::Infrastructure), why)),
        };
        let candidate = match self.build(doubted.candidate, cancel).await? {
            Ok(built) => built,
            Err(why) => return Ok((Verdict::Discard(DiscardReason::NoMetric), why)),
        };
        let coins = doubted.dice.apart(purpose::PAIRS_AGAIN);
        let mut pairs = Pairs {
            champion: &champion,
            candidate: &candidate,
            base: doubted.base,
            seeds: coins.apart(purpose::PAIRS),
            coins,
        };
        let mut again = Accounts::default();
        let mut readings: Vec<(Metric, Metric)> = Vec::new();
        for _ in 0..PAIRS {
            match pairs.next(self, cancel).await?.accounts() {
                Ok([before, after]) => {
                    readings.push((before.reported, after.reported));
                    again.champion.push(before);
                    again.candidate.push(after);
                }
                Err((verdict, why)) => {
                    return Ok((verdict, format!("measured again: {why}")));
                }
            }
        }
        let gain = effect(&readings, self.marker.metric.direction).gain;
        Ok(match doubted.doubt.settle(self.stopwatch(), &again, gain) {
            Ok(told) => (Verdict::Keep, told),
            Err(why) => (Verdict::Discard(DiscardReason::Violation), why),
        })
    }
}
