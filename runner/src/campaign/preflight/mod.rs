//! What `check` finds out before a night is spent.

mod agent;
mod base;
mod canary;
mod enforced;
mod missing;
mod noise;
mod null;
mod programs;
mod report;

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::emitter::Emitter;
use super::error::chain;
use super::gate::ModelService;
use super::workshop::{HostFacts, Workshop};
use crate::event::Reporter;
use crate::marker::{ConfigFile, Marker};
use crate::repo::Repo;

pub use noise::NoiseFound;
pub use report::{Area, Check, CheckReport, CheckStatus};

/// A marker to try, and what is known about it.
pub struct PreflightRequest<'a> {
    pub config: &'a ConfigFile,
    /// What to tell the user about the configuration.
    pub warnings: Vec<String>,
    pub marker: Marker,
    /// The model's service, or why there is no credential for it.
    pub service: Result<&'a ModelService, String>,
    pub host: &'a HostFacts,
    /// Comparisons of the base with itself to run for real.
    pub null_experiments: u32,
}

/// Tries everything a run of a marker needs, up to the noise of its metric. What fails does not
/// keep the rest from being tried where it can be.
///
/// # Errors
///
/// [`CampaignError::Interrupted`]; every other failure is a finding.
pub async fn preflight(
    repo: Repo,
    request: PreflightRequest<'_>,
    cancel: &CancellationToken,
    reporter: &mut dyn Reporter,
) -> Result<CheckReport, CampaignError> {
    let mut report = CheckReport::new();
    let count = request.config.markers.len();
    let origin = &request.config.source.origin;
    let detail = format!("`{origin}` is read, markers: {count}");
    report.ok(Area::Config, "config", detail);
    for warning in request.warnings {
        report.warn(Area::Config, "config", warning, None);
    }
    let service = request.service.as_ref();
    agent::check(&request.marker, service, request.host, &mut report).await;
    let base = match repo.resolve(None) {
        Ok(base) => base,
        Err(error) => {
            let hint = "commit something first";
            let detail = chain(&error);
            report.fail(Area::Repository, "base commit", detail, Some(hint));
            return Ok(report);
        }
    };
    report.ok(Area::Repository, "base commit", base.short());
    let workshop = match Workshop::open(repo, request.marker, base, request.host).await {
        Ok(workshop) => workshop,
        Err(error) => {
            report.error(&error);
            return Ok(report);
        }
    };
    if let Ok(service) = request.service
        && let Err(error) = service.refuse_visible(workshop.shown())
    {
        let detail = chain(&error);
        report.fail(Area::Agent, "credential file", detail, None);
    }
    enforced::check(&workshop, request.config, &mut report);
    let mut emitter = Emitter::unrecorded(reporter);
    let trial = base::Trial {
        workshop: &workshop,
        host: request.host,
        report: &mut report,
        cancel,
    };
    let tried = Box::pin(base::check(trial, request.null_experiments, &mut emitter)).await;
    workshop.close().await;
    match tried {
        Err(CampaignError::Interrupted) => Err(CampaignError::Interrupted),
        Err(error) => {
            report.error(&error);
            Ok(report)
        }
        Ok(()) => Ok(report),
    }
}
