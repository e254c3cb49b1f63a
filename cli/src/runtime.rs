//! The one thread that runs everything asynchronous, and how the user interrupts it.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// Runs `work` on this thread until it ends. The first SIGINT, SIGTERM or SIGHUP cancels the token
/// that `work` is given; the second ends the process at once.
///
/// One thread on purpose: the kernel ends a sandbox when the thread that started it ends.
///
/// # Errors
///
/// Those of `work`, and [`Exit::Internal`] when the runtime cannot be made.
pub fn block_on<T, F>(work: impl FnOnce(CancellationToken) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::new(Exit::Internal, cause))?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let work = work(cancel.clone());
        tokio::pin!(work);
        let mut interrupts =
            Interrupts::listen().map_err(|cause| Failure::new(Exit::Internal, cause))?;
        tokio::select! {
            result = &mut work => return result,
            () = interrupts.next() => cancel.cancel(),
        }
        tokio::select! {
            result = &mut work => result,
            () = interrupts.next() => Err(Failure::new(Exit::Interrupted, "interrupted twice")),
        }
    })
}

struct Interrupts {
    int: Signal,
    term: Signal,
    /// The terminal is gone; `None` where whoever started us wants that ignored, as nohup(1) does.
    hangup: Option<Signal>,
}

impl Interrupts {
    fn listen() -> std::io::Result<Self> {
        let hangup = if ignores_hangup() {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) {
        let Self { int, term, hangup } = self;
        let hangup = async {
            match hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            () = hangup => {}
        }
    }
}

/// Says whether SIGHUP was ignored when the process started: bit 0 of `SigIgn`; see proc(5).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}
