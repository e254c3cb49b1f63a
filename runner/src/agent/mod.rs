//! Speaks with agents: how one is started, what it says, how it ended.
//!
//! Starting and containing the process is the sandbox's work; only [`locate`] and [`version`]
//! touch the host.

mod denial;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod launch;
mod lines;
mod outcome;
mod program;
mod report;
mod text;
mod transcript;
mod wire;

pub use denial::refused_paths;
pub use launch::{Launch, launch};
pub use lines::MAX_LINE_BYTES;
pub use outcome::{AgentOutcome, Circumstances, Ending};
pub use program::{AgentError, AgentProgram, locate, mounted, version};
pub use report::Report;
pub use transcript::{Heard, Transcript};
