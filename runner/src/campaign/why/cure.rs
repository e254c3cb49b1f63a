//! What to change to get the opposite of a decision.

use autoclave_policies::{Decision, Operation, Outcome, PRESETS, Rule};

use super::{Aim, Cure};

/// Returns what to change so that what is refused is allowed, what is lost is kept, or what is
/// allowed is refused; `named` stands for the subject. `None` where nothing a user writes does it.
pub(super) fn cure(named: &str, operation: Option<Operation>, decision: &Decision) -> Option<Cure> {
    let rule = &decision.rule;
    let is_lost = match decision.outcome {
        Some(Outcome::Dropped) => true,
        Some(Outcome::ThrownAway) => matches!(rule, Rule::Scratch(_)),
        Some(Outcome::Kept) | None => false,
    };
    let (aim, change) = match (decision.is_allowed, is_lost) {
        (false, _) => (Aim::Allow, to_allow(named, operation, rule)),
        (true, true) => (Aim::Keep, to_allow(named, operation, rule)),
        (true, false) => (Aim::Deny, to_deny(named, operation, rule)),
    };
    Some(Cure {
        aim,
        change: change?,
    })
}

fn to_allow(path: &str, operation: Option<Operation>, rule: &Rule) -> Option<String> {
    let is_change = operation.is_some_and(Operation::changes);
    Some(match rule {
        Rule::Immutable(glob) => format!(
            "take `{glob}` out of `target.immutable`, or narrow it, and let a glob of \
             `target.mutable` cover {path}"
        ),
        Rule::Hidden(glob) => format!("take `{glob}` out of `target.hidden`, or narrow it"),
        Rule::HiddenGuard => "set `hidden: false` on the guard that names it".to_owned(),
        Rule::Protected(_) | Rule::Steers(_) | Rule::Harness => {
            format!("name {path} itself in `target.mutable`: a glob with wildcards does not do")
        }
        Rule::Uncovered => format!(
            "let a glob of `target.mutable` cover {path}, or one of `target.scratch` where \
             changes are to be thrown away"
        ),
        Rule::InPlace(_) | Rule::Mixed(_) | Rule::Closed(_) => {
            "let globs of `target.mutable` or `target.scratch` cover the whole directory, with \
             nothing immutable beneath; as root or in the container backend names can be made \
             beside what is immutable"
                .to_owned()
        }
        Rule::PolicyDeny { policy, path } => format!(
            "nothing in a marker opens it: only a policy file of your own that does not extend \
             `{policy}` could leave `{}` out of `deny`",
            path.display()
        ),
        Rule::NotShown(_) if !is_change => {
            format!("add {path} or a folder above it to `sandbox.read`")
        }
        // In the workspace or on the machine: nothing there is ever written.
        Rule::NotShown(_)
        | Rule::PolicyRead { .. }
        | Rule::Shown(_)
        | Rule::System(_)
        | Rule::Etc
        | Rule::Image
        | Rule::Repository
        | Rule::Submodule
        | Rule::Mutable(_)
        | Rule::InTheWorkspace
        | Rule::NotThere
        | Rule::NotInADirectory
        | Rule::LinkLoop
        | Rule::AlreadyThere
        | Rule::WrongKind
        | Rule::NotExecutable
        | Rule::Own(_)
        | Rule::OwnRoot
        | Rule::Device
        | Rule::Kernel => return None,
        Rule::Scratch(_) => {
            format!("let a glob of `target.mutable` cover {path}: it wins over `target.scratch`")
        }
        Rule::NoNetwork | Rule::Model(_) => {
            "nothing opens a sandbox's network: let `prepare`, which has it, fetch what is needed"
                .to_owned()
        }
    })
}

fn to_deny(path: &str, operation: Option<Operation>, rule: &Rule) -> Option<String> {
    let is_change = operation.is_some_and(Operation::changes);
    Some(match rule {
        Rule::Mutable(_) | Rule::Scratch(_) => {
            format!("list {path} in `target.immutable`")
        }
        Rule::InTheWorkspace if !is_change => format!("list {path} in `target.hidden`"),
        Rule::PolicyRead { policy, path } => {
            let path = path.display();
            if PRESETS.iter().any(|(name, _)| name == policy) {
                format!("use a policy file with `extends: {policy}` and `{path}` under `deny`")
            } else {
                format!("add `{path}` to `deny` in `{policy}`")
            }
        }
        Rule::Shown(path) => format!("take `{}` out of `sandbox.read`", path.display()),
        Rule::Immutable(_)
        | Rule::Hidden(_)
        | Rule::HiddenGuard
        | Rule::Protected(_)
        | Rule::Steers(_)
        | Rule::Harness
        | Rule::Repository
        | Rule::Uncovered
        | Rule::Submodule
        | Rule::InPlace(_)
        | Rule::Closed(_)
        | Rule::Mixed(_)
        | Rule::InTheWorkspace
        | Rule::NotThere
        | Rule::NotInADirectory
        | Rule::LinkLoop
        | Rule::AlreadyThere
        | Rule::WrongKind
        | Rule::NotExecutable
        | Rule::PolicyDeny { .. }
        | Rule::System(_)
        | Rule::Own(_)
        | Rule::OwnRoot
        | Rule::Device
        | Rule::Kernel
        | Rule::Etc
        | Rule::Image
        | Rule::NotShown(_)
        | Rule::NoNetwork
        | Rule::Model(_) => return None,
    })
}
