//! The system calls that no sandboxed command may make.

use autoclave_enter::Instruction;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Denied with EPERM whatever their arguments.
const DENIED: &[i64] = &[
    // A second, unfiltered way to make system calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Kernel interfaces with a history of privilege escalation.
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Other processes' memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[i64] = &[];

/// The only address families a socket may have.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Obsolete, see socket(2).
const SOCK_PACKET: i32 = 10;

/// Bits of clone(2)'s flags that make namespaces; clone3 is answered with ENOSYS, because its
/// flags lie in memory where a filter cannot look.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Returns the programs to load, in order.
///
/// # Errors
///
/// A fragment for people, where this processor is not supported.
pub fn programs() -> Result<Vec<Vec<Instruction>>, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let filter: BpfProgram = rules()
        .and_then(|rules| {
            SeccompFilter::new(
                rules,
                SeccompAction::Allow,
                SeccompAction::Errno(libc::EPERM.cast_unsigned()),
                arch,
            )
        })
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())?;
    let filter = filter
        .iter()
        .map(|i| instruction(i.code, i.jt, i.jf, i.k))
        .collect();
    Ok(vec![prelude(), filter])
}

type Rules = std::collections::BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<Rules, seccompiler::BackendError> {
    use SeccompCmpArgLen::Dword;
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let when = |conditions: Vec<(u8, SeccompCmpOp, i32)>| {
        conditions
            .into_iter()
            .map(|(argument, operator, value)| {
                let value = u64::from(value.cast_unsigned());
                SeccompCondition::new(argument, Dword, operator, value)
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(SeccompRule::new)
    };
    let mut rules: Rules = DENIED
        .iter()
        .chain(DENIED_HERE)
        .map(|number| (*number, Vec::new()))
        .collect();
    let clones = NAMESPACES
        .iter()
        .map(|flag| {
            let bit = u64::from(flag.cast_unsigned());
            when(vec![(0, MaskedEq(bit), *flag)])
        })
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_clone, clones);
    // The low bits of the type; the rest are SOCK_CLOEXEC and SOCK_NONBLOCK.
    let kind = MaskedEq(0xf);
    let sockets = vec![
        when(FAMILIES.iter().map(|family| (0, Ne, *family)).collect())?,
        when(vec![
            (1, kind.clone(), libc::SOCK_RAW),
            (0, Ne, libc::AF_NETLINK),
        ])?,
        when(vec![(1, kind, SOCK_PACKET)])?,
        when(vec![
            (0, Eq, libc::AF_NETLINK),
            (2, Ne, libc::NETLINK_ROUTE),
        ])?,
        when(vec![(2, Eq, libc::IPPROTO_MPTCP), (0, Ne, libc::AF_UNIX)])?,
    ];
    rules.insert(libc::SYS_socket, sockets);
    // Pushing input into a terminal, see ioctl_tty(2).
    let ioctls = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD]
        .into_iter()
        .map(|request| {
            let request = i32::try_from(request).unwrap_or(i32::MAX);
            when(vec![(1, Eq, request)])
        })
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_ioctl, ioctls);
    Ok(rules)
}

/// Answers clone3 with ENOSYS, so that libc falls back to clone, and every call of the x32
/// interface, whose numbers the filter does not know, with EPERM.
fn prelude() -> Vec<Instruction> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_GREATER_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32_BIT: u32 = 0x4000_0000;
    let errno = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    vec![
        instruction(LOAD_WORD, 0, 0, 0),
        instruction(JUMP_GREATER_EQUAL, 2, 0, X32_BIT),
        instruction(JUMP_EQUAL, 2, 0, clone3),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        instruction(RETURN, 0, 0, errno(libc::EPERM)),
        instruction(RETURN, 0, 0, errno(libc::ENOSYS)),
    ]
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}
