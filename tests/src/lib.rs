//! End-to-end tests of autoclave.

pub mod durable;
pub mod engine;
pub mod model_server;
pub mod stage;
pub mod toy;
