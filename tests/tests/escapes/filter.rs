//! The filter alone: every rule, told apart from what the kernel would have refused anyway.
//!
//! The attack `filtered` asks the filters that are in force about a call that is never done, see
//! `programs/kernel_calls.c`. So capabilities, namespaces and missing parts of the kernel hide nothing,
//! and nothing happens to the machine where the control, without a sandbox, gets through.

use autoclave_policies::{
    ArgOp, ArgTest, ArgWidth, Sockets, SyscallRule, denied_among_host_processes, denied_syscalls,
    denied_without_network_namespace,
};
use nix::errno::Errno;

use crate::case::Outcome::{Denied, Harmless};
use crate::case::{Case, Group};
use crate::place::Surroundings;
use crate::row::{LANDLOCK, Row};

crate::on_each_row!(crate::filter::GROUP);

pub const GROUP: Group = Group {
    name: "filter",
    cases: CASES,
    surroundings: Surroundings::none,
};

/// A call, as its name and its arguments, that no row lets through.
const fn call(call: &'static str) -> Case {
    Case::denied(call, "filtered", call, "EPERM")
}

/// A call that the filter says is missing: whatever else the kernel would have said.
const fn missing(call: &'static str) -> Case {
    Case::denied(call, "reach_kernel", call, "ENOSYS")
}

/// A socket. The `landlock` level makes none at all.
const fn socket(call: &'static str, errno: &'static str) -> Case {
    Case::denied(call, "filtered", call, errno).on(LANDLOCK, Denied("EAFNOSUPPORT"))
}

/// A call that reaches the host's processes where there is no namespace in between.
const fn shared(call: &'static str) -> Case {
    Case {
        expected: [Harmless("its namespaces are the sandbox's own"); 6],
        ..self::call(call)
    }
    .on(LANDLOCK, Denied("EPERM"))
}

const CASES: &[Case] = &[
    missing("io_uring_setup 1 0"),
    missing("io_uring_enter -1"),
    missing("io_uring_register -1"),
    missing("clone3 0 0"),
    call("clone 0x00020011"),
    call("clone 0x02000011"),
    call("clone 0x04000011"),
    call("clone 0x08000011"),
    call("clone 0x10000011"),
    call("clone 0x20000011"),
    call("clone 0x40000011"),
    call("unshare 0"),
    call("setns -1 0"),
    call("mount"),
    call("umount2"),
    call("pivot_root"),
    call("chroot"),
    call("fsopen"),
    call("fsconfig -1"),
    call("fsmount -1"),
    call("fspick -1"),
    call("move_mount -1"),
    call("open_tree -1"),
    call("open_tree_attr -1"),
    call("mount_setattr -1"),
    call("open_by_handle_at -1"),
    call("fanotify_init"),
    call("ptrace"),
    call("process_vm_readv"),
    call("process_vm_writev"),
    call("process_madvise -1"),
    call("pidfd_getfd -1 -1"),
    call("kcmp"),
    call("move_pages"),
    call("migrate_pages"),
    call("prlimit64 1"),
    call("bpf"),
    call("perf_event_open"),
    call("userfaultfd"),
    call("vmsplice -1"),
    call("modify_ldt"),
    call("lookup_dcookie"),
    call("keyctl"),
    call("add_key"),
    call("request_key"),
    call("kexec_load"),
    call("kexec_file_load -1 -1"),
    call("init_module"),
    call("finit_module -1"),
    call("delete_module"),
    call("reboot"),
    call("swapon"),
    call("swapoff"),
    call("acct"),
    call("quotactl"),
    call("quotactl_fd -1"),
    call("syslog"),
    call("vhangup"),
    call("iopl"),
    call("ioperm"),
    call("settimeofday"),
    call("clock_settime"),
    call("personality 0x0040000"),
    call("ioctl -1 0x5412"),
    call("ioctl -1 0x541c"),
    call("ioctl -1 0x5423"),
    // The kernel reads the lower half of the register alone.
    call("ioctl -1 0x100005412"),
    socket("socket 40 1 0", "EAFNOSUPPORT"),
    socket("socket 17 3 768", "EAFNOSUPPORT"),
    socket("socket 38 5 0", "EAFNOSUPPORT"),
    Case::denied(
        "socketpair 40 1 0",
        "filtered",
        "socketpair 40 1 0",
        "EAFNOSUPPORT",
    ),
    socket("socket 16 3 9", "EPROTONOSUPPORT"),
    socket("socket 16 3 15", "EPROTONOSUPPORT"),
    socket("socket 2 3 17", "EPERM"),
    socket("socket 2 0x80803 17", "EPERM"),
    socket("socket 10 3 17", "EPERM"),
    socket("socket 2 10 0", "EPERM"),
    socket("socket 2 1 262", "EPROTONOSUPPORT"),
    socket("socket 10 1 262", "EPROTONOSUPPORT"),
    socket("socket 2 1 132", "EPROTONOSUPPORT"),
    socket("socket 10 1 132", "EPROTONOSUPPORT"),
    // What programs cannot do without is let through.
    Case {
        expected: [Harmless("the network is empty"); 6],
        ..call("socket 2 1 6")
    }
    .on(LANDLOCK, Denied("EAFNOSUPPORT")),
    Case {
        expected: [Harmless("nothing of the host listens where the sandbox sees it"); 6],
        ..call("socket 1 1 0")
    }
    .on(LANDLOCK, Denied("EAFNOSUPPORT")),
    Case::harmless(
        "clone 0x003d0f00",
        "filtered",
        "clone 0x003d0f00",
        "a thread",
    ),
    Case::harmless("prlimit64 0", "filtered", "prlimit64 0", "the own limits"),
    Case::harmless(
        "personality 0",
        "filtered",
        "personality 0",
        "what it is anyway",
    ),
    Case::harmless(
        "ioctl -1 0x5413",
        "filtered",
        "ioctl -1 0x5413",
        "the size of a terminal",
    ),
    // Without namespaces.
    shared("shmget"),
    shared("shmat"),
    shared("shmctl"),
    shared("semget"),
    shared("semop"),
    shared("semtimedop"),
    shared("semctl"),
    shared("msgget"),
    shared("msgsnd"),
    shared("msgrcv"),
    shared("msgctl"),
    shared("mq_open"),
    shared("mq_unlink"),
    shared("setpriority 0 1"),
    shared("setpriority 2 0"),
    shared("ioprio_set 1 1"),
    shared("ioprio_set 3 0"),
    shared("sched_setaffinity 1"),
    shared("sched_setscheduler 1"),
    shared("sched_setparam 1"),
    shared("sched_setattr 1"),
];

/// Returns the rules that a row has in force, in order.
fn rules(row: Row) -> Vec<&'static SyscallRule> {
    let own: Vec<_> = denied_syscalls().iter().collect();
    if !row.is_landlock() {
        return own;
    }
    denied_among_host_processes()
        .iter()
        .chain(denied_without_network_namespace(Sockets::Pairs))
        .chain(own)
        .collect()
}

/// Says whether `rule` meets a call that is written as in the cases.
fn meets(rule: &SyscallRule, call: &str) -> bool {
    let mut words = call.split(' ');
    let name = words.next();
    let arguments: Vec<u64> = words.map(number).collect();
    let holds = |test: &ArgTest| {
        let argument = arguments.get(usize::from(test.index)).copied();
        let argument = match test.width {
            ArgWidth::U32 => argument.unwrap_or(0) & u64::from(u32::MAX),
            ArgWidth::U64 => argument.unwrap_or(0),
        };
        match test.op {
            ArgOp::Equals(value) => argument == value,
            ArgOp::Differs(value) => argument != value,
            ArgOp::Masked { mask, value } => argument & mask == value,
        }
    };
    name == Some(rule.name) && rule.condition.is_none_or(|it| it.all.iter().all(holds))
}

fn number(word: &str) -> u64 {
    match (word.strip_prefix("0x"), word.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).unwrap(),
        (None, Some(digits)) => digits.parse::<u64>().unwrap().wrapping_neg(),
        (None, None) => word.parse().unwrap(),
    }
}

#[test]
fn every_rule_has_a_case_that_no_other_rule_denies() {
    for row in [Row::SealedAsRoot, Row::LandlockAsRoot] {
        let rules = rules(row);
        let proven: Vec<&SyscallRule> = CASES
            .iter()
            .filter_map(|case| {
                let met: Vec<_> = rules
                    .iter()
                    .filter(|rule| meets(rule, case.argument))
                    .collect();
                match met[..] {
                    [one] => Some(*one),
                    _ => None,
                }
            })
            .collect();
        // Without a network namespace the first rule leaves nothing to those about sockets.
        let is_shadowed = |rule: &SyscallRule| {
            row.is_landlock() && rule.name == "socket" && rule.condition.is_some()
        };
        let unproven: Vec<_> = rules
            .iter()
            .filter(|rule| !proven.contains(*rule) && !is_shadowed(rule))
            .collect();
        assert!(unproven.is_empty(), "on {}: {unproven:#?}", row.words());
    }
}

#[test]
fn every_case_expects_what_the_first_rule_says_that_meets_it() {
    for case in CASES {
        for row in Row::ALL {
            let rule = rules(row)
                .into_iter()
                .find(|rule| meets(rule, case.argument));
            match (rule, case.expected_on(row)) {
                (Some(rule), Denied(errno)) => {
                    assert_eq!(
                        format!("{:?}", Errno::from_raw(rule.errno)),
                        errno,
                        "{}",
                        case.name
                    );
                }
                (None, Harmless(_)) => {}
                (rule, expected) => panic!("{}: {rule:?}, {expected:?}", case.name),
            }
        }
    }
}
