//! Runs experiments in sandboxes, measures them, decides, and remembers.
//!
//! Ranks, imports point down only: `campaign` > `agent, gateway, ledger, repo, sandbox` >
//! `event, marker, decide` > `model`. The last two ranks are pure.

pub mod agent;
pub mod campaign;
pub mod decide;
pub mod event;
pub mod gateway;
pub mod ledger;
pub mod marker;
pub mod model;
pub mod repo;
pub mod sandbox;
