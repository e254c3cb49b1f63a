//! Which rule allows or denies something, on which backend by which layer.

mod cure;
mod denied;
mod subject;
mod told;

use autoclave_policies::{
    Access, AccessParts, Backend, Decision, HostSide, Identity, Layer, Level, Operation, Rule,
    connect,
};
use serde::Serialize;

use super::CampaignError;
use super::bench::{Bench, Role};
use super::workshop::{HostFacts, Workshop};
use crate::marker::{BackendKind, Marker, RulePlaces};
use crate::model::CommitId;
use crate::repo::Repo;

pub(super) use denied::Witness;
pub use subject::{Beneath, Kind, Subject};
pub use told::Told;

/// A question about one marker.
#[derive(Debug)]
pub struct WhyRequest<'a> {
    pub marker: Marker,
    /// Where the marker's rules are written.
    pub places: RulePlaces,
    pub subject: &'a Subject,
    /// The host that the gateway passes requests on to, if there will be a gateway.
    pub model: Option<&'a str>,
    pub host: &'a HostFacts,
}

/// What a marker's sandboxes allow and deny about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    pub marker: String,
    pub base: CommitId,
    pub kind: Kind,
    /// Of a directory: what is what beneath it, the most frequent first.
    pub beneath: Vec<Beneath>,
    /// The agent's backend first; a second where measurements have one of their own.
    pub answers: Vec<Answer>,
    /// What else is to know; sentences without a period.
    pub notes: Vec<String>,
}

/// What one backend decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What the backend is for; at least one.
    pub roles: Vec<Role>,
    pub backend: BackendKind,
    pub level: Level,
    /// At least one.
    pub decisions: Vec<Told>,
    /// What to change to get the opposite of the decision that matters most, if anything does it.
    pub cure: Option<Cure>,
}

/// What to change to get the opposite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cure {
    pub aim: Aim,
    /// An instruction without a period.
    pub change: String,
}

/// What is so after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    Allow,
    Deny,
    /// Changes, which are allowed already, become part of the candidate.
    Keep,
}

/// Compiles the marker's plan on HEAD and asks it; nothing is run.
///
/// # Errors
///
/// Those of opening a workshop: what this host cannot enforce, an engine that does not answer, a
/// marker that does not fit.
pub async fn why(repo: Repo, request: WhyRequest<'_>) -> Result<Why, CampaignError> {
    let base = repo.resolve(None)?;
    let workshop = Workshop::open(repo, request.marker, base, request.host).await?;
    let question = Question {
        workshop: &workshop,
        places: &request.places,
        subject: request.subject,
        model: request.model,
    };
    let answered = question.answered();
    workshop.close().await;
    Ok(answered)
}

struct Question<'a> {
    workshop: &'a Workshop,
    places: &'a RulePlaces,
    subject: &'a Subject,
    model: Option<&'a str>,
}

/// One thing to try, and what is decided about it.
struct Asked {
    name: String,
    /// `None` for a connection.
    operation: Option<Operation>,
    decision: Decision,
}

impl Question<'_> {
    fn answered(&self) -> Why {
        let workshop = self.workshop;
        let roles = workshop.benches.roles();
        let kind = subject::kind(workshop, self.subject);
        let is_hidden = subject::is_hidden(workshop, self.subject);
        let sides: &[&[Role]] = match (roles, is_hidden) {
            ([_], false) => &[&[Role::Agent, Role::Measure]],
            _ => &[&[Role::Agent], &[Role::Measure]],
        };
        let answers = sides.iter().map(|roles| self.of_bench(roles, &kind));
        Why {
            marker: workshop.marker.name.clone(),
            base: workshop.base.clone(),
            answers: answers.collect(),
            beneath: subject::beneath(workshop, self.places, self.subject),
            notes: subject::notes(workshop, self.subject, &kind),
            kind,
        }
    }

    /// Answers for the bench that works for all of `roles`.
    fn of_bench(&self, roles: &[Role], kind: &Kind) -> Answer {
        let is_agents = roles.contains(&Role::Agent);
        let bench = self.workshop.bench(roles[0]);
        let asked = match self.subject {
            Subject::Host(host) => self.connections(bench, roles, host),
            Subject::Workspace(Some(path))
                if !is_agents && subject::is_hidden(self.workshop, self.subject) =>
            {
                measured(bench, &self.workshop.policy.rule_of(path))
            }
            Subject::Workspace(_) | Subject::Machine(_) => self.operations(bench, kind),
        };
        let home = self.workshop.home();
        let told = |asked: &Asked| Told::new(&asked.name, &asked.decision, self.places, home);
        let decisions = asked.iter().map(told).collect();
        let central = asked.get(kind.central()).filter(|_| is_agents);
        let cure = central.and_then(|asked| {
            let named = subject::named(self.subject, kind, asked.operation);
            cure::cure(&named, asked.operation, &asked.decision)
        });
        Answer {
            roles: roles.to_vec(),
            backend: bench.kind,
            level: bench.plan.level,
            decisions,
            cure,
        }
    }

    fn operations(&self, bench: &Bench, kind: &Kind) -> Vec<Asked> {
        let host = self.workshop.host_side();
        let access = self.workshop.access(bench, &host);
        let decide = |operation: &Operation| {
            let decision = subject::decide(&access, self.subject, kind, *operation);
            Asked {
                name: kind.word(*operation),
                operation: Some(*operation),
                decision,
            }
        };
        kind.operations().iter().map(decide).collect()
    }

    fn connections(&self, bench: &Bench, roles: &[Role], host: &str) -> Vec<Asked> {
        let ask = |role: &Role| {
            let (name, model) = match role {
                Role::Agent => ("connect", self.model),
                Role::Measure => ("measuring", None),
            };
            Asked {
                name: name.to_owned(),
                operation: None,
                decision: connect(bench.plan.level, host, model),
            }
        };
        roles.iter().map(ask).collect()
    }
}

/// Decides for measurements about what is hidden from the agent: it is there, and root's.
fn measured(bench: &Bench, rule: &Rule) -> Vec<Asked> {
    let view = match bench.plan.level {
        Level::Sealed => Layer::MountNamespace,
        Level::Landlock => Layer::Landlock,
    };
    let guard = match bench.plan.identity {
        Identity::SecondUid { .. } => Layer::Ownership,
        Identity::SameUser => Layer::Landlock,
    };
    let decided = [
        (Operation::Read, true, view),
        (Operation::Write, false, guard),
    ];
    let asked = decided.map(|(operation, is_allowed, layer)| Asked {
        name: operation.to_string(),
        operation: Some(operation),
        decision: Decision {
            is_allowed,
            rule: rule.clone(),
            layer,
            outcome: None,
        },
    });
    asked.into()
}

impl Workshop {
    /// Returns what of this machine answers depend on.
    pub(super) fn host_side(&self) -> HostSide<'_> {
        // See proc_sys_fs(5); a kernel that does not say so is asked as if it did not protect.
        let setting = std::fs::read_to_string("/proc/sys/fs/protected_hardlinks");
        HostSide {
            policy: &self.marker.sandbox.policy,
            home: self.home(),
            protects_hard_links: setting.is_ok_and(|text| text.trim() == "1"),
        }
    }

    /// Returns what the agent's command may do on `bench`.
    pub(super) fn access<'a>(&'a self, bench: &'a Bench, host: &'a HostSide<'a>) -> Access<'a> {
        Access::new(AccessParts {
            policy: &self.policy,
            tree: &self.tree,
            plan: &bench.plan,
            backend: match bench.kind {
                BackendKind::Process => Backend::Process,
                BackendKind::Container => Backend::Container,
            },
            host,
        })
    }
}
