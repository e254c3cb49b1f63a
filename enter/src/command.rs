//! The third stage: puts every layer in force, proves it, and becomes the command.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use autoclave_enter::{Files, Instruction, Landlock, Proof, Rlimits, Spec, Status};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::{Gid, Pid, Uid, geteuid, setgroups, setresgid, setresuid, setsid};
use seccompiler::sock_filter;

use crate::status::{Channel, During, Failure};
use crate::{input, stage};

/// Confines this process as `spec` says, then becomes the command. Returns the code to exit with
/// where that fails.
pub fn run(spec: &Spec, channel: &mut Channel) -> u8 {
    let status = match start(spec, channel) {
        Ok(errno) => Status::NotStarted { errno },
        Err(failure) => failure.into_status(),
    };
    if channel.send(&status).is_ok() {
        127
    } else {
        7
    }
}

/// Returns only the errno with which the command could not be started.
fn start(spec: &Spec, channel: &mut Channel) -> Result<i32, Failure> {
    let proof = confine(spec, channel)?;
    channel
        .send(&Status::Enforced(Box::new(proof)))
        .during("report")?;
    input::wait_for_start()?;
    Ok(execute(spec))
}

/// Replaces this process; returns only the errno of the failure.
fn execute(spec: &Spec) -> i32 {
    let mut words = spec.argv.iter().map(|word| OsStr::from_bytes(word));
    let Some(program) = words.next() else {
        return Errno::ENOENT as i32;
    };
    let env = spec
        .env
        .iter()
        .map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value)));
    let error = Command::new(program)
        .args(words)
        .env_clear()
        .envs(env)
        .current_dir(&spec.directory)
        .exec();
    errno_of(&error)
}

fn confine(spec: &Spec, channel: &Channel) -> Result<Proof, Failure> {
    // Who started this stage is hidden; hidden itself, it could not open its own files in /proc.
    prctl::set_dumpable(true).during("open what is its own")?;
    stage::close_all_but(channel.file())?;
    setsid().during("start a session")?;
    // Out of memory, the command goes, not the stages that report on it.
    fs::write("/proc/self/oom_score_adj", "1000").during("volunteer for the memory killer")?;
    limit(&spec.rlimits)?;
    let ruleset = ruleset(&spec.landlock)
        .map_err(|error| Failure::new(&format!("prepare Landlock: {error}"), 0))?;
    drop_identity(spec)?;
    prctl::set_no_new_privs().during("give up new privileges")?;
    prctl::set_dumpable(false).during("become undumpable")?;
    let status = ruleset
        .restrict_self()
        .map_err(|error| Failure::new(&format!("enforce Landlock: {error}"), 0))?;
    filter(&spec.seccomp)?;
    prove(spec, status.ruleset == RulesetStatus::FullyEnforced)
}

/// Puts `programs` in force, for this process and all that it starts.
pub fn filter(programs: &[Vec<Instruction>]) -> Result<(), Failure> {
    for program in programs {
        let program: Vec<sock_filter> = program
            .iter()
            .map(|i| sock_filter {
                code: i.code,
                jt: i.jt,
                jf: i.jf,
                k: i.k,
            })
            .collect();
        seccompiler::apply_filter(&program)
            .map_err(|error| Failure::new(&format!("enforce seccomp: {error}"), 0))?;
    }
    Ok(())
}

fn limit(rlimits: &Rlimits) -> Result<(), Failure> {
    let mut limits = vec![
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, rlimits.file_bytes),
        (Resource::RLIMIT_NOFILE, rlimits.open_files),
    ];
    limits.extend(rlimits.memory_bytes.map(|n| (Resource::RLIMIT_DATA, n)));
    limits.extend(rlimits.processes.map(|n| (Resource::RLIMIT_NPROC, n)));
    for (resource, limit) in limits {
        let (_, hard) = nix::sys::resource::getrlimit(resource).during("read a limit")?;
        let limit = limit.min(hard);
        setrlimit(resource, limit, limit).during(&format!("limit {resource:?}"))?;
    }
    Ok(())
}

/// Becomes the command's uid with no group, no capability and none to gain.
fn drop_identity(spec: &Spec) -> Result<(), Failure> {
    let lost = |what: &'static str| move |_| Failure::new(what, 0);
    caps::clear(None, caps::CapSet::Ambient).map_err(lost("drop ambient capabilities"))?;
    // Without this capability there is none to drop, and no_new_privs keeps it so.
    if caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SETPCAP)
        .map_err(lost("read capabilities"))?
    {
        caps::clear(None, caps::CapSet::Bounding).map_err(lost("drop bounding capabilities"))?;
    }
    // An ordinary user, with a user namespace or without, stays who it is.
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(spec.uid), Gid::from_raw(spec.gid));
        setgroups(&[]).during("drop groups")?;
        setresgid(gid, gid, gid).during("change the group")?;
        setresuid(uid, uid, uid).during("change the user")?;
    }
    for set in [
        caps::CapSet::Inheritable,
        caps::CapSet::Effective,
        caps::CapSet::Permitted,
    ] {
        caps::clear(None, set).map_err(lost("drop capabilities"))?;
    }
    Ok(())
}

/// Returns the newest Landlock interface the kernel and this binary both know, 0 for none.
pub fn landlock_abi() -> u8 {
    (1..=7)
        .rev()
        .find(|abi| {
            Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessFs::from_all(ABI::from(i32::from(*abi))))
                .and_then(|ruleset| match abi {
                    6.. => ruleset.scope(Scope::from_all(ABI::V6)),
                    _ => Ok(ruleset),
                })
                .and_then(Ruleset::create)
                .is_ok()
        })
        .unwrap_or(0)
}

/// Loads a filter that allows everything, and returns 0 or the errno of the refusal.
pub fn seccomp_errno() -> u8 {
    // BPF_RET | BPF_K with SECCOMP_RET_ALLOW; see seccomp(2).
    let allow = sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: 0x7fff_0000,
    };
    let loaded = prctl::set_no_new_privs()
        .map_err(io::Error::from)
        .and_then(|()| match seccompiler::apply_filter(&[allow]) {
            Ok(()) => Ok(()),
            Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error)) => {
                Err(error)
            }
            Err(_) => Err(io::ErrorKind::InvalidInput.into()),
        });
    match loaded {
        Ok(()) => 0,
        // Errnos are small; what has none is no refusal of the kernel's.
        Err(error) => u8::try_from(errno_of(&error)).unwrap_or(u8::MAX),
    }
}

fn ruleset(landlock: &Landlock) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    let abi = ABI::from(landlock.abi.min(6));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    let file_write: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::Truncate;
    let device = AccessFs::from_all(abi) & AccessFs::IoctlDev;
    let tree = AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock) & !device;
    if landlock.denies_tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    let mut created = ruleset.create()?;
    for path in &landlock.readable {
        let rights = if path.is_dir() {
            AccessFs::from_read(abi)
        } else {
            AccessFs::from_read(abi) & AccessFs::from_file(abi)
        };
        created = grant(created, path, rights)?;
    }
    for path in &landlock.trees {
        created = grant_in_place(created, path, tree)?;
    }
    for path in &landlock.files {
        created = grant_in_place(
            created,
            path,
            file_write | AccessFs::from_file(abi) & AccessFs::from_read(abi),
        )?;
    }
    for path in ["/dev/null", "/dev/zero", "/dev/full"] {
        created = grant(created, Path::new(path), AccessFs::WriteFile.into())?;
    }
    let terminals: &[&str] = if landlock.has_terminals {
        &["/dev/tty", "/dev/pts"]
    } else {
        &[]
    };
    for path in terminals {
        created = grant(
            created,
            Path::new(path),
            BitFlags::from(AccessFs::WriteFile) | device,
        )?;
    }
    Ok(created)
}

/// Adds a rule for what is at the very path. A link is replaced in its directory, never written: a
/// rule on it would be one on what it leads to, wherever that is; it may lead in circles, too.
fn grant_in_place(
    created: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    const NOTHING: [Errno; 3] = [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP];
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Ok(created),
        Ok(_) => Ok(created.add_rule(PathBeneath::new(PathFd::new(path)?, rights))?),
        Err(error)
            if NOTHING
                .iter()
                .any(|errno| *errno as i32 == errno_of(&error)) =>
        {
            Ok(created)
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds a rule; a path that is not there has nothing to grant.
fn grant(
    created: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    if !path.try_exists()? {
        return Ok(created);
    }
    Ok(created.add_rule(PathBeneath::new(PathFd::new(path)?, rights))?)
}

/// Asks the kernel what is in force, and tries what must fail.
fn prove(spec: &Spec, is_landlocked: bool) -> Result<Proof, Failure> {
    Ok(Proof {
        is_landlocked,
        read_secret: File::open(&spec.secret_canary).err().map(|e| errno_of(&e)),
        signal: match spec.files {
            Files::Overlay | Files::Copy => None,
            Files::Unmounted(_) => kill(Pid::from_raw(spec.runner_pid), None)
                .err()
                .map(|errno| errno as i32),
        },
        ..prove_contained(spec.has_host_network)?
    })
}

/// Like `prove`, for a container: without Landlock, and with no secret to look for but the
/// engine's socket.
pub fn prove_contained(has_network: bool) -> Result<Proof, Failure> {
    let text = fs::read_to_string("/proc/self/status").during("read the own status")?;
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let field = |name: &str| {
        fields
            .get(name)
            .map_or_else(|| "missing".to_owned(), |value| value.trim().to_owned())
    };
    let create = |path: &str| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .err()
            .map(|error| errno_of(&error))
    };
    Ok(Proof {
        uids: field("Uid"),
        gids: field("Gid"),
        groups: field("Groups"),
        effective_capabilities: field("CapEff"),
        permitted_capabilities: field("CapPrm"),
        bounding_capabilities: field("CapBnd"),
        no_new_privs: field("NoNewPrivs"),
        seccomp: field("Seccomp"),
        is_landlocked: false,
        write_root: create("/autoclave-canary"),
        write_system: create("/usr/autoclave-canary"),
        read_secret: UnixStream::connect("/var/run/docker.sock")
            .err()
            .map(|e| errno_of(&e)),
        connect: (!has_network).then(connect_out).flatten(),
        netlink: netlink(),
        signal: None,
    })
}

/// Tries to hear of devices, which kernels and the filters of engines let everybody do.
fn netlink() -> Option<i32> {
    socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkKObjectUEvent,
    )
    .err()
    .map(|errno| errno as i32)
}

/// Tries to reach an address that no network routes (RFC 5737); returns the errno of a refusal.
fn connect_out() -> Option<i32> {
    let address = SocketAddr::from(([192, 0, 2, 1], 9));
    let stream = TcpStream::connect_timeout(&address, Duration::from_millis(300)).err()?;
    let datagram = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect(address))
        .err()?;
    let errno = errno_of(&stream);
    (errno == errno_of(&datagram) || errno == Errno::EACCES as i32).then_some(errno)
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO as i32)
}
