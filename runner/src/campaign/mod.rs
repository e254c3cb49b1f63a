//! The loop: does what the pure parts say, and the only place that sees more than one adapter.

mod backend;
mod baseline;
mod bench;
mod berth;
mod capture;
mod clean;
mod clock;
mod compare;
mod copy;
mod doubt;
mod emitter;
mod ending;
mod error;
mod exec;
mod experiment;
mod explain;
mod finalize;
mod folder;
mod gate;
mod golden;
mod host_view;
mod liveness;
mod measure;
mod pairs;
mod preflight;
mod proofs;
mod resume;
mod round;
mod run;
mod session;
mod spending;
mod turn;
mod verdict;
mod wait;
mod why;
mod workshop;

pub use bench::{Bench, ByRole, Role};
pub use clean::{CleanRequest, Cleaned, clean};
pub use error::CampaignError;
pub use exec::{ExecOutcome, ExecRequest, exec};
pub use explain::{BackendExplained, Explanation, explain, granted};
pub use finalize::{
    Bond, FinalBranch, FinalizeRequest, Finalized, FinalizedCommit, LeftOut, MeasuredShare,
    PassedGuard, Shape, Share, TrackedChange, finalize,
};
pub use folder::{RunFolder, list_runs};
pub use gate::{ModelService, OwnService};
pub use preflight::{
    Area, Check, CheckReport, CheckStatus, Hint, NoiseFound, PreflightRequest, preflight,
};
pub use resume::{latest_progress, running};
pub use run::{RunOutcome, RunRequest, run};
pub use why::{Aim, Answer, Beneath, Cure, Kind, Subject, Told, Why, WhyRequest, why};
pub use workshop::{HostFacts, Workshop};
