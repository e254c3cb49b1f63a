//! One execution: from its start to what it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use autoclave_enter::{Bind, Files};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Command;

use super::cgroup::Cgroup;
use super::describe::{Parts, describe, ids};
use super::ground::Ground;
use super::hull::Hull;
use super::layer::{During, Layer};
use super::mode::Mode;
use super::remains::Untouched;
use super::upper::Holds;
use super::watch::{Watch, prove};
use super::{Shared, blocking, unmounted};
use crate::sandbox::{
    Execution, Exit, Finished, GATEWAY_SOCKET, Network, OutputSink, SandboxError,
};

/// How a command ends that the kernel kills for memory, and how its shell tells it.
const KILLED: i32 = Signal::SIGKILL as i32;
const KILLED_IN_SHELL: i32 = 128 + KILLED;

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
    let parts = Parts {
        slot: &slot,
        layers,
        ground,
    };
    let mut spec = describe(shared, parts, &execution, cgroup.as_ref())?;
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
            cpu: Some(Duration::ZERO),
            remains: Box::new(Untouched(layers.to_vec())),
        });
    };
    let started = Instant::now();
    let exit = Watch {
        execution: &execution,
        init: inside.init,
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
    let cgroup = hull.cgroup.as_ref();
    let cpu = cgroup
        .and_then(Cgroup::cpu)
        .or_else(|| cpu_of(inside.init, shared.mode));
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

/// Returns the processor time of a dead, unreaped init and of all it waited for; of a living
/// stand-in, only the latter.
fn cpu_of(init: Pid, mode: Mode) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{init}/stat")).ok()?;
    // Fields 14 to 17, counted after the name's closing parenthesis; see proc_pid_stat(5).
    let (first, count) = match mode {
        Mode::Overlay | Mode::Copy => (11, 4),
        Mode::Alone => (13, 2),
    };
    let fields = text.rsplit(") ").next()?.split(' ');
    let ticks = fields.skip(first).take(count);
    let ticks = ticks.map(|field| field.parse::<u64>().ok());
    let ticks: u64 = ticks.sum::<Option<u64>>()?;
    Some(Duration::from_millis(ticks * 10))
}
