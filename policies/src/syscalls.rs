//! The system calls that no sandboxed command may make.

/// One denial: a system call, perhaps only with certain arguments, and what it returns instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyscallRule {
    /// The kernel's name. Some exist on some architectures only; a filter leaves those out.
    pub name: &'static str,
    /// `None` denies every call.
    pub condition: Option<ArgCondition>,
    /// Linux error number, the same on all architectures that are supported.
    pub errno: i32,
}

/// Arguments that are denied: all tests hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgCondition {
    /// Never empty.
    pub all: &'static [ArgTest],
}

/// A test of one argument, as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgTest {
    /// Position from 0.
    pub index: u8,
    pub width: ArgWidth,
    pub op: ArgOp,
}

/// How much of a register the kernel looks at. A filter that compares more can be evaded by
/// setting the upper half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgWidth {
    U32,
    U64,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgOp {
    Equals(u64),
    Differs(u64),
    /// `argument & mask == value`.
    Masked {
        mask: u64,
        value: u64,
    },
}

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;
const EPROTONOSUPPORT: i32 = 93;
const EAFNOSUPPORT: i32 = 97;

const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
const NETLINK_ROUTE: u64 = 0;
const IPPROTO_IP: u64 = 0;
const IPPROTO_TCP: u64 = 6;
const IPPROTO_UDP: u64 = 17;
const SOCK_RAW: u64 = 3;
const SOCK_PACKET: u64 = 10;
/// The bits of a socket's type; the rest are flags such as `SOCK_CLOEXEC`.
const SOCK_TYPE_MASK: u64 = 0xf;

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCSETD: u64 = 0x5423;

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWCGROUP: u64 = 0x0200_0000;
const CLONE_NEWUTS: u64 = 0x0400_0000;
const CLONE_NEWIPC: u64 = 0x0800_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;

/// `setpriority(2)` and `ioprio_set(2)`: all processes of a user.
const PRIO_USER: u64 = 2;
const IOPRIO_WHO_USER: u64 = 3;
/// The calling process, in many calls that take a pid.
const SELF: u64 = 0;

const PER_LINUX: u64 = 0;
/// Asks for the personality without changing it.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;

/// Returns every denial; a call that no rule meets is allowed. Several rules may name one call:
/// it is denied when any of them meets, with the errno of the first.
pub fn denied_syscalls() -> &'static [SyscallRule] {
    RULES
}

/// The sockets that a command may make where no network namespace separates it from the host's
/// network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// Connected pairs only.
    Pairs,
    /// Unix sockets, whatever their path: a filter cannot read paths.
    Unix,
}

/// Returns the denials that come before those of [`denied_syscalls`] where there is no network
/// namespace.
pub fn denied_without_network_namespace(sockets: Sockets) -> &'static [SyscallRule] {
    match sockets {
        Sockets::Pairs => PAIRS,
        Sockets::Unix => UNIX,
    }
}

/// Returns the denials that come before those of [`denied_syscalls`] where neither processes nor IPC
/// have a namespace of their own.
pub fn denied_among_host_processes() -> &'static [SyscallRule] {
    AMONG_HOST_PROCESSES
}

const PAIRS: &[SyscallRule] = &[denied("socket", EAFNOSUPPORT)];
const UNIX: &[SyscallRule] = &[when("socket", &[differs(0, AF_UNIX)], EAFNOSUPPORT)];

const AMONG_HOST_PROCESSES: &[SyscallRule] = &[
    // Landlock knows no System V IPC: who knows a key or guesses an id, is in.
    denied("shmget", EPERM),
    denied("shmat", EPERM),
    denied("shmctl", EPERM),
    denied("semget", EPERM),
    denied("semop", EPERM),
    denied("semtimedop", EPERM),
    denied("semctl", EPERM),
    denied("msgget", EPERM),
    denied("msgsnd", EPERM),
    denied("msgrcv", EPERM),
    denied("msgctl", EPERM),
    // Nor the removal of POSIX queues.
    denied("mq_open", EPERM),
    denied("mq_unlink", EPERM),
    // Nor who slows down whom. Numbers other than 0 may be those of own threads, too.
    when("setpriority", &[differs(1, SELF)], EPERM),
    when("setpriority", &[equals(0, PRIO_USER)], EPERM),
    when("ioprio_set", &[differs(1, SELF)], EPERM),
    when("ioprio_set", &[equals(0, IOPRIO_WHO_USER)], EPERM),
    when("sched_setaffinity", &[differs(0, SELF)], EPERM),
    when("sched_setscheduler", &[differs(0, SELF)], EPERM),
    when("sched_setparam", &[differs(0, SELF)], EPERM),
    when("sched_setattr", &[differs(0, SELF)], EPERM),
];

const RULES: &[SyscallRule] = &[
    // Does file and network operations outside of seccomp's sight. ENOSYS: libuv then uses threads.
    denied("io_uring_setup", ENOSYS),
    denied("io_uring_enter", ENOSYS),
    denied("io_uring_register", ENOSYS),
    // Its flags lie in memory, which a filter cannot read. ENOSYS: libc then uses clone.
    denied("clone3", ENOSYS),
    when("clone", &[has_flag(0, CLONE_NEWNS)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWCGROUP)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWUTS)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWIPC)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWUSER)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWPID)], EPERM),
    when("clone", &[has_flag(0, CLONE_NEWNET)], EPERM),
    denied("unshare", EPERM),
    denied("setns", EPERM),
    // Mounts, by the old and the new interface.
    denied("mount", EPERM),
    denied("umount2", EPERM),
    denied("pivot_root", EPERM),
    denied("chroot", EPERM),
    denied("fsopen", EPERM),
    denied("fsconfig", EPERM),
    denied("fsmount", EPERM),
    denied("fspick", EPERM),
    denied("move_mount", EPERM),
    denied("open_tree", EPERM),
    denied("open_tree_attr", EPERM),
    denied("mount_setattr", EPERM),
    denied("open_by_handle_at", EPERM),
    denied("fanotify_init", EPERM),
    // Other processes.
    denied("ptrace", EPERM),
    denied("process_vm_readv", EPERM),
    denied("process_vm_writev", EPERM),
    denied("process_madvise", EPERM),
    denied("pidfd_getfd", EPERM),
    denied("kcmp", EPERM),
    denied("move_pages", EPERM),
    denied("migrate_pages", EPERM),
    // A limit of processor time kills; so a command could end what watches over it.
    when("prlimit64", &[differs(0, SELF)], EPERM),
    // Parts of the kernel that are often broken and never needed.
    denied("bpf", EPERM),
    denied("perf_event_open", EPERM),
    denied("userfaultfd", EPERM),
    denied("vmsplice", EPERM),
    denied("modify_ldt", EPERM),
    denied("lookup_dcookie", EPERM),
    // Keyrings are not part of any namespace.
    denied("keyctl", EPERM),
    denied("add_key", EPERM),
    denied("request_key", EPERM),
    // The machine.
    denied("kexec_load", EPERM),
    denied("kexec_file_load", EPERM),
    denied("init_module", EPERM),
    denied("finit_module", EPERM),
    denied("delete_module", EPERM),
    denied("reboot", EPERM),
    denied("swapon", EPERM),
    denied("swapoff", EPERM),
    denied("acct", EPERM),
    denied("quotactl", EPERM),
    denied("quotactl_fd", EPERM),
    denied("syslog", EPERM),
    denied("vhangup", EPERM),
    denied("iopl", EPERM),
    denied("ioperm", EPERM),
    denied("settimeofday", EPERM),
    denied("clock_settime", EPERM),
    // Switches off address randomization, or makes readable memory executable.
    when(
        "personality",
        &[differs(0, PER_LINUX), differs(0, PERSONALITY_QUERY)],
        EPERM,
    ),
    // Types into the terminal that a sandbox was started from; see TIOCSTI in ioctl_tty(2).
    when("ioctl", &[equals(1, TIOCSTI)], EPERM),
    when("ioctl", &[equals(1, TIOCLINUX)], EPERM),
    // Loads a line discipline, a kernel module with little review.
    when("ioctl", &[equals(1, TIOCSETD)], EPERM),
    // Vsock reaches the hypervisor from any network namespace; nobody needs the other families.
    when(
        "socket",
        &[
            differs(0, AF_UNIX),
            differs(0, AF_INET),
            differs(0, AF_INET6),
            differs(0, AF_NETLINK),
        ],
        EAFNOSUPPORT,
    ),
    when("socketpair", &[differs(0, AF_UNIX)], EAFNOSUPPORT),
    // getifaddrs(3) needs route netlink, which is often opened as raw.
    when(
        "socket",
        &[equals(0, AF_NETLINK), differs(2, NETLINK_ROUTE)],
        EPROTONOSUPPORT,
    ),
    when("socket", &[equals(0, AF_INET), is_type(SOCK_RAW)], EPERM),
    when("socket", &[equals(0, AF_INET6), is_type(SOCK_RAW)], EPERM),
    when("socket", &[equals(0, AF_INET), is_type(SOCK_PACKET)], EPERM),
    // Landlock governs TCP, not MPTCP; asking for SCTP and the like loads kernel modules.
    when(
        "socket",
        &[
            equals(0, AF_INET),
            differs(2, IPPROTO_IP),
            differs(2, IPPROTO_TCP),
            differs(2, IPPROTO_UDP),
        ],
        EPROTONOSUPPORT,
    ),
    when(
        "socket",
        &[
            equals(0, AF_INET6),
            differs(2, IPPROTO_IP),
            differs(2, IPPROTO_TCP),
            differs(2, IPPROTO_UDP),
        ],
        EPROTONOSUPPORT,
    ),
];

const fn denied(name: &'static str, errno: i32) -> SyscallRule {
    SyscallRule {
        name,
        condition: None,
        errno,
    }
}

const fn when(name: &'static str, all: &'static [ArgTest], errno: i32) -> SyscallRule {
    SyscallRule {
        name,
        condition: Some(ArgCondition { all }),
        errno,
    }
}

const fn equals(index: u8, value: u64) -> ArgTest {
    ArgTest {
        index,
        width: ArgWidth::U32,
        op: ArgOp::Equals(value),
    }
}

const fn differs(index: u8, value: u64) -> ArgTest {
    ArgTest {
        index,
        width: ArgWidth::U32,
        op: ArgOp::Differs(value),
    }
}

const fn has_flag(index: u8, flag: u64) -> ArgTest {
    ArgTest {
        index,
        width: ArgWidth::U64,
        op: ArgOp::Masked {
            mask: flag,
            value: flag,
        },
    }
}

const fn is_type(value: u64) -> ArgTest {
    ArgTest {
        index: 1,
        width: ArgWidth::U32,
        op: ArgOp::Masked {
            mask: SOCK_TYPE_MASK,
            value,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the errno of a call, as a filter made of the rules would.
    fn errno_of(name: &str, arguments: [u64; 3]) -> Option<i32> {
        let holds = |test: &ArgTest| {
            let argument = arguments[usize::from(test.index)];
            let argument = match test.width {
                ArgWidth::U32 => argument & 0xffff_ffff,
                ArgWidth::U64 => argument,
            };
            match test.op {
                ArgOp::Equals(value) => argument == value,
                ArgOp::Differs(value) => argument != value,
                ArgOp::Masked { mask, value } => argument & mask == value,
            }
        };
        denied_syscalls()
            .iter()
            .filter(|rule| rule.name == name)
            .find(|rule| rule.condition.is_none_or(|c| c.all.iter().all(holds)))
            .map(|rule| rule.errno)
    }

    #[test]
    fn sockets_that_programs_need_are_allowed() {
        let cloexec = 0o2_000_000;
        assert_eq!(errno_of("socket", [AF_UNIX, 1 | cloexec, 0]), None);
        assert_eq!(errno_of("socket", [AF_INET, 1, 6]), None);
        assert_eq!(errno_of("socket", [AF_INET6, 2 | cloexec, 17]), None);
        assert_eq!(
            errno_of("socket", [AF_NETLINK, SOCK_RAW | cloexec, 0]),
            None
        );
        assert_eq!(errno_of("socketpair", [AF_UNIX, 1, 0]), None);
    }

    #[test]
    fn sockets_that_reach_around_the_sandbox_are_denied() {
        let cloexec = 0o2_000_000;
        for (arguments, errno) in [
            ([40, 1, 0], EAFNOSUPPORT),                   // vsock
            ([17, SOCK_RAW, 0], EAFNOSUPPORT),            // packet
            ([38, 5, 0], EAFNOSUPPORT),                   // kernel crypto
            ([AF_NETLINK, SOCK_RAW, 9], EPROTONOSUPPORT), // audit
            ([AF_INET, SOCK_RAW | cloexec, 1], EPERM),
            ([AF_INET6, SOCK_RAW, 58], EPERM),
            ([AF_INET, 1, 262], EPROTONOSUPPORT),  // MPTCP
            ([AF_INET6, 1, 132], EPROTONOSUPPORT), // SCTP
            ([AF_INET, 2, 1], EPROTONOSUPPORT),    // ICMP
        ] {
            assert_eq!(errno_of("socket", arguments), Some(errno), "{arguments:?}");
        }
    }

    #[test]
    fn without_a_namespace_no_socket_reaches_a_network() {
        let families = |sockets: Sockets| {
            denied_without_network_namespace(sockets)
                .iter()
                .map(|rule| (rule.name, rule.condition.map(|c| c.all.to_vec())))
                .collect::<Vec<_>>()
        };
        assert_eq!(families(Sockets::Pairs), [("socket", None)]);
        assert_eq!(
            families(Sockets::Unix),
            [("socket", Some(vec![differs(0, AF_UNIX)]))]
        );
    }

    #[test]
    fn threads_are_allowed_and_namespaces_are_not() {
        let thread = 0x003d_0f00;
        assert_eq!(errno_of("clone", [thread, 0, 0]), None);
        assert_eq!(errno_of("clone", [CLONE_NEWUSER | 0x11, 0, 0]), Some(EPERM));
        assert_eq!(errno_of("clone3", [0, 0, 0]), Some(ENOSYS));
    }

    #[test]
    fn an_upper_half_hides_no_terminal_request() {
        assert_eq!(errno_of("ioctl", [0, TIOCSTI | 1 << 32, 0]), Some(EPERM));
        assert_eq!(errno_of("ioctl", [0, 0x5413, 0]), None);
    }

    #[test]
    fn asking_for_the_personality_is_allowed_and_changing_it_is_not() {
        assert_eq!(errno_of("personality", [PERSONALITY_QUERY, 0, 0]), None);
        assert_eq!(errno_of("personality", [0x0004_0000, 0, 0]), Some(EPERM));
    }

    #[test]
    fn limits_are_a_commands_own() {
        assert_eq!(errno_of("prlimit64", [SELF, 7, 0]), None);
        assert_eq!(errno_of("prlimit64", [1, 0, 0]), Some(EPERM));
    }

    #[test]
    fn every_condition_tests_something() {
        let rules = denied_syscalls()
            .iter()
            .chain(denied_among_host_processes());
        let mut conditions = rules.filter_map(|rule| rule.condition);
        assert!(conditions.all(|condition| !condition.all.is_empty()));
    }
}
