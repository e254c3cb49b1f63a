//! A response body that is counted, and rid of the secret, while it streams past.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::exchange::Exchange;
use super::redactor::Redactor;

/// Passes each piece on as it comes.
pub struct Relay {
    inner: Incoming,
    exchange: Exchange,
    redactor: Redactor,
    /// The service has sent all.
    is_over: bool,
    /// How long the service may send nothing, and the time left of it.
    silence: Duration,
    left: Pin<Box<Sleep>>,
}

impl Relay {
    pub fn new(inner: Incoming, exchange: Exchange, redactor: Redactor, silence: Duration) -> Self {
        Self {
            inner,
            exchange,
            redactor,
            is_over: false,
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
        while !this.is_over {
            let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
                ready!(this.left.as_mut().poll(cx));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            };
            this.left.as_mut().reset(Instant::now() + this.silence);
            let frame = next.transpose().map_err(io::Error::other)?;
            // Trailers end the body, and do not pass.
            let piece = frame.and_then(|frame| frame.into_data().ok());
            let passed = if let Some(piece) = piece {
                if let Some(tally) = &mut this.exchange.tally {
                    tally.push(&piece);
                }
                this.redactor.push(piece)
            } else {
                this.is_over = true;
                this.redactor.finish()
            };
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
