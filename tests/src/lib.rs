//! End-to-end tests of autoclave.

pub mod durable;
pub mod judging;
pub mod model_server;
pub mod stage;
pub mod toy;
