//! What is measured on the base commit before any experiment.

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::clock;
use super::emitter::Emitter;
use super::golden::GOLDEN;
use super::liveness::Passed;
use super::measure::Reading;
use super::pairs::purpose;
use super::workshop::Workshop;
use crate::decide::bound::{Held, judge_lines};
use crate::decide::dice::Dice;
use crate::decide::lines::Lines;
use crate::decide::noise;
use crate::decide::progress::Baseline;
use crate::decide::record::GuardBase;
use crate::event::EventKind;
use crate::sandbox::Snapshot;

impl Workshop {
    /// Measures the base commit: guards green and alive, golden outputs, then 3 to 8 readings of
    /// the metric. `seed` is the run's.
    ///
    /// # Errors
    ///
    /// [`CampaignError::BaselineNotGreen`] when a guard fails or notices no faults, when a golden
    /// output cannot be compared, or when the metric gives no number.
    pub(super) async fn baseline(
        &self,
        measured: &Snapshot,
        seed: u32,
        emitter: &mut Emitter<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Baseline, Snapshot), CampaignError> {
        let dice = Dice::of_experiment(seed, 0);
        let mut faults = dice.apart(purpose::FAULTS);
        let mut guards = Vec::new();
        let mut guard_lines = Lines::default();
        for guard in &self.marker.guards {
            emitter.emit(EventKind::GuardStarted {
                experiment: None,
                guard: guard.name.clone(),
            });
            let result = self.run_guard(guard, None, measured, cancel).await?;
            emitter.emit(EventKind::GuardFinished {
                experiment: None,
                guard: guard.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: result.tests.clone(),
            });
            if let Held::Broken { why } = &result.held {
                return Err(CampaignError::BaselineNotGreen(format!(
                    "guard `{}` {why}\n{}",
                    guard.name, result.output
                )));
            }
            guard_lines.add(result.lines);
            let green = GuardBase {
                name: guard.name.clone(),
                value: result.value,
                tests: result.tests,
            };
            if guard.liveness {
                let passed = Passed {
                    commit: &self.base,
                    measured,
                    base: &green,
                };
                let seed = u64::from(faults.number());
                emitter.emit(EventKind::GuardStarted {
                    experiment: None,
                    guard: guard.name.clone(),
                });
                let life = self.liveness(guard, passed, seed, cancel).await?;
                let trouble = life.trouble();
                emitter.emit(life.finished(guard, None, trouble.as_deref()));
                if let Some(why) = trouble {
                    let name = &guard.name;
                    let why = format!("guard `{name}` {why}");
                    return Err(CampaignError::BaselineNotGreen(why));
                }
            }
            guards.push(green);
        }
        if self.marker.golden.is_some() {
            emitter.emit(EventKind::GuardStarted {
                experiment: None,
                guard: GOLDEN.to_owned(),
            });
        }
        // Not by the run's seed, which the metric's command can see a part of.
        let golden = self.golden_outputs(measured, clock::seed, cancel).await?;
        let golden = golden.map_err(CampaignError::BaselineNotGreen)?;
        if self.marker.golden.is_some() {
            emitter.emit(EventKind::GuardFinished {
                experiment: None,
                guard: GOLDEN.to_owned(),
                passed: true,
                value: None,
                detail: format!("{} outputs, the same twice", golden.len()),
                tests: Vec::new(),
            });
        }
        let built = self
            .build(measured, cancel)
            .await?
            .map_err(CampaignError::BaselineNotGreen)?;
        let mut lines = Lines::default();
        let mut note = |value, reading: &Reading| {
            lines.add(reading.lines.clone());
            emitter.emit(EventKind::BaselineReading {
                value,
                seconds: reading.wall.as_secs_f64(),
            });
        };
        let readings = self
            .base_readings(
                (measured, &built),
                dice.apart(purpose::PAIRS),
                &mut note,
                cancel,
            )
            .await?
            .map_err(|(why, reading)| {
                CampaignError::BaselineNotGreen(format!("no metric: {why}\n{}", reading.output))
            })?;
        for result in judge_lines(&self.marker.line_guards, &[], &lines) {
            emitter.emit(EventKind::GuardFinished {
                experiment: None,
                guard: result.name.clone(),
                passed: result.held.is_passed(),
                value: result.value,
                detail: result.held.detail().to_owned(),
                tests: Vec::new(),
            });
            if let Held::Broken { why } = &result.held {
                let name = &result.name;
                return Err(CampaignError::BaselineNotGreen(format!(
                    "guard `{name}`, in what the metric prints: {why}"
                )));
            }
            guards.push(GuardBase {
                name: result.name,
                value: result.value,
                tests: Vec::new(),
            });
        }
        let tracks = Lines::tracked(&self.marker.track, &[&lines, &guard_lines]);
        let noise = noise::noise(&readings);
        let value = noise::median_reading(&readings);
        let count = u32::try_from(readings.len()).expect("at most 8");
        emitter.emit(EventKind::BaselineMeasured {
            value,
            noise,
            readings: count,
            tracks: tracks.clone(),
        });
        if let Some(claimed) = self.marker.metric.baseline
            && (claimed.get() - value.get()).abs() > 0.1 * value.get().abs()
        {
            emitter.warn(format!(
                "`metric.baseline` says {claimed}, measured was {value}"
            ));
        }
        Ok((
            Baseline {
                value,
                noise,
                readings,
                guards,
                tracks,
                golden,
            },
            built,
        ))
    }
}
