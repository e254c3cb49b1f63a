//! Readings of several sides, side by side.

use super::Work;
use crate::campaign::compare::purpose;
use crate::campaign::emitter::Emitter;
use crate::campaign::{CampaignError, clock};
use crate::decide::dice::Dice;
use crate::decide::lines::Lines;
use crate::event::{EventKind, SideReading};
use crate::model::Metric;
use crate::sandbox::Snapshot;

/// One of the states that are compared.
pub(super) struct Side {
    /// For people; a fragment such as `the base`.
    pub name: String,
    built: Snapshot,
    /// One a round, until it failed.
    pub readings: Vec<Metric>,
    /// What its measurements printed of what guards and tracks read.
    pub lines: Lines,
    /// Why it has no metric.
    pub failed: Option<String>,
}

/// Two sides that were read in the same rounds.
#[derive(Debug)]
pub(super) struct Contrast {
    /// In the order measured.
    pub pairs: Vec<(Metric, Metric)>,
    /// What each printed of what guards and tracks read.
    pub lines: [Lines; 2],
}

/// Whether a side may be without a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Without it there is nothing to tell.
    Metric,
    /// That it has none is an answer.
    Answer,
}

impl Side {
    /// Returns the readings of `self` and `other`, round by round.
    pub fn paired(&self, other: &Self) -> Vec<(Metric, Metric)> {
        let readings = self.readings.iter().zip(&other.readings);
        readings.map(|(a, b)| (*a, *b)).collect()
    }

    /// Returns all that is known of `self` and `other`.
    pub fn against(&self, other: &Self) -> Contrast {
        Contrast {
            pairs: self.paired(other),
            lines: [self.lines.clone(), other.lines.clone()],
        }
    }
}

impl Work<'_> {
    /// Builds a side for its measurements.
    ///
    /// # Errors
    ///
    /// Those of the sandbox; [`CampaignError::BaselineNotGreen`] when a side that needs a metric
    /// does not build.
    pub(super) async fn side(
        &self,
        name: String,
        measured: &Snapshot,
        need: Need,
    ) -> Result<Side, CampaignError> {
        let built = self.workshop.build(measured, self.cancel).await?;
        let (built, failed) = match (built, need) {
            (Ok(built), _) => (built, None),
            (Err(why), Need::Answer) => (measured.clone(), Some(why)),
            (Err(why), Need::Metric) => {
                return Err(CampaignError::BaselineNotGreen(format!("{name}: {why}")));
            }
        };
        Ok(Side {
            name,
            built,
            readings: Vec::new(),
            lines: Lines::default(),
            failed,
        })
    }

    /// Takes one reading of each side a round, in an order that is drawn anew for each (randomized
    /// complete blocks: what drifts during a round is as often for a side as against it). The
    /// first `needed` sides must have a metric.
    ///
    /// # Errors
    ///
    /// Those of the sandbox; [`CampaignError::BaselineNotGreen`] when a needed side has no metric.
    pub(super) async fn measure(
        &self,
        sides: &mut [Side],
        needed: usize,
        rounds: u32,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), CampaignError> {
        let mut dice = Dice::new(clock::dice());
        let mut seeds = dice.apart(purpose::PAIRS);
        for round in 1..=rounds {
            let mut order: Vec<usize> = (0..sides.len())
                .filter(|index| sides[*index].failed.is_none())
                .collect();
            dice.shuffle(&mut order);
            let base = &self.base.measured;
            let alike = self.workshop.round(base, seeds.number(), self.cancel);
            let alike = alike.await?;
            for index in order {
                let side = &mut sides[index];
                let reading = self
                    .workshop
                    .read_metric(&side.built, &alike, self.cancel)
                    .await?;
                side.lines.add(reading.lines);
                match reading.value {
                    Ok(value) => side.readings.push(value),
                    Err(why) if index < needed => {
                        return Err(CampaignError::BaselineNotGreen(format!(
                            "{} has no metric: {why}\n{}",
                            side.name, reading.output
                        )));
                    }
                    Err(why) => side.failed = Some(why),
                }
            }
            let latest = |side: &Side| {
                let value = *side.readings.last()?;
                let side = side.name.clone();
                Some(SideReading { side, value })
            };
            let measured = sides.iter().filter(|side| side.failed.is_none());
            emitter.emit(EventKind::RoundMeasured {
                round,
                of: rounds,
                readings: measured.filter_map(latest).collect(),
            });
        }
        Ok(())
    }
}
