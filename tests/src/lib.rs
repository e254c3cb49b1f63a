//! End-to-end tests of autoclave.

pub mod durable;
pub mod model_server;
pub mod naive;
pub mod stage;
pub mod toy;
