//! What sessions cost that were killed before anybody wrote it down.

use std::path::Path;

use super::CampaignError;
use crate::decide::progress::Progress;
use crate::gateway::audited;
use crate::model::Usage;

/// Returns what the gateway's audit file at `audit` holds beyond what the ledger tells: the sessions
/// of experiments that a killed run never decided. Without it, every crash would add to the budget.
///
/// # Errors
///
/// [`CampaignError::Folder`] when the file is there and cannot be read, or its torn end not closed.
pub(super) fn lost(audit: &Path, progress: &Progress) -> Result<Usage, CampaignError> {
    let audited = audited(audit).map_err(|cause| CampaignError::Folder {
        path: audit.to_owned(),
        cause,
    })?;
    let mut told = Usage::default();
    for experiment in &progress.experiments {
        told += experiment.usage;
    }
    Ok(audited.since(told))
}
