//! The one thread that runs everything asynchronous, and how the user interrupts it.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::diagnostic::Failure;
use crate::exit::Exit;

/// Runs `work` on this thread until it ends. The first SIGINT or SIGTERM cancels the token that
/// `work` is given; the second ends the process at once.
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
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
