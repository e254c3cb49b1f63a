//! What an experiment's candidate must prove beside its guards and its gain.

use super::CampaignError;
use super::doubt::Doubted;
use super::experiment::{Attempt, Champion, HIDDEN_FAILED};
use super::golden::{Difference, GOLDEN};
use super::liveness::{Life, Passed};
use super::pairs::purpose;
use super::run::Campaign;
use crate::decide::dice::Dice;
use crate::decide::plausible::Doubt;
use crate::event::EventKind;
use crate::model::{ExperimentNumber, Verdict};
use crate::sandbox::Snapshot;

impl Campaign<'_> {
    /// Measures once more what is hard to believe, and tells what that says.
    pub(super) async fn doubt(
        &mut self,
        attempt: &Attempt,
        doubt: Doubt,
        champion: &Champion,
        candidate: &Snapshot,
    ) -> Result<(Verdict, String), CampaignError> {
        self.emitter.warn(format!(
            "experiment {} is measured again, since it is hard to believe: {doubt}",
            attempt.number
        ));
        let commit = &champion.commit;
        let champion = self.workshop.measured(&self.base, commit).await?;
        let doubted = Doubted {
            doubt,
            champion: &champion,
            candidate,
            base: &self.base.measured,
            dice: self.dice(attempt.number),
        };
        self.workshop.measure_again(doubted, &self.cancel).await
    }

    /// Returns which guard with `liveness` does not notice faults in the candidate, if one does
    /// not.
    pub(super) async fn blind_guard(
        &mut self,
        attempt: &mut Attempt,
        candidate: &Snapshot,
    ) -> Result<Option<String>, CampaignError> {
        let commit = attempt.commit.as_ref().expect("it was measured");
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        let mut dice = self.dice(attempt.number).apart(purpose::FAULTS);
        let guards = self.workshop.marker.guards.iter();
        for guard in guards.filter(|guard| guard.liveness) {
            let passed = Passed {
                commit,
                measured: candidate,
                base: baseline.guard(&guard.name).expect("measured first"),
            };
            let seed = u64::from(dice.number());
            self.emitter.emit(EventKind::GuardStarted {
                experiment: Some(attempt.number),
                guard: guard.name.clone(),
            });
            let life = self.workshop.liveness(guard, passed, seed, &self.cancel);
            let life = life.await?;
            let why = match &life {
                Life::Alive { .. } => None,
                Life::Blind { faults } => {
                    Some(format!("no longer notices planted faults: {faults}"))
                }
                Life::NoPlace => Some(
                    "no longer notices planted faults: there is no code left that one could be \
                     planted in"
                        .to_owned(),
                ),
            };
            self.emitter
                .emit(life.finished(guard, Some(attempt.number), why.as_deref()));
            let Some(why) = why else { continue };
            let why = format!("guard `{}` {why}", guard.name);
            if guard.hidden {
                attempt.remarks.push(format!("hidden {why}"));
                return Ok(Some(HIDDEN_FAILED.to_owned()));
            }
            return Ok(Some(why));
        }
        Ok(None)
    }

    /// Returns what else than the base's the candidate prints on `golden` inputs, if it does.
    pub(super) async fn golden(
        &mut self,
        attempt: &mut Attempt,
        candidate: &Snapshot,
    ) -> Result<Option<String>, CampaignError> {
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        if self.workshop.marker.golden.is_none() {
            return Ok(None);
        }
        self.emitter.emit(EventKind::GuardStarted {
            experiment: Some(attempt.number),
            guard: GOLDEN.to_owned(),
        });
        let sides = (&self.base.measured, candidate);
        let difference = self
            .workshop
            .golden_difference(sides, &baseline.golden, &self.cancel)
            .await?;
        let told = difference.as_ref().map(Difference::told);
        self.emitter.emit(EventKind::GuardFinished {
            experiment: Some(attempt.number),
            guard: GOLDEN.to_owned(),
            passed: told.is_none(),
            value: None,
            detail: told.clone().unwrap_or_else(|| "passed".to_owned()),
            tests: Vec::new(),
        });
        let (Some(told), Some(difference)) = (told, difference) else {
            return Ok(None);
        };
        if difference.is_hidden {
            // The detail goes into later briefs, the remark does not.
            attempt.remarks.push(told);
            let detail = format!("{GOLDEN}: the output for a hidden input differs");
            return Ok(Some(detail));
        }
        Ok(Some(told))
    }

    /// Returns what all random choices of an experiment are drawn from.
    pub(super) fn dice(&self, number: ExperimentNumber) -> Dice {
        Dice::of_experiment(self.progress.seed, number.get())
    }
}
