//! Whole runs through the binary: the real Claude Code, the scripted model, the real sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod denied;
mod guards;
mod hangs;
mod hostile;
mod kept;
mod older_config;
mod preparation;
mod service;
mod toy;
