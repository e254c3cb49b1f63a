//! End-to-end tests of autoclave.

pub mod agreement;
pub mod c_program;
pub mod containers;
pub mod durable;
pub mod engine;
pub mod engine_proxy;
pub mod gateway_process;
pub mod hostile_service;
pub mod judging;
pub mod model_server;
pub mod naive;
pub mod remote_engine;
pub mod soak;
pub mod stage;
pub mod toy;
