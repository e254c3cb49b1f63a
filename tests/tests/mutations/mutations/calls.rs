//! Which system calls the filter denies. The single rules are played beside these; see `removed.rs`.

use crate::mutation::Mutation;
use crate::row::Row;

const COMMAND: &str = "enter/src/command.rs";
const SECCOMP: &str = "runner/src/sandbox/process/seccomp.rs";
const UNMOUNTED: &str = "runner/src/sandbox/process/unmounted.rs";

pub fn mutations() -> Vec<Mutation> {
    vec![
        Mutation::new("seccomp", "the filter, all of it", Row::Sealed)
            .raw(
                COMMAND,
                "filter(&spec.seccomp)?;\n    prove(",
                "&spec.seccomp",
                "@ORIGINAL[..if @ON { 0 } else { spec.seccomp.len() }]",
            )
            .proof("seccomp is")
            .caught_by(&["seccomp-mode", "32-bit-calls", "x32-calls", "bpf"]),
        Mutation::new("architecture", "the check of the architecture", Row::Sealed)
            .instead(
                SECCOMP,
                "libc::SECCOMP_RET_KILL_PROCESS",
                "libc::SECCOMP_RET_ALLOW",
            )
            .caught_by(&["32-bit-calls"]),
        Mutation::new("x32", "the check of x32 numbers", Row::Sealed)
            .instead_near(
                SECCOMP,
                "program.push(deny(libc::EPERM));",
                "deny(libc::EPERM)",
                "allow()",
            )
            .caught_by(&["x32-calls"]),
        Mutation::new(
            "sockets",
            "the denial of all sockets where there is no network namespace",
            Row::Landlock,
        )
        .raw(
            UNMOUNTED,
            "let sockets = sockets.map(denied_without_network_namespace);",
            "sockets.map",
            "sockets.filter(|_| !@ON).map",
        )
        .proof("a connection out")
        .caught_by(&["outside-port", "outside-abstract-socket", "bind-port"]),
        Mutation::new(
            "host-calls",
            "the denial of IPC and scheduling where the host's processes are",
            Row::Landlock,
        )
        .caught_by(&["outside-queue"]),
    ]
}
