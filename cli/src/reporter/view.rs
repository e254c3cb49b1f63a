//! A run in words: the lines that people read for each event.

use std::collections::BTreeMap;

use autoclave_policies::Level;
use autoclave_runner::decide::tests_passed;
use autoclave_runner::event::{Event, EventKind, MeasuredIn};
use autoclave_runner::model::{Dropped, ExperimentNumber, Tracked, Verdict};

use super::style::Style;
use super::words::{bar, count, finish, measuring, one_line, percent, span};
use crate::table::{Column, Table};

/// How many characters of foreign text one line shows.
const TEXT_WIDTH: usize = 100;

/// What has been told so far, as far as later lines need it.
pub struct View {
    style: Style,
    denied: BTreeMap<ExperimentNumber, u32>,
    table: Table,
}

impl View {
    pub fn new(style: Style) -> Self {
        Self {
            style,
            denied: BTreeMap::new(),
            table: Table::new(&[
                Column::Right("#"),
                Column::Left("verdict"),
                Column::Right("gain"),
                Column::Right("pairs"),
                Column::Right("denied"),
                Column::Right("cost"),
                Column::Right("time"),
                Column::Left("summary"),
            ]),
        }
    }

    /// Returns the lines that tell `event`; none for what only the status line shows.
    pub fn lines(&mut self, event: &Event) -> Vec<String> {
        match &event.kind {
            EventKind::RunStarted {
                run,
                marker,
                base,
                backend,
                level,
                measured_in,
                resumed,
            } => {
                let verb = if *resumed { "resumed" } else { "started" };
                let mut sandbox = format!("{backend}, {}", level_word(*level));
                if let Some(MeasuredIn { backend, level }) = measured_in {
                    let level = level_word(*level);
                    sandbox.push_str(&format!("; measurements: {backend}, {level}"));
                }
                vec![
                    self.style.strong(&format!("run {run} {verb}")),
                    item("marker", marker),
                    item("base", base.short()),
                    item("sandbox", &sandbox),
                ]
            }
            EventKind::Warning { message } => vec![
                self.style
                    .notable(&format!("warning: {}", one_line(message, 400))),
            ],
            EventKind::Preparing { .. }
            | EventKind::BaselineReading { .. }
            | EventKind::GuardStarted { .. } => Vec::new(),
            EventKind::Prepared { seconds, backend } => {
                let place = backend.iter().map(|backend| format!(" in {backend}"));
                let place: String = place.collect();
                vec![item("prepare", &format!("{}{place}", span(*seconds)))]
            }
            EventKind::BaselineMeasured {
                value,
                noise,
                readings,
                tracks,
            } => {
                let metric = format!(
                    "{value} on the base, noise {:.1} % over {}",
                    noise * 100.0,
                    count(*readings, "reading")
                );
                let mut lines = vec![item("metric", &metric)];
                lines.extend(tracked(tracks));
                lines
            }
            EventKind::ExperimentStarted {
                experiment,
                of,
                champion,
                champion_value,
            } => vec![
                String::new(),
                self.style.strong(&format!(
                    "experiment {experiment} of {of}, champion {} at {champion_value}",
                    champion.short()
                )),
            ],
            EventKind::AgentStarted { model, session, .. } => {
                let named = |name: &str, value: &Option<String>| {
                    value.as_ref().map(|value| format!("{name} {value}"))
                };
                let known: Vec<String> = [named("model", model), named("session", session)]
                    .into_iter()
                    .flatten()
                    .collect();
                let known = if known.is_empty() {
                    "at work".to_owned()
                } else {
                    known.join(", ")
                };
                vec![item("agent", &one_line(&known, TEXT_WIDTH))]
            }
            EventKind::AgentText { text, .. } => {
                let text = one_line(text, TEXT_WIDTH);
                vec![self.style.faint(&item("says", &text))]
            }
            EventKind::AgentTool { tool, summary, .. } => {
                vec![item(
                    "tool",
                    &one_line(&format!("{tool} {summary}"), TEXT_WIDTH),
                )]
            }
            EventKind::AgentDenied {
                experiment,
                tool,
                message,
                why,
            } => {
                *self.denied.entry(*experiment).or_default() += 1;
                let line = match why {
                    Some(why) => one_line(why, 400),
                    None => one_line(&format!("{tool}: {message}"), TEXT_WIDTH),
                };
                vec![self.style.notable(&item("denied", &line))]
            }
            EventKind::AgentRetry {
                attempt,
                error_status,
                delay_ms,
                ..
            } => {
                let why = error_status.map_or_else(
                    || "no connection to the model".to_owned(),
                    |status| format!("the model's service answered {status}"),
                );
                let delay = std::time::Duration::from_millis(*delay_ms).as_secs_f64();
                let line = format!("{attempt} in {}: {why}", span(delay));
                vec![self.style.notable(&item("retry", &line))]
            }
            EventKind::AgentFinished {
                usage,
                seconds,
                outcome,
                ..
            } => vec![item(
                "agent",
                &format!(
                    "{} after {}, {}, {} tokens in, {} out, {}",
                    one_line(outcome, TEXT_WIDTH),
                    span(*seconds),
                    count(usage.turns, "turn"),
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.cost_usd
                ),
            )],
            EventKind::CandidateBuilt {
                commit,
                paths,
                dropped,
                ..
            } => {
                let changed = format!("{} in {}", count(*paths, "path"), commit.short());
                let mut lines = vec![item("change", &changed)];
                lines.extend(dropped.iter().map(|one| self.dropped(one)));
                lines
            }
            EventKind::GuardFinished {
                experiment,
                guard,
                passed,
                value,
                detail,
                tests,
            } => {
                let mut facts: Vec<String> = value.iter().map(|v| format!("value {v}")).collect();
                facts.extend(tests_passed::words(tests));
                vec![self.guard(*experiment, guard, *passed, &facts, detail)]
            }
            EventKind::Rework {
                guard, attempt, of, ..
            } => vec![item(
                "rework",
                &format!("{attempt} of {of}: `{guard}` failed, so it goes back to the agent"),
            )],
            EventKind::PairMeasured {
                pair,
                champion,
                candidate,
                gain,
                evidence,
                threshold,
                seconds,
                ..
            } => vec![item(
                "pair",
                &format!(
                    "{pair}: {champion} -> {candidate}, gain {}, evidence {} {evidence:.1} of {threshold:.1}, {}",
                    percent(*gain),
                    bar(*evidence, *threshold),
                    span(*seconds)
                ),
            )],
            EventKind::RoundMeasured {
                round,
                of,
                readings,
            } => {
                let readings: Vec<String> = readings
                    .iter()
                    .map(|reading| format!("{} {}", reading.side, reading.value))
                    .collect();
                let line = format!("{round} of {of}: {}", readings.join(", "));
                vec![item("round", &line)]
            }
            EventKind::NullMeasured {
                number,
                of,
                verdict,
                gain,
                pairs,
                seconds,
            } => {
                let line = format!(
                    "{number} of {of}: {}, gain {} over {}, {}",
                    verdict_words(*verdict),
                    percent(*gain),
                    count(*pairs, "pair"),
                    span(*seconds)
                );
                let line = item("null", &line);
                vec![if *verdict == Verdict::Keep {
                    self.style.bad(&line)
                } else {
                    line
                }]
            }
            EventKind::Decided { .. } => self.decided(&event.kind),
            EventKind::Waiting { reason, until_ms } => {
                let until = jiff::Timestamp::from_millisecond(*until_ms).map_or_else(
                    |_| "an unknown time".to_owned(),
                    |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
                );
                let line = format!("until {until}: {}", one_line(reason, TEXT_WIDTH));
                vec![self.style.notable(&item("waiting", &line))]
            }
            EventKind::WaitingForTurn { pid } => {
                let line = format!("until {} has measured", measuring(*pid));
                vec![self.style.notable(&item("waiting", &line))]
            }
            EventKind::RunFinished {
                reason,
                kept,
                experiments,
                champion,
                champion_value,
                ..
            } => vec![
                String::new(),
                self.style.strong(&format!(
                    "finished: {}. Kept {kept} of {}, champion {} at {champion_value}",
                    finish(*reason),
                    count(*experiments, "experiment"),
                    champion.short()
                )),
            ],
        }
    }

    /// Returns what is being waited for after `event`, for the one line that changes in place.
    pub fn status(event: &Event) -> Option<String> {
        match &event.kind {
            EventKind::RunStarted { .. } => Some("making the first snapshot".to_owned()),
            EventKind::Preparing { command, .. } => {
                Some(format!("preparing: {}", one_line(command, 60)))
            }
            EventKind::BaselineReading { value, .. } => {
                Some(format!("measuring the base, last reading {value}"))
            }
            EventKind::ExperimentStarted { experiment, .. }
            | EventKind::AgentStarted { experiment, .. }
            | EventKind::Rework { experiment, .. } => {
                Some(format!("experiment {experiment}: the agent works"))
            }
            EventKind::AgentFinished { experiment, .. } => {
                Some(format!("experiment {experiment}: reading the changes"))
            }
            EventKind::GuardStarted { guard, .. } => Some(format!("guard `{guard}`")),
            EventKind::GuardFinished { .. } | EventKind::CandidateBuilt { .. } => {
                Some("measuring".to_owned())
            }
            EventKind::PairMeasured {
                experiment, pair, ..
            } => Some(format!(
                "experiment {experiment}: measuring pair {}",
                pair + 1
            )),
            EventKind::RoundMeasured { round, of, .. } if round < of => {
                Some(format!("measuring round {} of {of}", round + 1))
            }
            EventKind::RoundMeasured { .. } => Some("writing the report".to_owned()),
            EventKind::NullMeasured { number, of, .. } => {
                Some(format!("null experiment {} of {of}", number + 1))
            }
            EventKind::Waiting { reason, .. } => Some(format!("waiting: {}", one_line(reason, 60))),
            EventKind::WaitingForTurn { pid } => {
                Some(format!("waiting until {} has measured", measuring(*pid)))
            }
            EventKind::Warning { .. }
            | EventKind::Prepared { .. }
            | EventKind::BaselineMeasured { .. }
            | EventKind::AgentText { .. }
            | EventKind::AgentTool { .. }
            | EventKind::AgentDenied { .. }
            | EventKind::AgentRetry { .. }
            | EventKind::Decided { .. }
            | EventKind::RunFinished { .. } => None,
        }
    }

    /// Returns the table of all decided experiments.
    pub fn table(&self) -> Vec<String> {
        self.table.lines()
    }

    fn dropped(&self, dropped: &Dropped) -> String {
        let line = format!("{}: {}", dropped.path, dropped.why);
        self.style.notable(&item("dropped", &one_line(&line, 400)))
    }

    fn guard(
        &self,
        experiment: Option<ExperimentNumber>,
        guard: &str,
        passed: bool,
        facts: &[String],
        detail: &str,
    ) -> String {
        let word = if passed { "passed" } else { "failed" };
        let place = if experiment.is_none() {
            " on the base"
        } else {
            ""
        };
        let facts: String = facts.iter().map(|fact| format!(", {fact}")).collect();
        let why = match detail {
            "" | "passed" => String::new(),
            detail => format!(": {}", one_line(detail, TEXT_WIDTH)),
        };
        let line = format!("`{guard}` {word}{place}{facts}{why}");
        let line = item("guard", &line);
        if passed { line } else { self.style.bad(&line) }
    }

    /// Tells a verdict and adds its row to the table.
    fn decided(&mut self, kind: &EventKind) -> Vec<String> {
        let EventKind::Decided {
            experiment,
            verdict,
            gain,
            pairs,
            measuring_seconds,
            cost_usd,
            seconds,
            summary,
            detail,
            remarks,
            tracks,
            ..
        } = kind
        else {
            return Vec::new();
        };
        let shown_gain = gain.map_or_else(|| "-".to_owned(), percent);
        let summary = one_line(summary, TEXT_WIDTH);
        let denied = self.denied.get(experiment).copied().unwrap_or(0);
        self.table.row([
            experiment.to_string(),
            verdict_words(*verdict),
            shown_gain.clone(),
            pairs.to_string(),
            denied.to_string(),
            cost_usd.to_string(),
            span(*seconds),
            summary.clone(),
        ]);
        let over = match gain {
            Some(_) => format!(
                ", gain {shown_gain} over {} in {}",
                count(*pairs, "pair"),
                span(*measuring_seconds)
            ),
            None => String::new(),
        };
        let words = verdict_words(*verdict);
        let line = item(
            "verdict",
            &format!("{words}{over}, {cost_usd}, {}", span(*seconds)),
        );
        let line = match verdict {
            Verdict::Keep => self.style.good(&line),
            Verdict::Discard(_) => self.style.bad(&line),
            Verdict::Void(_) => self.style.notable(&line),
        };
        let mut lines = vec![line];
        if !detail.is_empty() {
            lines.push(item("why", &one_line(detail, 400)));
        }
        lines.extend(remarks.iter().map(|remark| {
            let line = item("remark", &one_line(remark, 400));
            self.style.notable(&line)
        }));
        lines.extend(tracked(tracks));
        if !summary.is_empty() {
            lines.push(item("idea", &summary));
        }
        lines
    }
}

/// Returns a verdict as people read it: `keep`, `discard: no gain`.
pub fn verdict_words(verdict: Verdict) -> String {
    match verdict.reason() {
        None => verdict.word().to_owned(),
        Some(reason) => format!("{}: {}", verdict.word(), reason.replace('_', " ")),
    }
}

/// Returns the line that tells what is tracked, where there is anything.
fn tracked(tracks: &[Tracked]) -> Option<String> {
    let words = tracks
        .iter()
        .map(|one| format!("{} {}", one.name, one.value));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| item("tracked", &one_line(&words.join(", "), 400)))
}

fn item(word: &str, text: &str) -> String {
    format!("  {word:<8}{text}")
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Sealed => "sealed",
        Level::Landlock => "landlock only (degraded)",
    }
}
