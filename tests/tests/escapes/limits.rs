//! How much of the machine one command may use: processes, memory, disk, time.
//!
//! [`Scene`](crate::play::Scene)'s marker allows 128 processes, 1 GiB of memory, 256 MiB of disk. What a
//! command prints, how an agent ends that listens to nobody, and a runner that is killed itself are played
//! elsewhere; docs/escapes.md says where.

use crate::case::Outcome::{Denied, EndsAll, Open};
use crate::case::{Case, Group, Outcome};
use crate::place::Surroundings;
use crate::row::{AS_USER, CONTAINERS, LANDLOCK};

crate::on_each_row!(crate::limits::GROUP);

pub const GROUP: Group = Group {
    name: "limits",
    cases: CASES,
    surroundings: Surroundings::none,
};

const NO_CGROUP: Outcome = Open(
    "Memory and processor: without a writable cgroup memory is limited for each process alone",
);

// Which limit is met first depends on what else has been written, so that agents, who write much,
// are not compared.
const CASES: &[Case] = &[
    Case::denied("start 400 processes", "fork_many", "400", "EAGAIN")
        .granted("20")
        .command_only(),
    Case::denied("start 400 threads", "start_threads", "400", "EAGAIN")
        .granted("20")
        .command_only(),
    Case::denied("open 5,000 files", "open_many", "5000", "EMFILE").granted("1000"),
    Case::denied(
        "make a file of a terabyte that is a hole",
        "make_sparse",
        "1024 open/sparse.txt",
        "EFBIG",
    )
    .granted("0 open/sparse-granted.txt"),
    Case::denied(
        "write a file of 300 MiB",
        "fill_file",
        "300 open/large.txt",
        "EFBIG",
    )
    .granted("10 open/large-granted.txt")
    .command_only(),
    Case::denied(
        "write a temporary file of 300 MiB",
        "fill_file",
        "300 {tmp}/large",
        "EFBIG",
    )
    .granted("10 {tmp}/large-granted")
    .command_only(),
    Case::denied(
        "write a file of 300 MiB in its home",
        "fill_file",
        "300 {home}/large",
        "EFBIG",
    )
    .granted("10 {home}/large-granted")
    .command_only(),
    Case::denied(
        "write sixteen files of 400 MiB together",
        "fill_directory",
        "400 open",
        "ENOSPC",
    )
    .granted("10 open")
    .on(
        CONTAINERS,
        EndsAll("command_that_writes_more_than_its_disk_does_not_go_on"),
    )
    .on(
        LANDLOCK,
        Open("Disk: without a file system of its own it is limited for each file, not in sum"),
    )
    .command_only(),
    Case::denied(
        "use a file in memory of 300 MiB",
        "use_memory_file",
        "300",
        "EFBIG",
    )
    .granted("10"),
    Case::denied("use 1.2 GiB of memory", "use_memory", "1228", "SIGKILL")
        .granted("10")
        .on(AS_USER, Denied("ENOMEM"))
        .command_only(),
    Case::denied(
        "use 1.2 GiB of memory by sixteen processes",
        "use_memory_in_children",
        "1228",
        "ENOMEM",
    )
    .granted("16")
    .on(AS_USER, NO_CGROUP)
    .command_only(),
    Case::denied(
        "use 1.2 GiB of shared memory",
        "use_shared_memory",
        "1228",
        "SIGKILL",
    )
    .granted("10")
    .on(AS_USER, NO_CGROUP)
    .command_only(),
    Case::harmless(
        "leave a process that turns and ignores all signals",
        "spin",
        "{nonce}",
        "it ends with the command",
    ),
];
