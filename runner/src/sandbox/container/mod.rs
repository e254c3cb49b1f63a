//! The container backend: each execution in a container that is used once.

mod archive;
mod engine;
mod profile;
mod status;
