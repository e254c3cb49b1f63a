//! End-to-end tests of autoclave.

pub mod model_server;
pub mod stage;
