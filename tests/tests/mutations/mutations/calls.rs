//! Which system calls the filter denies. The single rules are played beside these; see `removed.rs`.

use crate::mutation::Mutation;
use crate::row::Row;

const COMMAND: &str = "enter/src/command.rs";
const SECCOMP: &str = "runner/src/sandbox/process/seccomp.rs";

pub fn mutations() -> Vec<Mutation> {
    vec![
        Mutation::new("seccomp", "the filter, all of it", Row::Sealed)
            .raw(
                COMMAND,
                "for program in &spec.seccomp {",
                "&spec.seccomp",
                "spec.seccomp.iter().filter(|_| !@ON)",
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
            SECCOMP,
            "let first = sockets.map_or(&[] as &[_], denied_without_network_namespace);",
            "sockets.map_or",
            "sockets.filter(|_| !@ON).map_or",
        )
        .proof("a connection out")
        .caught_by(&["outside-port", "outside-abstract-socket", "bind-port"]),
    ]
}
