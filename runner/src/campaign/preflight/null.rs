//! Null experiments: the base compared with itself, for real.

use tokio_util::sync::CancellationToken;

use super::report::{Area, CheckReport};
use crate::campaign::CampaignError;
use crate::campaign::clock;
use crate::campaign::compare::{Contest, Pair};
use crate::campaign::emitter::Emitter;
use crate::campaign::workshop::Workshop;
use crate::decide::dice::Dice;
use crate::decide::judge::PairedRule;
use crate::decide::noise::{Pool, median_reading, noise};
use crate::decide::null::{NullExperiment, NullReport};
use crate::event::EventKind;
use crate::model::Metric;
use crate::sandbox::Snapshot;

/// What null experiments start from.
pub(super) struct NullBase<'a> {
    pub workshop: &'a Workshop,
    /// The base before and after `metric.build`.
    pub measured: &'a Snapshot,
    pub built: &'a Snapshot,
    pub readings: &'a [Metric],
    /// How many experiments.
    pub asked: u32,
}

/// Runs the experiments and reports them; what was done until an interruption is reported too.
///
/// # Errors
///
/// Those of the sandbox.
pub(super) async fn check(
    base: NullBase<'_>,
    report: &mut CheckReport,
    emitter: &mut Emitter<'_>,
    cancel: &CancellationToken,
) -> Result<(), CampaignError> {
    let seed = clock::seed();
    let mut ended: Vec<NullExperiment> = Vec::new();
    let stop = run(&base, seed, &mut ended, emitter, cancel).await;
    let alpha = base.workshop.marker.metric.alpha;
    let mut found = NullReport::new(&ended, base.asked, alpha, seed);
    let failed = match stop.map_err(|error| error.unless_cancelled(cancel)) {
        Ok(failed) => failed,
        Err(CampaignError::Interrupted) => {
            found.interrupted = true;
            None
        }
        Err(error) => return Err(error),
    };
    let detail = told(&found);
    if found.is_too_many() {
        let hint = "one side of the comparison is favoured: look for what differs between two builds \
                    or two sandboxes of one commit, and make the metric not depend on it";
        report.warn(Area::Baseline, "aa", detail, Some(hint));
    } else {
        report.ok(Area::Baseline, "aa", detail);
    }
    if let Some(why) = failed {
        let detail = format!("null experiment {} had no verdict: {why}", ended.len() + 1);
        let hint = "the metric must give a number every time it runs on the base commit";
        report.fail(Area::Baseline, "aa", detail, Some(hint));
    }
    report.aa = Some(found);
    Ok(())
}

/// Adds to `ended` until all are done; returns why one had no verdict.
async fn run(
    base: &NullBase<'_>,
    seed: u32,
    ended: &mut Vec<NullExperiment>,
    emitter: &mut Emitter<'_>,
    cancel: &CancellationToken,
) -> Result<Option<String>, CampaignError> {
    let workshop = base.workshop;
    let mut pool = Pool::new(noise(base.readings));
    for number in 1..=base.asked {
        // Built anew, as every candidate is: what differs between two builds is noise too.
        let candidate = match workshop.build(base.measured, cancel).await? {
            Ok(built) => built,
            Err(why) => return Ok(Some(why)),
        };
        let contest = Contest {
            champion: base.built,
            candidate: &candidate,
            rule: PairedRule::new(&workshop.marker.metric, pool.noise()),
            expected: median_reading(base.readings),
            base: base.measured,
            dice: Dice::of_experiment(seed, number),
        };
        let mut log_gains = 0.0;
        let mut note = |pair: Pair| log_gains += pair.log_gain;
        let compared = workshop.compare(contest, &mut note, cancel).await?;
        let Some(gain) = compared.gain else {
            return Ok(Some(compared.detail));
        };
        if let Some(spread) = compared.spread {
            pool = pool.with(spread, compared.pairs);
        }
        ended.push(NullExperiment {
            verdict: compared.verdict,
            pairs: compared.pairs,
            log_gains,
            seconds: compared.seconds,
        });
        emitter.emit(EventKind::NullMeasured {
            number,
            of: base.asked,
            verdict: compared.verdict,
            gain,
            pairs: compared.pairs,
            seconds: compared.seconds,
        });
    }
    Ok(None)
}

fn told(found: &NullReport) -> String {
    let percent = |fraction: f64| 100.0 * fraction;
    let interrupted = if found.interrupted {
        format!(" (of {} asked for, interrupted)", found.asked)
    } else {
        String::new()
    };
    format!(
        "{} of {} null experiments{interrupted} kept: {:.1} %, between {:.1} and {:.1} % with 95 % \
         confidence; `alpha` allows {} %\n\
         the others: {} no gain, {} worse, {} inconclusive\n\
         {} pairs, {:.0} in the median, {:.0} s in all\n\
         the mean gain of a pair is {:+.2} %, between {:+.2} and {:+.2} %; the truth is 0",
        found.kept,
        found.experiments,
        percent(found.kept_share),
        percent(found.kept_interval.0),
        percent(found.kept_interval.1),
        percent(found.alpha),
        found.no_gain,
        found.worse,
        found.inconclusive,
        found.pairs,
        found.median_pairs,
        found.seconds,
        percent(found.gain),
        percent(found.gain_interval.0),
        percent(found.gain_interval.1),
    )
}
