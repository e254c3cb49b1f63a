//! The gateway between a caller on its socket and a service on loopback.

mod attacks;
mod metering;
mod passing;
mod patience;
mod shared;
mod stage;
mod tls;
