//! How long each step of a request may take, and how much it may hold.

use std::time::Duration;

/// Callers on the socket at a time; more wait.
pub const MAX_CONNECTIONS: usize = 64;
pub const MAX_HEADERS: usize = 64;
/// Bytes of the target and all headers.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a request body, and of an answer that is not streamed.
pub const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of an error's body.
pub const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// KiB of request bodies held at a time, by all requests, from their announcement to the end of the
/// answer.
pub const MAX_HELD_KIB: usize = 256 * 1024;
/// Connections to the control socket at a time; more wait.
pub const MAX_CONTROLS: usize = 1024;
/// How long whoever writes the audit lines down may be busy with earlier ones.
pub const AUDIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long an unused connection to the service is kept.
pub const POOL_IDLE: Duration = Duration::from_secs(30);

/// The time limits of a gateway; the default is meant for real use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// For the head of a request, and so for a connection without one.
    pub head: Duration,
    /// For the body of a request, which a caller on the same machine sends.
    pub body: Duration,
    /// For the TCP connection to the service.
    pub connect: Duration,
    /// How long the service may send nothing, and a request wait for money held by others.
    pub silence: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(60),
            body: Duration::from_secs(60),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(5 * 60),
        }
    }
}

impl TimeLimits {
    /// Returns the limits, none of them longer than `most`.
    #[must_use]
    pub fn at_most(self, most: Duration) -> Self {
        Self {
            head: self.head.min(most),
            body: self.body.min(most),
            connect: self.connect.min(most),
            silence: self.silence.min(most),
        }
    }
}
