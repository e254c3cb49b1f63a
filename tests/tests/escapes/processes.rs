//! Processes outside: signals, tracing, what /proc tells of them, their limits.

use crate::case::Control::With;
use crate::case::Outcome::{Denied, Harmless, Open};
use crate::case::{Case, Group};
use crate::row::{CONTAINERS, LANDLOCK, Row};
use crate::victim::victim;

crate::on_each_row!(crate::processes::GROUP);

pub const GROUP: Group = Group {
    name: "processes",
    cases: CASES,
    surroundings: victim,
};

const LISTED: crate::case::Outcome =
    Open("Processes: what runs on the host can be listed, not read");
const OWN_INIT: crate::case::Outcome =
    Harmless("it is the first process of its own namespace, whose signals the kernel drops");

/// What a pid namespace leaves no number for, and Landlock keeps inside.
const fn signal(name: &'static str, attack: &'static str) -> Case {
    Case::denied(name, attack, "{victim}", "ESRCH").on(LANDLOCK, Denied("EPERM"))
}

/// A file of the victim's in /proc, which only those may read who may trace it.
const fn file(name: &'static str, attack: &'static str, argument: &'static str) -> Case {
    Case::denied(name, attack, argument, "ENOENT").on(LANDLOCK, Denied("EACCES"))
}

/// The same of whoever started the command: the sandbox's own first process, which is not dumpable.
const fn own(
    name: &'static str,
    attack: &'static str,
    argument: &'static str,
    control: &'static str,
) -> Case {
    Case::denied(name, attack, argument, "EACCES").control(With(control))
}

const CASES: &[Case] = &[
    signal("kill", "kill"),
    signal("tgkill", "tgkill"),
    signal("sigqueue", "sigqueue"),
    signal("a signal by pidfd", "pidfd_send_signal"),
    signal("a signal by the owner of a descriptor", "signal_by_owner")
        .on(LANDLOCK, Denied("nothing")),
    // Answered by the filter, whoever is meant.
    Case::denied("trace, attached", "trace_attach", "{victim}", "EPERM"),
    Case::denied("trace, seized", "trace_seize", "{victim}", "EPERM"),
    Case::denied("be traced", "trace_me", "", "EPERM"),
    Case::denied(
        "read the memory",
        "read_memory",
        "{victim} {memory}",
        "EPERM",
    ),
    Case::denied(
        "write the memory",
        "write_memory",
        "{victim} {memory}",
        "EPERM",
    ),
    Case::denied(
        "take a descriptor",
        "take_descriptor",
        "{victim} {descriptor}",
        "EPERM",
    ),
    Case::denied("compare descriptors", "compare_files", "{victim}", "EPERM"),
    // What /proc has of it.
    file(
        "its memory as a file",
        "read_memory_file",
        "{victim} {memory}",
    ),
    file("its environment", "read_process", "{victim} environ"),
    file("its map of the memory", "read_process", "{victim} maps"),
    file("its auxiliary vector", "read_process", "{victim} auxv"),
    file("its input and output", "read_process", "{victim} io"),
    file("its root", "list_process", "{victim} root"),
    file(
        "a file by its root",
        "read_process",
        "{victim} root/etc/passwd",
    ),
    file("its working directory", "list_process", "{victim} cwd"),
    file(
        "where its working directory is",
        "follow_process",
        "{victim} cwd",
    ),
    file("its program", "read_process", "{victim} exe"),
    file(
        "the numbers of its descriptors",
        "list_process",
        "{victim} fd",
    )
    .on(&[Row::LandlockAsUser], LISTED),
    file(
        "what a descriptor is",
        "follow_process",
        "{victim} fd/{descriptor}",
    ),
    file(
        "a file by its descriptor",
        "read_process",
        "{victim} fd/{descriptor}",
    ),
    file("its namespaces", "follow_process", "{victim} ns/net"),
    file(
        "its threads' environment",
        "read_process",
        "{victim} task/{victim}/environ",
    ),
    file("its command line", "read_process", "{victim} cmdline").on(LANDLOCK, LISTED),
    file("its state", "read_process", "{victim} status").on(LANDLOCK, LISTED),
    file("the memory killer's opinion of it", "volunteer", "{victim}"),
    Case::denied(
        "a secret in any environment",
        "search_processes",
        "environ {secret}",
        "nothing",
    ),
    Case::denied(
        "the credential in any environment",
        "search_processes",
        "environ sk-test-never-to-be-seen-inside",
        "nothing",
    )
    .control(With("environ {secret}")),
    Case::denied(
        "a word in any command line",
        "search_processes",
        "cmdline {argument}",
        "nothing",
    )
    .on(LANDLOCK, LISTED),
    // Its share of the machine.
    Case::denied("its limits", "limit", "{victim}", "EPERM"),
    signal("its priority", "slow_down"),
    signal("its processors", "pin"),
    signal("its scheduling", "reschedule"),
    signal("its disk's priority", "slow_disk_down"),
    Case::harmless(
        "the own limits",
        "limit_self",
        "",
        "programs and shells set their own",
    ),
    Case::harmless("the own priority", "slow_self_down", "", "nice(1)"),
    // Whoever started the command.
    own(
        "the helper's environment",
        "read_process",
        "helper environ",
        "{victim} environ",
    ),
    own(
        "the helper's memory",
        "read_memory_file",
        "helper {memory}",
        "{victim} {memory}",
    ),
    own(
        "the helper's map of the memory",
        "read_process",
        "helper maps",
        "{victim} maps",
    ),
    own(
        "the helper's root",
        "list_process",
        "helper root",
        "{victim} root",
    ),
    own(
        "the helper's working directory",
        "list_process",
        "helper cwd",
        "{victim} cwd",
    ),
    own(
        "the helper's descriptors",
        "list_process",
        "helper fd",
        "{victim} fd",
    ),
    own(
        "the helper's standard input",
        "read_process",
        "helper fd/0",
        "{victim} fd/{descriptor}",
    ),
    own(
        "the helper's program",
        "read_process",
        "helper exe",
        "{victim} exe",
    ),
    own(
        "the helper's namespaces",
        "follow_process",
        "helper ns/net",
        "{victim} ns/net",
    ),
    own(
        "the memory killer's opinion of the helper",
        "volunteer",
        "helper",
        "{victim}",
    ),
    Case::denied("trace the helper", "trace_seize", "helper", "EPERM").control(With("{victim}")),
    Case::denied("the helper's limits", "limit", "helper", "EPERM").control(With("{victim}")),
    Case::denied("signal the helper", "kill", "helper", "EPERM")
        .control(With("{victim}"))
        .on(CONTAINERS, OWN_INIT),
];
