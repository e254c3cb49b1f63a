//! What separates a sandbox from the rest of the machine.

use crate::mutation::Mutation;
use crate::row::Row;

const OUTSIDE: &str = "enter/src/outside.rs";
const INIT: &str = "enter/src/init.rs";

pub fn mutations() -> Vec<Mutation> {
    let namespace = |name: &str, flag: &'static str, row| {
        Mutation::new(
            format!("namespace-{name}"),
            format!("the {name} namespace"),
            row,
        )
        .instead(OUTSIDE, flag, "CloneFlags::empty()")
    };
    vec![
        namespace("mount", "CloneFlags::CLONE_NEWNS", Row::SealedUser)
            .breaks("could not make mounts private"),
        namespace("user", "CloneFlags::CLONE_NEWUSER", Row::SealedUser)
            .breaks("could not make namespaces"),
        namespace("pid", "CloneFlags::CLONE_NEWPID", Row::Sealed)
            .caught_by(&["outside-process", "outside-signal"]),
        namespace("ipc", "CloneFlags::CLONE_NEWIPC", Row::Sealed).caught_by(&["outside-queue"]),
        // Without it, naming the sandbox would name the machine.
        namespace("uts", "CloneFlags::CLONE_NEWUTS", Row::Sealed)
            .without(
                INIT,
                "sethostname(\"autoclave\").during(\"name the host\")?;",
            )
            .caught_by(&["host-name"]),
        namespace("cgroup", "CloneFlags::CLONE_NEWCGROUP", Row::Sealed)
            .caught_by(&["cgroup-names"]),
        namespace("network", "CloneFlags::CLONE_NEWNET", Row::Sealed)
            .proof("a connection out")
            .caught_by(&["outside-port", "outside-abstract-socket"]),
    ]
}
