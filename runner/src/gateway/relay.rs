//! A response body that is counted while it streams past.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::exchange::Exchange;

/// Passes each piece on as it comes.
pub struct Relay {
    inner: Incoming,
    exchange: Exchange,
    /// How long the service may send nothing, and the time left of it.
    silence: Duration,
    left: Pin<Box<Sleep>>,
}

impl Relay {
    pub fn new(inner: Incoming, exchange: Exchange, silence: Duration) -> Self {
        Self {
            inner,
            exchange,
            silence,
            left: Box::pin(sleep(silence)),
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.left.as_mut().poll(cx));
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        this.left.as_mut().reset(Instant::now() + this.silence);
        Poll::Ready(match next {
            Some(Ok(frame)) => frame.into_data().ok().map(|piece| {
                if let Some(tally) = &mut this.exchange.tally {
                    tally.push(&piece);
                }
                Ok(Frame::data(piece))
            }),
            Some(Err(cause)) => Some(Err(io::Error::other(cause))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
