//! A backend with its plan, and which one works for whom.

use autoclave_policies::Plan;
use serde::Serialize;

use crate::marker::BackendKind;
use crate::sandbox::Sandbox;
use crate::sandbox::container::ImageUsed;

/// A sandbox and the plan that each of its executions proves.
pub struct Bench {
    pub kind: BackendKind,
    pub sandbox: Box<dyn Sandbox>,
    pub plan: Plan,
    /// What its containers are made of; `None` on the process backend.
    pub image: Option<ImageUsed>,
    /// Why `backend: auto` became what it is; a fragment for people.
    pub chosen_because: Option<String>,
    /// Memory and processes are limited one by one, for want of a cgroup.
    pub limits_each_process: bool,
}

/// What an execution is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The agent's sessions.
    Agent,
    /// Everything that leads to a verdict: `build`, guards, metric, `extract`.
    Measure,
}

/// One thing for each role, or one for both.
#[derive(Debug, Clone)]
pub struct ByRole<T> {
    agent: T,
    /// `None`: the agent's.
    measure: Option<T>,
}

impl<T> ByRole<T> {
    /// Returns `agent` for both roles where `measure` is `None`.
    pub fn new(agent: T, measure: Option<T>) -> Self {
        Self { agent, measure }
    }

    pub fn of(&self, role: Role) -> &T {
        match (role, &self.measure) {
            (Role::Measure, Some(measure)) => measure,
            (Role::Agent | Role::Measure, _) => &self.agent,
        }
    }

    /// Puts `thing` in the place that [`Self::of`] returns.
    pub fn put(&mut self, role: Role, thing: T) {
        match (role, &mut self.measure) {
            (Role::Measure, Some(measure)) => *measure = thing,
            (Role::Agent | Role::Measure, _) => self.agent = thing,
        }
    }

    /// Returns the thing for measurements where it is one of its own.
    pub fn parted(&self) -> Option<&T> {
        self.measure.as_ref()
    }

    /// Returns a role for each thing there is, the agent's first.
    pub fn roles(&self) -> &'static [Role] {
        match self.measure {
            None => &[Role::Agent],
            Some(_) => &[Role::Agent, Role::Measure],
        }
    }

    /// Returns each thing there is, the agent's first.
    pub fn each(&self) -> impl Iterator<Item = &T> {
        [&self.agent].into_iter().chain(&self.measure)
    }

    /// Returns `name`, with the role behind it where roles are apart.
    pub fn named(&self, name: &str, role: Role) -> String {
        match (&self.measure, role) {
            (None, _) => name.to_owned(),
            (Some(_), Role::Agent) => format!("{name} (agent)"),
            (Some(_), Role::Measure) => format!("{name} (measure)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_serves_both_roles_until_they_are_apart() {
        let mut one = ByRole::new(1, None);
        one.put(Role::Measure, 2);
        assert_eq!((*one.of(Role::Agent), *one.of(Role::Measure)), (2, 2));
        assert_eq!(one.each().copied().collect::<Vec<_>>(), [2]);
        assert_eq!(one.roles(), [Role::Agent]);
        assert_eq!(one.named("limits", Role::Agent), "limits");

        let mut two = ByRole::new(1, Some(2));
        two.put(Role::Measure, 3);
        assert_eq!((*two.of(Role::Agent), *two.of(Role::Measure)), (1, 3));
        assert_eq!(two.each().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(two.roles(), [Role::Agent, Role::Measure]);
        assert_eq!(two.named("limits", Role::Measure), "limits (measure)");
    }
}
