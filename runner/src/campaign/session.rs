//! One agent session: the agent runs in its sandbox, its stream becomes events and a report.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::bench::Role;
use super::capture::Tail;
use super::clock;
use super::copy::{Copy, TRANSCRIPT_BYTES};
use super::emitter::Emitter;
use super::gate::Gate;
use super::why::Witness;
use super::workshop::Workshop;
use crate::agent::{AgentOutcome, Circumstances, Ending, Heard, Report, Transcript, launch};
use crate::decide::brief::one_line;
use crate::event::EventKind;
use crate::marker::RulePlaces;
use crate::model::{ExperimentNumber, Usage};
use crate::sandbox::{Execution, Exit, Finished, OutputSink, Snapshot, Stream};

/// What an agent session is asked to do.
pub(super) struct SessionRequest<'a> {
    pub experiment: ExperimentNumber,
    pub snapshot: &'a Snapshot,
    pub brief: &'a str,
    /// The id of the session to go on with.
    pub resume: Option<&'a str>,
    pub timeout: Duration,
    /// Takes the agent's output as it came.
    pub transcript: &'a Path,
    /// Where the marker's rules are written.
    pub places: &'a RulePlaces,
    pub cancel: &'a CancellationToken,
}

/// A finished session: what it reported, what it used, and its sandbox.
pub(super) struct Session {
    pub report: Report,
    pub usage: Usage,
    /// The first few refusals, each as `TOOL: MESSAGE`.
    pub denials: Vec<String>,
    pub finished: Finished,
}

/// Runs one agent session to its end.
pub(super) async fn run_session(
    workshop: &Workshop,
    gate: &Gate,
    emitter: &mut Emitter<'_>,
    request: SessionRequest<'_>,
) -> Result<Session, CampaignError> {
    let spec = &workshop.marker.agent;
    let command = launch(spec, &gate.program.inside, request.brief, request.resume);
    let mut env = command.env;
    env.extend(gate.env());
    let file = File::options()
        .create(true)
        .append(true)
        .open(request.transcript)
        .map_err(|cause| CampaignError::Folder {
            path: request.transcript.to_owned(),
            cause,
        })?;
    let mark = gate.metered().await?.unwrap_or_default().usage;
    let host = workshop.host_side();
    let mut ear = Ear {
        witness: Witness::new(workshop, &host, request.places),
        transcript: Transcript::new(spec.protocol),
        copy: Copy::new(file, TRANSCRIPT_BYTES),
        told: 0,
        stderr: Tail::new(4 << 10),
        experiment: request.experiment,
        denials: Vec::new(),
        emitter,
    };
    // A child token, so that a refused credential ends this session and nothing else.
    let stop = request.cancel.child_token();
    let execution = Execution {
        snapshot: request.snapshot,
        plan: &workshop.bench(Role::Agent).plan,
        argv: command.argv,
        env,
        stdin: command.stdin,
        network: gate.network(),
        views: gate.views(),
        timeout: request.timeout,
        cancel: stop.clone(),
    };
    let finished = {
        let execution = workshop.execute(Role::Agent, execution, &mut ear);
        tokio::pin!(execution);
        let refused = credential_refused(gate);
        tokio::pin!(refused);
        tokio::select! {
            finished = &mut execution => finished?,
            lost = &mut refused => {
                stop.cancel();
                let finished = execution.await?;
                lost?;
                finished
            }
        }
    };
    let metered = gate.metered().await?;
    let stderr = String::from_utf8_lossy(ear.stderr.bytes());
    let mut report = ear.transcript.finish(&Circumstances {
        ending: ending(finished.exit),
        stderr: &stderr,
        reset_ms: metered
            .as_ref()
            .and_then(|metered| metered.rate_limit_reset_ms),
        is_over_budget: metered
            .as_ref()
            .is_some_and(|metered| metered.budget_exceeded),
        now_ms: clock::now_ms(),
    });
    if metered.is_some_and(|metered| metered.auth_failed) {
        // What the gateway saw outranks what the agent said: it is ours.
        let message = "the upstream answered 401".to_owned();
        report.outcome = AgentOutcome::Unauthorized { message };
    }
    // The gateway's meter is the authority on tokens and money; turns only the agent counts.
    let usage = match metered {
        Some(metered) => Usage {
            turns: report.usage.turns,
            ..metered.usage.since(mark)
        },
        None => report.usage,
    };
    ear.emitter.emit(EventKind::AgentFinished {
        experiment: request.experiment,
        usage,
        seconds: finished.wall.as_secs_f64(),
        outcome: report.outcome.word().to_owned(),
    });
    Ok(Session {
        report,
        usage,
        denials: ear.denials,
        finished,
    })
}

/// Completes when the model's service has refused the credential: no retry can mend that.
///
/// # Errors
///
/// When the gateway is gone: no request will be answered any more.
async fn credential_refused(gate: &Gate) -> Result<(), CampaignError> {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        match gate.metered().await? {
            None => return std::future::pending().await,
            Some(metered) if metered.auth_failed => return Ok(()),
            Some(_) => tick.tick().await,
        };
    }
}

/// Refusals of one session that are remembered word by word.
const MOST_DENIALS: usize = 5;

/// Things said in one session that become events: each takes more room than what was said.
const MOST_TOLD: u32 = 20_000;

/// Listens to the agent: writes its output down and turns it into events.
struct Ear<'a, 'r> {
    witness: Witness<'a>,
    transcript: Transcript,
    copy: Copy,
    told: u32,
    stderr: Tail,
    experiment: ExperimentNumber,
    denials: Vec<String>,
    emitter: &'a mut Emitter<'r>,
}

impl OutputSink for Ear<'_, '_> {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        if self.copy.push(chunk) {
            self.emitter.warn(format!(
                "experiment {}: of what the agent prints, the first {} MiB are written down",
                self.experiment,
                TRANSCRIPT_BYTES >> 20
            ));
        }
        if stream == Stream::Stderr {
            self.stderr.push(chunk);
            return;
        }
        let experiment = self.experiment;
        for heard in self.transcript.push(chunk) {
            let kind = match heard {
                Heard::Started { session, model, .. } => EventKind::AgentStarted {
                    experiment,
                    session,
                    model,
                },
                Heard::Text(text) => EventKind::AgentText { experiment, text },
                Heard::Tool { name, summary } => EventKind::AgentTool {
                    experiment,
                    tool: name,
                    summary,
                },
                Heard::Denied {
                    tool,
                    message,
                    file,
                } => {
                    let why = self.witness.explain(file.as_deref(), &message);
                    if self.denials.len() < MOST_DENIALS {
                        self.denials.push(one_line(&format!("{tool}: {message}")));
                    }
                    EventKind::AgentDenied {
                        experiment,
                        tool,
                        message,
                        why,
                    }
                }
                Heard::Retry {
                    attempt,
                    error_status,
                    delay_ms,
                } => EventKind::AgentRetry {
                    experiment,
                    attempt,
                    error_status,
                    delay_ms,
                },
                Heard::Other => continue,
            };
            self.told = self.told.saturating_add(1);
            if self.told == MOST_TOLD {
                self.emitter.warn(format!(
                    "experiment {experiment}: the agent has said {MOST_TOLD} things, and more \
                     are not told"
                ));
            }
            if self.told >= MOST_TOLD {
                continue;
            }
            self.emitter.emit(kind);
        }
    }
}

/// Says the exit of an execution in the agent's words.
fn ending(exit: Exit) -> Ending {
    match exit {
        Exit::Code(code) => Ending::Code(code),
        Exit::Signal(signal) => Ending::Signal(signal),
        Exit::TimedOut => Ending::TimedOut,
        Exit::Cancelled => Ending::Cancelled,
        Exit::OutOfMemory => Ending::OutOfMemory,
        Exit::NotStarted { errno } => Ending::NotStarted { errno },
    }
}
