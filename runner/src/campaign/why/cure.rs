//! What to change to get the opposite of a decision.

use autoclave_policies::{Decision, Operation, Rule};

use super::subject::Subject;

/// Returns what to change so that what is refused is allowed, or the other way; an instruction
/// without a period. `None` where nothing a user writes does it.
pub(super) fn change(
    subject: &Subject,
    operation: Option<Operation>,
    decision: &Decision,
) -> Option<String> {
    let path = match subject {
        Subject::Workspace(Some(path)) => path.to_string(),
        Subject::Workspace(None) => "the repository".to_owned(),
        Subject::Machine(path) => path.display().to_string(),
        Subject::Host(host) => host.clone(),
    };
    if decision.is_allowed {
        to_deny(&path, operation, &decision.rule)
    } else {
        to_allow(&path, operation, &decision.rule)
    }
}

fn to_allow(path: &str, operation: Option<Operation>, rule: &Rule) -> Option<String> {
    let is_change = operation.is_some_and(Operation::changes);
    Some(match rule {
        Rule::Immutable(glob) => format!(
            "take `{glob}` out of `target.immutable`, or narrow it, and let a glob of \
             `target.mutable` cover `{path}`"
        ),
        Rule::Hidden(glob) => format!("take `{glob}` out of `target.hidden`, or narrow it"),
        Rule::HiddenGuard => "set `hidden: false` on the guard that names it".to_owned(),
        Rule::Protected(_) | Rule::Steers(_) | Rule::Harness => {
            format!("name `{path}` itself in `target.mutable`: a glob with wildcards does not do")
        }
        Rule::Uncovered => format!(
            "let a glob of `target.mutable` cover `{path}`, or one of `target.scratch` where \
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
            format!("add `{path}` or a folder above it to `sandbox.read`")
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
        | Rule::Scratch(_)
        | Rule::InTheWorkspace
        | Rule::NotThere
        | Rule::NotInADirectory
        | Rule::LinkLoop
        | Rule::AlreadyThere
        | Rule::WrongKind
        | Rule::NotExecutable
        | Rule::Own(_)
        | Rule::Device
        | Rule::Kernel => return None,
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
            format!("list `{path}` in `target.immutable`")
        }
        Rule::InTheWorkspace if !is_change => format!("list `{path}` in `target.hidden`"),
        Rule::PolicyRead { policy, path } => format!(
            "use a policy file with `extends: {policy}` whose `deny` has `{}`",
            path.display()
        ),
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
        | Rule::Device
        | Rule::Kernel
        | Rule::Etc
        | Rule::Image
        | Rule::NotShown(_)
        | Rule::NoNetwork
        | Rule::Model(_) => return None,
    })
}
