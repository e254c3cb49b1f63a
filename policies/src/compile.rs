//! From a policy, a tree and a host to the plan that is enforced.

mod grants;
mod requirements;

use std::collections::BTreeMap;

use crate::{HostCapabilities, Identity, Limits, Plan, Policy, Tree, View};
use requirements::level_of;

/// What a plan holds besides what follows from policy and tree.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRequest {
    /// Host paths to show read-only, in any order.
    pub views: Vec<View>,
    /// The whole environment of the command.
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
    /// Names of levels below `sealed` that the user accepts: `landlock`.
    pub allow_degraded: Vec<String>,
}

/// One rule that cannot be enforced, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot enforce {rule}: {why}")]
pub struct Refusal {
    /// The layer or setting: `paths`, `syscalls`, `identity`, `view`, `views`, `processes`, `limits`,
    /// `allow_degraded`.
    pub rule: String,
    pub why: String,
    /// What comes nearest and can be enforced, as an instruction to the user.
    pub nearest: Option<String>,
}

/// Returns exactly what a backend on `host` will enforce for `tree` under `policy`.
///
/// An existing file is writable if and only if its class is mutable or scratch, except links where
/// the identity is [`Identity::SameUser`]: those can only be replaced in a wholly writable
/// directory. Nothing can be created in a directory where no mutable or scratch pattern could
/// match a child. Submodules are read-only.
///
/// # Errors
///
/// Every rule that this host cannot enforce, never empty; there is no partial plan.
pub fn compile(
    policy: &Policy,
    tree: &Tree,
    host: &HostCapabilities,
    request: &PlanRequest,
) -> Result<Plan, Vec<Refusal>> {
    let level = level_of(host, request)?;
    let identity = match host.second_uid {
        Some((uid, gid)) => Identity::SecondUid { uid, gid },
        None => Identity::SameUser,
    };
    let granted = grants::compile(policy, tree, identity);
    let mut views = request.views.clone();
    views.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(Plan {
        version: 1,
        level,
        identity,
        grants: granted.grants,
        in_place: granted.in_place,
        views,
        env: request.env.clone(),
        limits: request.limits,
    })
}

#[cfg(test)]
pub(crate) mod tests;
