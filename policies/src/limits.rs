//! How much of the machine one execution may use.

use serde::{Deserialize, Serialize};

/// The resource limits of one execution, enforced by the backend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all processes together, with what they write to the sandbox's tmpfs; bytes.
    pub memory_bytes: u64,
    /// Processor time per wall time, in cores; above 0.
    pub cpus: f64,
    /// Processes and threads at once.
    pub pids: u32,
    /// What may be written in all (workspace, home, /tmp); bytes.
    pub disk_bytes: u64,
}
