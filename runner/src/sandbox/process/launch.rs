//! One execution: from its description to its proof to its end.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use autoclave_enter::{Bind, Files, Landlock, Proof, Rlimits, Spec, Status};
use autoclave_policies::{Grant, Identity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getegid, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant as Deadline, sleep_until};

use super::cgroup::Cgroup;
use super::ground::Ground;
use super::hull::Hull;
use super::layer::{self, During, Layer};
use super::mode::Mode;
use super::remains::Untouched;
use super::slot::Slot;
use super::upper::Holds;
use super::{Shared, blocking, proof, unmounted};
use crate::sandbox::{
    Execution, Exit, Finished, GATEWAY_SOCKET, HOME, Network, OWN_ENV, OutputSink, SandboxError,
    Stream, WORKSPACE,
};

/// How long a sandbox may take from its start to its proof, or from its end to the last word.
const PATIENCE: Duration = Duration::from_secs(60);
/// How a command ends that the kernel kills for memory, and how its shell tells it.
const KILLED: i32 = Signal::SIGKILL as i32;
const KILLED_IN_SHELL: i32 = 128 + KILLED;
const CHUNK: usize = 64 << 10;

/// Runs `execution` on the layers of its snapshot.
pub async fn run(
    shared: &Arc<Shared>,
    layers: &[Arc<Layer>],
    execution: Execution<'_>,
    output: &mut dyn OutputSink,
) -> Result<Finished, SandboxError> {
    let ground = lay_ground(shared, &execution).await?;
    let slot = shared.slots.take(|| shared.new_path("slot").0)?;
    let (_, number) = shared.new_path("execution");
    let cgroup = if shared.host.cgroup {
        let name = format!("{}-{number}", shared.folder.name());
        let cgroup = Cgroup::new(&name, &execution.plan.limits);
        Some(cgroup.ok_or_else(|| SandboxError::CannotEnforce {
            rule: "limits".to_owned(),
            why: "cgroups could be made here before, and now cannot".to_owned(),
        })?)
    } else {
        None
    };
    let own = match shared.mode {
        Mode::Overlay | Mode::Copy => None,
        Mode::Alone => Some(own_folder(shared.folder.path())?),
    };
    let places = Places {
        slot: &slot,
        layers,
        ground,
    };
    let mut spec = describe(shared, places, &execution, cgroup.as_ref())?;
    if let Some(own) = &own {
        unmounted::adapt(&mut spec, own.path(), &execution)?;
    }
    let status = pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(&spec.status)
        .during("open", &spec.status)?;
    let since = SystemTime::now();
    let mut child = Command::new(shared.helper.path())
        .arg("outside")
        .env_clear()
        // A Ctrl-C goes to the terminal's whole group; the runner alone decides what it ends.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .during("start", Path::new("autoclave-enter"))?;
    // Taken now: waiting for a child closes its standard input.
    let mut streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut hull = Hull::new(shared, child, slot, cgroup, own);
    let mut status = BufReader::with_capacity(4096, status).lines();
    let inside = prove(
        &mut hull.child,
        &mut streams.0,
        &mut status,
        &spec,
        &execution,
    )
    .await?;
    let Some(inside) = inside else {
        return Ok(Finished {
            exit: Exit::Cancelled,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            remains: Box::new(Untouched(layers.to_vec())),
        });
    };
    let started = Instant::now();
    let exit = Watch {
        execution: &execution,
        init: inside.init,
        early: inside.early,
        end: match shared.mode {
            Mode::Overlay | Mode::Copy => Signal::SIGKILL,
            Mode::Alone => Signal::SIGUSR1,
        },
        status,
    }
    .until_gone(&mut hull.child, streams, output)
    .await?;
    let wall = started.elapsed();
    hull.ended_well();
    let cpu = match hull.cgroup.as_ref().and_then(Cgroup::cpu) {
        Some(cpu) => cpu,
        None => cpu_of(inside.init, shared.mode),
    };
    let is_out_of_memory = hull.cgroup.as_ref().is_some_and(Cgroup::is_out_of_memory);
    let exit = match exit {
        Exit::Signal(KILLED) | Exit::Code(KILLED_IN_SHELL) if is_out_of_memory => Exit::OutOfMemory,
        other => other,
    };
    let (upper, holds) = match (&spec.files, hull.child.id()) {
        (Files::Unmounted(copy), _) => (copy.clone(), Holds::Everything { since }),
        (files, outer) => {
            let outer = outer.unwrap_or_default();
            let upper = PathBuf::from(format!("/proc/{outer}/fd/{}/upper", inside.files));
            match files {
                Files::Copy => (upper, Holds::Everything { since }),
                Files::Overlay | Files::Unmounted(_) => (upper, Holds::Touched),
            }
        }
    };
    Ok(Finished {
        exit,
        wall,
        cpu,
        remains: Box::new(super::remains::ProcessRemains {
            upper,
            holds,
            layers: layers.to_vec(),
            shared: Arc::clone(shared),
            hull,
        }),
    })
}

/// Makes the first free one of the folders for commands' own files: one execution after the other
/// is in the same place, so that an agent finds its sessions again.
fn own_folder(run: &Path) -> Result<Layer, SandboxError> {
    let mut number: u64 = 0;
    loop {
        match Layer::new(run.join(format!("own-{number}"))) {
            Err(SandboxError::Io { cause, .. })
                if cause.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                number += 1;
            }
            made => return made,
        }
    }
}

/// Returns the uid and gid of the command.
fn ids(identity: Identity) -> (u32, u32) {
    match identity {
        Identity::SecondUid { uid, gid } => (uid, gid),
        Identity::SameUser => (geteuid().as_raw(), getegid().as_raw()),
    }
}

async fn lay_ground(
    shared: &Arc<Shared>,
    execution: &Execution<'_>,
) -> Result<Ground, SandboxError> {
    let mut views: Vec<Bind> = execution
        .plan
        .views
        .iter()
        .chain(&execution.views)
        .map(|view| Bind {
            source: view.source.clone(),
            target: view.target.clone(),
        })
        .collect();
    if let Network::Gateway { folder } = &execution.network {
        views.push(Bind {
            source: folder.clone(),
            target: Path::new(GATEWAY_SOCKET).with_file_name(""),
        });
    }
    if shared.mode == Mode::Alone {
        // Nothing is mounted, and so nothing to mount on.
        return Ok(Ground {
            layers: Vec::new(),
            binds: Vec::new(),
        });
    }
    let ids = ids(execution.plan.identity);
    if let Some(ground) = shared.grounds.find(ids, &views)? {
        return Ok(ground);
    }
    let shared = Arc::clone(shared);
    blocking(move || {
        let new_path = || shared.new_path("ground").0;
        shared.grounds.lay(ids, &views, new_path)
    })
    .await
}

/// The places of the host that a sandbox is made of.
struct Places<'a> {
    slot: &'a Slot,
    layers: &'a [Arc<Layer>],
    ground: Ground,
}

/// Writes down the whole sandbox for the helper.
fn describe(
    shared: &Shared,
    places: Places<'_>,
    execution: &Execution<'_>,
    cgroup: Option<&Cgroup>,
) -> Result<Spec, SandboxError> {
    let plan = execution.plan;
    let (uid, gid) = ids(plan.identity);
    let is_root = geteuid().is_root();
    if is_root == (plan.identity == Identity::SameUser) {
        return Err(SandboxError::CannotEnforce {
            rule: "identity".to_owned(),
            why: "root needs a second uid for the sandbox, and only root can give one".to_owned(),
        });
    }
    let layers = places.layers.iter().map(|layer| layer.path().to_owned());
    let own = OWN_ENV.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut env = BTreeMap::from(own);
    env.extend(plan.env.clone());
    env.extend(execution.env.clone());
    let limits = &plan.limits;
    let sockets = match shared.mode {
        Mode::Overlay | Mode::Copy => None,
        Mode::Alone => unmounted::sockets(&execution.network),
    };
    Ok(Spec {
        runner_pid: nix::unistd::getpid().as_raw(),
        status: places.slot.status(),
        is_user_namespace: plan.identity == Identity::SameUser,
        uid,
        gid,
        mount_point: places.slot.mount_point(),
        disk_bytes: limits.disk_bytes,
        layers: layers.chain(places.ground.layers).collect(),
        files: match shared.mode {
            Mode::Overlay => Files::Overlay,
            Mode::Copy | Mode::Alone => Files::Copy,
        },
        opaque: layer::opaque().to_owned(),
        binds: places.ground.binds,
        has_host_network: execution.network == Network::Host,
        cgroup_joins: cgroup.map(Cgroup::joins).unwrap_or_default(),
        landlock: landlock(execution, shared.host.landlock_abi.cast_signed()),
        seccomp: super::seccomp::programs(sockets).map_err(SandboxError::Backend)?,
        rlimits: Rlimits {
            memory_bytes: cgroup.is_none().then_some(limits.memory_bytes),
            processes: cgroup.is_none().then_some(u64::from(limits.pids)),
            file_bytes: limits.disk_bytes,
        },
        secret_canary: shared.secret_canary(),
        argv: execution
            .argv
            .iter()
            .map(|word| word.clone().into_vec())
            .collect(),
        env: env
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect(),
        directory: PathBuf::from(WORKSPACE),
    })
}

fn landlock(execution: &Execution<'_>, abi: i32) -> Landlock {
    let workspace = Path::new(WORKSPACE);
    let mut trees = ["/tmp", "/dev/shm", HOME].map(PathBuf::from).to_vec();
    trees.push(workspace.join(".git"));
    let mut files = Vec::new();
    for grant in &execution.plan.grants {
        match grant {
            Grant::Tree { path, .. } | Grant::Open { path: Some(path) } => {
                trees.push(workspace.join(path.as_path()));
            }
            Grant::Open { path: None } => trees.push(workspace.to_owned()),
            Grant::File { path } => files.push(workspace.join(path.as_path())),
        }
    }
    Landlock {
        abi,
        readable: vec![PathBuf::from("/")],
        trees,
        files,
        has_terminals: true,
        denies_tcp: false,
    }
}

/// Where the inside of a proven sandbox is found.
struct Inside {
    init: Pid,
    files: i32,
    /// How the command ended, where it was faster than the outer stage.
    early: Option<Exit>,
}

type StatusLines = Lines<BufReader<pipe::Receiver>>;

/// Tells the helper what to build, and waits until the sandbox has proven itself; `None` when
/// cancelled before that.
async fn prove(
    child: &mut Child,
    stdin: &mut Option<ChildStdin>,
    status: &mut StatusLines,
    spec: &Spec,
    execution: &Execution<'_>,
) -> Result<Option<Inside>, SandboxError> {
    let deadline = Deadline::now() + PATIENCE;
    let text = framed(spec)?;
    let mut untold = text.as_slice();
    let mut inside = None;
    let mut proof: Option<Box<Proof>> = None;
    let mut early = None;
    loop {
        let line = tokio::select! {
            biased;
            line = status.next_line() => parse(line)?,
            n = write(stdin, untold), if !untold.is_empty() => {
                // 0 from a helper that reads no more: what it says, or how it ends, is next.
                untold = if n == 0 { &[] } else { &untold[n..] };
                continue;
            }
            exit = child.wait() => {
                let exit = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
                return Err(SandboxError::NotProven(format!("its outer stage ended: {exit}")));
            }
            () = sleep_until(deadline) => {
                return Err(SandboxError::NotProven("it did not answer".to_owned()));
            }
            () = execution.cancel.cancelled() => {
                return Ok(None);
            }
        };
        match line {
            Status::Built { init, files } => {
                let init = Pid::from_raw(init);
                inside = Some((init, files));
            }
            Status::Enforced(found) => proof = Some(found),
            Status::Failed { step, errno } => return Err(failed(&step, errno)),
            Status::NotStarted { errno } if proof.is_some() => {
                early = Some(Exit::NotStarted { errno });
            }
            Status::Exited { code } if proof.is_some() => early = early.or(Some(Exit::Code(code))),
            Status::Signalled { signal } if proof.is_some() => {
                early = early.or(Some(Exit::Signal(signal)));
            }
            Status::Gone
            | Status::NotStarted { .. }
            | Status::Exited { .. }
            | Status::Signalled { .. } => {
                return Err(SandboxError::NotProven("it ended without proof".to_owned()));
            }
        }
        if let (Some((init, files)), Some(found)) = (inside, &proof) {
            proof::check(found, spec).map_err(SandboxError::NotProven)?;
            return Ok(Some(Inside { init, files, early }));
        }
    }
}

/// Returns the description as the helper reads it: its length in eight bytes, then itself. What
/// follows in standard input is the command's.
fn framed(spec: &Spec) -> Result<Vec<u8>, SandboxError> {
    let text =
        serde_json::to_vec(spec).map_err(|error| SandboxError::Backend(error.to_string()))?;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes();
    Ok([length.as_slice(), &text].concat())
}

fn parse(line: std::io::Result<Option<String>>) -> Result<Status, SandboxError> {
    let line = line
        .during("read", Path::new("status"))?
        .ok_or_else(|| SandboxError::NotProven("the status channel closed".to_owned()))?;
    serde_json::from_str(&line)
        .map_err(|_| SandboxError::NotProven(format!("unreadable status `{line}`")))
}

fn failed(step: &str, errno: i32) -> SandboxError {
    let cause = match errno {
        0 => String::new(),
        errno => format!(": {}", nix::errno::Errno::from_raw(errno)),
    };
    SandboxError::NotProven(format!("could not {step}{cause}"))
}

type Streams = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

/// Follows a running command.
struct Watch<'a> {
    execution: &'a Execution<'a>,
    init: Pid,
    early: Option<Exit>,
    /// What makes `init` end all.
    end: Signal,
    status: StatusLines,
}

impl Watch<'_> {
    /// Feeds and drains the command until nothing of it runs and all output is read.
    async fn until_gone(
        mut self,
        child: &mut Child,
        (mut stdin, mut stdout, mut stderr): Streams,
        output: &mut dyn OutputSink,
    ) -> Result<Exit, SandboxError> {
        let mut unwritten = self.execution.stdin.as_slice();
        let mut out = vec![0; CHUNK];
        let mut err = vec![0; CHUNK];
        let deadline = Deadline::now() + self.execution.timeout;
        let mut exit = self.early;
        let mut killed = None;
        let mut is_gone = false;
        while !is_gone || stdout.is_some() || stderr.is_some() {
            if unwritten.is_empty() {
                stdin = None;
            }
            let last_word = deadline + PATIENCE;
            tokio::select! {
                n = read(&mut stdout, &mut out), if stdout.is_some() => match n {
                    0 => stdout = None,
                    n => output.write(Stream::Stdout, &out[..n]),
                },
                n = read(&mut stderr, &mut err), if stderr.is_some() => match n {
                    0 => stderr = None,
                    n => output.write(Stream::Stderr, &err[..n]),
                },
                n = write(&mut stdin, unwritten), if stdin.is_some() => match n {
                    0 => stdin = None,
                    n => unwritten = &unwritten[n..],
                },
                line = self.status.next_line(), if !is_gone => match parse(line)? {
                    Status::Gone => is_gone = true,
                    Status::Exited { code } => exit = exit.or(Some(Exit::Code(code))),
                    Status::Signalled { signal } => exit = exit.or(Some(Exit::Signal(signal))),
                    Status::NotStarted { errno } => exit = Some(Exit::NotStarted { errno }),
                    Status::Failed { step, errno } => return Err(failed(&step, errno)),
                    Status::Built { .. } | Status::Enforced(_) => {}
                },
                ended = child.wait(), if !is_gone => {
                    let ended = ended.map_or_else(|error| error.to_string(), |e| e.to_string());
                    return Err(SandboxError::Backend(format!("the sandbox broke: {ended}")));
                }
                () = sleep_until(deadline), if killed.is_none() && !is_gone => {
                    killed = Some(Exit::TimedOut);
                    self.kill();
                }
                () = self.execution.cancel.cancelled(), if killed.is_none() && !is_gone => {
                    killed = Some(Exit::Cancelled);
                    self.kill();
                }
                () = sleep_until(last_word) => {
                    return Err(SandboxError::Backend("a killed sandbox does not end".to_owned()));
                }
            }
        }
        // Init reports how the command ended; if it could not, it was killed itself.
        Ok(exit
            .or(killed)
            .unwrap_or(Exit::Signal(Signal::SIGKILL as i32)))
    }

    /// Kills pid 1 of the sandbox, and so everything in it, or tells its stand-in to. Its pid stays
    /// its own, see `enter/src/outside.rs` and `enter/src/alone.rs`.
    fn kill(&self) {
        if let Err(error) = kill(self.init, self.end) {
            tracing::debug!(%error, "the sandbox had already ended");
        }
    }
}

/// Reads what there is; 0 at the end, which a broken pipe is too.
async fn read(from: &mut Option<impl AsyncReadExt + Unpin>, buffer: &mut [u8]) -> usize {
    match from {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Writes what fits; 0 where nobody reads any more.
async fn write(to: &mut Option<impl AsyncWriteExt + Unpin>, bytes: &[u8]) -> usize {
    match to {
        Some(pipe) => pipe.write(bytes).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Returns the processor time of a dead, unreaped init and of all it waited for; of a living
/// stand-in, only the latter.
fn cpu_of(init: Pid, mode: Mode) -> Duration {
    let text = fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
    // Fields 14 to 17, counted after the name's closing parenthesis; see proc_pid_stat(5).
    let (first, count) = match mode {
        Mode::Overlay | Mode::Copy => (11, 4),
        Mode::Alone => (13, 2),
    };
    let ticks: u64 = text
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(first)
        .take(count)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}
