//! From a candidate to its verdict: guards, pairs, doubts.

use super::CampaignError;
use super::compare::Contest;
use super::ending::Ending;
use super::experiment::{Attempt, Champion};
use super::folder;
use super::pairs::{Pair, PairsTable};
use super::run::Campaign;
use crate::decide::bound::{Held, judge_lines};
use crate::decide::judge::PairedRule;
use crate::decide::lines::Lines;
use crate::decide::plausible::Doubt;
use crate::event::EventKind;
use crate::model::{DiscardReason, Metric, Verdict};
use crate::sandbox::Snapshot;

/// What became of the guards.
pub(super) enum Gated {
    Passed,
    Failed {
        guard: String,
        /// The agent may not know which, nor what it printed.
        is_hidden: bool,
        detail: String,
        output: String,
        rework: u32,
    },
}

impl Campaign<'_> {
    /// Runs the guards in the order written, up to the first that fails.
    pub(super) async fn guards(
        &mut self,
        attempt: &mut Attempt,
        measured: &Snapshot,
    ) -> Result<Gated, CampaignError> {
        attempt.remarks.clear();
        attempt.guard_lines = Lines::default();
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        for guard in &self.workshop.marker.guards {
            let base = baseline.guard(&guard.name);
            self.emitter.emit(EventKind::GuardStarted {
                experiment: Some(attempt.number),
                guard: guard.name.clone(),
            });
            let result = self
                .workshop
                .run_guard(guard, base, measured, &self.cancel)
                .await?;
            self.emitter.emit(EventKind::GuardFinished {
                experiment: Some(attempt.number),
                guard: guard.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: result.tests,
            });
            attempt.guard_lines.add(result.lines);
            match result.held {
                Held::Kept => {}
                Held::Tolerated { remark } => {
                    attempt
                        .remarks
                        .push(format!("guard `{}`: {remark}", guard.name));
                }
                Held::Broken { why } => {
                    return Ok(Gated::Failed {
                        guard: guard.name.clone(),
                        is_hidden: guard.hidden,
                        detail: why,
                        output: result.output,
                        rework: guard.rework_attempts,
                    });
                }
            }
        }
        Ok(Gated::Passed)
    }

    /// Measures a candidate against the champion, and doubts what would be kept.
    ///
    /// # Errors
    ///
    /// Those of the sandbox and the run's folder.
    pub(super) async fn judge(
        &mut self,
        attempt: &mut Attempt,
        champion: &Champion,
        candidate: Snapshot,
    ) -> Result<Ending, CampaignError> {
        let built = match self.workshop.build(&candidate, &self.cancel).await? {
            Ok(built) => built,
            Err(why) => return Ok(Ending::discard(DiscardReason::NoMetric, why)),
        };
        let noise = self.progress.noise().expect("measured first");
        let contest = Contest {
            champion: &champion.built,
            candidate: &built,
            rule: PairedRule::new(&self.workshop.marker.metric, noise),
            expected: self.champion_value(),
            base: &self.base.measured,
            dice: self.dice(attempt.number),
        };
        let Self {
            workshop,
            emitter,
            cancel,
            ..
        } = self;
        let mut table = PairsTable::new();
        let mut note = |pair: Pair| {
            table.push(&pair);
            emitter.emit(pair.measured(attempt.number));
        };
        let compared = workshop.compare(contest, &mut note, cancel).await?;
        if let Some(clocks) = compared.broken_off {
            table.break_off(compared.pairs + 1, &clocks);
        }
        let path = attempt.folder.join("pairs.tsv");
        folder::write(&path, table.text().as_bytes())?;
        let path = attempt.folder.join("metric.txt");
        folder::write(&path, compared.output.as_bytes())?;
        attempt.metric_lines = compared.lines;
        let (mut verdict, mut detail) = (compared.verdict, compared.detail);
        if verdict == Verdict::Keep
            && let Err(why) = self.line_guards(attempt)
        {
            (verdict, detail) = (Verdict::Discard(DiscardReason::GuardFailed), why);
        }
        let gain = compared.gain.unwrap_or_default();
        if verdict == Verdict::Keep
            && let Some(doubt) = Doubt::of(self.workshop.stopwatch(), &compared.accounts, gain)
        {
            let told;
            (verdict, told) = self.doubt(attempt, doubt, champion, &candidate).await?;
            detail = match verdict {
                Verdict::Keep => format!("{told}; {detail}"),
                Verdict::Discard(_) | Verdict::Void(_) => told,
            };
        }
        // Last, since it takes the guard several times.
        if verdict == Verdict::Keep
            && let Some(why) = self.blind_guard(attempt, &candidate).await?
        {
            (verdict, detail) = (Verdict::Discard(DiscardReason::GuardFailed), why);
        }
        let keep = verdict == Verdict::Keep;
        Ok(Ending {
            verdict,
            value: compared.value,
            gain: compared.gain,
            pairs: compared.pairs,
            spread: compared.spread,
            measuring_seconds: compared.seconds,
            detail,
            kept: keep.then_some(built),
            refusal: None,
            finish: None,
            fatal: None,
        })
    }

    /// Holds what a candidate's measurements printed against the guards on it.
    ///
    /// # Errors
    ///
    /// Why the first of them failed, for people and later briefs.
    fn line_guards(&mut self, attempt: &mut Attempt) -> Result<(), String> {
        let baseline = self.progress.baseline.as_ref().expect("measured first");
        let guards = &self.workshop.marker.line_guards;
        for result in judge_lines(guards, &baseline.guards, &attempt.metric_lines) {
            self.emitter.emit(EventKind::GuardFinished {
                experiment: Some(attempt.number),
                guard: result.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: Vec::new(),
            });
            match result.held {
                Held::Kept => {}
                Held::Tolerated { remark } => {
                    let remark = format!("guard `{}`: {remark}", result.name);
                    attempt.remarks.push(remark);
                }
                Held::Broken { why } => return Err(format!("guard `{}` {why}", result.name)),
            }
        }
        Ok(())
    }

    pub(super) fn champion_value(&self) -> Metric {
        self.progress
            .champion_value
            .expect("the baseline is measured before any experiment")
    }
}
